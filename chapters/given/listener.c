#define _GNU_SOURCE /* accept4(2) */
#include "listener.h"

#include <errno.h>

#include "report.h"

int listener_open(const union address *address)
{
    char text[ADDRESS_TEXT];
    address_format("tcp", address, text, sizeof text);
    int listener = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        die("socket", text, errno);
    }
    const int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
        die("setsockopt", "SO_REUSEADDR", errno);
    }
    const int off = 0;
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) {
        die("setsockopt", "IPV6_V6ONLY", errno);
    }
    if (bind(listener, &address->any, address_length(address)) < 0) {
        die("bind", text, errno);
    }
    if (listen(listener, SOMAXCONN) < 0) {
        die("listen", text, errno);
    }
    return listener;
}

int accept_peer(int listener, union address *peer)
{
    socklen_t length = sizeof *peer;
    int connection = accept4(listener, &peer->any, &length, SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
}

bool concerns_one_peer(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPERM:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}
