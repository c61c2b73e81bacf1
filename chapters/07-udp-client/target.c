#include "target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Copies LENGTH bytes from START into TEXT of SIZE bytes, as a string. Returns false if they do not fit, or
 * if there are none. */
static bool take(char *text, size_t size, const char *start, size_t length)
{
    if (length == 0 || length >= size) {
        return false;
    }
    memcpy(text, start, length);
    text[length] = '\0';
    return true;
}

const char *target_parse(struct target *target, const char *text)
{
    if (strncmp(text, "udp:", 4) != 0) {
        return "a target is udp:HOST:PORT or udp:[V6]:PORT";
    }
    const char *host = text + 4;
    const char *colon = strrchr(host, ':');
    if (colon == NULL || host[strlen(host) - 1] == ']') {
        return "there is no port";
    }
    size_t length = (size_t)(colon - host);
    const bool brackets = host[0] == '[';
    if (brackets) {
        if (length < 2 || host[length - 1] != ']') {
            return "a bracket is not closed";
        }
        host++;
        length -= 2;
    }
    if (brackets != (memchr(host, ':', length) != NULL)) {
        return "an IPv6 address, and nothing else, stands in brackets";
    }
    if (!take(target->host, sizeof target->host, host, length)) {
        return "there is no host, or one that is too long";
    }
    const char *port = colon + 1;
    const bool digits = port[strspn(port, "0123456789")] == '\0';
    if (!digits || !take(target->port, sizeof target->port, port, strlen(port)) ||
        strtoul(port, NULL, 10) - 1 >= 65535) { /* of 0 it makes the largest number there is */
        return "a port is a number from 1 to 65535";
    }
    return NULL;
}
