#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

const char *address_format(const char *kind, const union address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        snprintf(text, size, "%s:%s:%u", kind, host, ntohs(address->v4.sin_port));
    } else {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        snprintf(text, size, "%s:[%s]:%u", kind, host, ntohs(address->v6.sin6_port));
    }
    return text;
}

bool address_parse(union address *address, const char *host, uint16_t port)
{
    memset(address, 0, sizeof *address);
    if (host != NULL && inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return true;
    }
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(port);
    address->v6.sin6_addr = in6addr_any;
    return host == NULL || inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1;
}

socklen_t address_length(const union address *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

void announce(const char *kind, int fd)
{
    union address address = {.any = {0}};
    socklen_t length = sizeof address;
    if (getsockname(fd, &address.any, &length) < 0) {
        die("getsockname", "socket", errno);
    }
    char text[ADDRESS_TEXT];
    printf("listening on %s\n", address_format(kind, &address, text, sizeof text));
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
}
