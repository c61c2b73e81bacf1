/* tcp:HOST:PORT and tcp:[V6]:PORT, HOST being numeric: what chapters 01 to 04 taught. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "conn.h"
#include "vsock.h"

static int tcp_parse(struct endpoint *endpoint, const char *text)
{
    /* BEGIN SOLUTION */
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    text += strlen("tcp:");
    uint32_t port = 0;
    if (colon < text || (size_t)(colon - text) >= sizeof host || !number_parse(colon + 1, &port) ||
        port > UINT16_MAX) {
        return -EINVAL;
    }
    const bool bracketed = text[0] == '[' && colon[-1] == ']';
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text - bracketed] = '\0';
    union address address;
    if (!address_parse(&address, host + bracketed, (uint16_t)port) ||
        bracketed != (address.any.sa_family == AF_INET6)) {
        return -EINVAL;
    }
    endpoint->length = bracketed ? sizeof address.v6 : sizeof address.v4;
    memcpy(&endpoint->any, &address, endpoint->length);
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // HOST:PORT or [V6]:PORT; address.h has address_parse, vsock.h number_parse for the port
    return text[0] == '\0' ? -EINVAL : -ENOSYS;
    */
}

static void tcp_format(const struct endpoint *endpoint, char *text)
{
    /* BEGIN SOLUTION */
    union address address;
    memcpy(&address, &endpoint->any, sizeof address);
    struct in6_addr *v6 = &address.v6.sin6_addr;
    if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address.v6.sin6_port};
        memcpy(&v4.sin_addr, v6->s6_addr + 12, sizeof v4.sin_addr); /* ::ffff:192.0.2.1 is IPv4, to people */
        address.v4 = v4;
    }
    address_format("tcp", &address, text, ENDPOINT_TEXT);
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // address.h has address_format; and ::ffff:192.0.2.1 is IPv4
    strcpy(text, "tcp:?");
    */
}

/* Has small writes sent at once: what may wait is written with MSG_MORE. */
static int set_no_delay(int descriptor)
{
    const int on = 1;
    return setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ? -errno : 0;
}

static int tcp_listen(struct endpoint *endpoint, const char **call)
{
    /* BEGIN SOLUTION */
    const int on = 1;
    const int off = 0;
    const bool v6 = endpoint->any.sa_family == AF_INET6;
    *call = "socket";
    int listener = socket(endpoint->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        return -errno;
    }
    *call = "setsockopt";
    int error = set_no_delay(listener); /* accepted connections inherit it */
    if (error < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (v6 && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)) {
        goto fail;
    }
    *call = "bind";
    if (bind(listener, &endpoint->any, endpoint->length) < 0) {
        goto fail;
    }
    *call = "listen";
    if (listen(listener, SOMAXCONN) < 0) {
        goto fail;
    }
    *call = "getsockname";
    if (getsockname(listener, &endpoint->any, &endpoint->length) < 0) {
        goto fail;
    }
    return listener;
fail:
    error = -errno;
    close(listener);
    return error;
    /* END SOLUTION */
    /* STARTER:
    *call = "tcp_listen"; // as in chapter 01, but with -errno in place of die
    return endpoint->length == 0 ? -EINVAL : -ENOSYS;
    */
}

static int tcp_dial(const struct endpoint *endpoint, int64_t deadline)
{
    /* BEGIN SOLUTION */
    int descriptor = socket(endpoint->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -errno;
    }
    int error = set_no_delay(descriptor);
    if (error == 0) {
        error = connect_until(descriptor, endpoint, deadline);
    }
    if (error < 0) {
        close(descriptor);
        return error;
    }
    return descriptor;
    /* END SOLUTION */
    /* STARTER:
    return connect_until(set_no_delay(-1), endpoint, deadline); // on a socket that does not block
    */
}

const struct transport transport_tcp = {
    .prefix = "tcp:",
    .parse = tcp_parse,
    .format = tcp_format,
    .listen = tcp_listen,
    .dial = tcp_dial,
};
