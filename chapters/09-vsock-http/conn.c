#define _GNU_SOURCE /* accept4(2) */
#include "conn.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct transport *const transports[] = {&transport_tcp, &transport_unix, &transport_vsock};

int64_t now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now); /* fails for an unknown clock alone */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

/* Finds the transport that ADDRESS is of, by its prefix, and reads it into ENDPOINT. Returns 0 or -errno. */
static int endpoint_parse(const struct transport **transport, struct endpoint *endpoint, const char *address)
{
    /* BEGIN SOLUTION */
    memset(endpoint, 0, sizeof *endpoint);
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        if (strncmp(address, transports[i]->prefix, strlen(transports[i]->prefix)) == 0) {
            *transport = transports[i];
            return transports[i]->parse(endpoint, address);
        }
    }
    return -EINVAL;
    /* END SOLUTION */
    /* STARTER:
    memset(endpoint, 0, sizeof *endpoint); // which of the transports has this prefix?
    *transport = transports[0];
    return address[0] == '\0' ? -EINVAL : -ENOSYS;
    */
}

/* Waits until DESCRIPTOR is ready for EVENTS. Returns 0, -ETIMEDOUT at DEADLINE, or -errno. */
static int wait_until(int descriptor, short events, int64_t deadline)
{
    /* BEGIN SOLUTION */
    for (;;) {
        struct pollfd polled = {.fd = descriptor, .events = events};
        const int64_t left = deadline - now_ms();
        if (deadline != 0 && left <= 0) {
            return -ETIMEDOUT;
        }
        const int patience = deadline == 0 ? -1 : left < INT_MAX ? (int)left : INT_MAX;
        int ready = poll(&polled, 1, patience);
        if (ready > 0) {
            return 0;
        }
        if (ready < 0 && errno != EINTR) {
            return -errno;
        }
    }
    /* END SOLUTION */
    /* STARTER:
    struct pollfd polled = {.fd = descriptor, .events = events}; // poll(2), for as long as is left until then
    return poll(&polled, 1, deadline == 0 ? -1 : 0) < 0 ? -errno : 0;
    */
}

int time_left(int64_t deadline, struct timeval *left)
{
    const int64_t day = INT64_C(24) * 60 * 60 * 1000;
    const int64_t milliseconds = deadline == 0 ? day : deadline - now_ms();
    *left = (struct timeval){.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
    return milliseconds <= 0 ? -ETIMEDOUT : 0;
}

int connect_until(int descriptor, const struct endpoint *endpoint, int64_t deadline)
{
    /* BEGIN SOLUTION */
    if (connect(descriptor, &endpoint->any, endpoint->length) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return -errno;
    }
    int error = wait_until(descriptor, POLLOUT, deadline);
    if (error < 0) {
        return error;
    }
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0) {
        return -errno;
    }
    return -error;
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // connect(2), EINPROGRESS, poll(2), SO_ERROR: see chapter 04
    return wait_until(descriptor, POLLOUT, deadline) < 0 ? -ETIMEDOUT : -ENOSYS;
    */
}

int conn_dial(struct conn *conn, const char *address, int64_t deadline, const char **call)
{
    *call = "parse";
    *conn = (struct conn){.descriptor = -1};
    int error = endpoint_parse(&conn->transport, &conn->remote, address);
    if (error < 0) {
        return error;
    }
    *call = "connect";
    /* BEGIN SOLUTION */
    conn->descriptor = conn->transport->dial(&conn->remote, deadline);
    if (conn->descriptor < 0) {
        return conn->descriptor;
    }
    conn->local.length = offsetof(struct endpoint, length);
    if (getsockname(conn->descriptor, &conn->local.any, &conn->local.length) < 0) {
        error = -errno;
        close(conn->descriptor);
    }
    return error;
    /* END SOLUTION */
    /* STARTER:
    (void)deadline; // the transport dials; getsockname(2) tells the address of this end
    return -ENOSYS;
    */
}

ssize_t conn_read(struct conn *conn, void *bytes, size_t size)
{
    /* BEGIN SOLUTION */
    for (;;) {
        int error = wait_until(conn->descriptor, POLLIN, conn->read_deadline);
        if (error < 0) {
            return error;
        }
        ssize_t n = recv(conn->descriptor, bytes, size, MSG_DONTWAIT);
        if (n >= 0) {
            return n;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    /* END SOLUTION */
    /* STARTER:
    (void)bytes; // wait until the deadline, then recv(2) with MSG_DONTWAIT
    (void)size;
    return wait_until(conn->descriptor, POLLIN, conn->read_deadline) < 0 ? -ETIMEDOUT : -ENOSYS;
    */
}

int conn_write(struct conn *conn, const void *bytes, size_t size, bool more)
{
    /* BEGIN SOLUTION */
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    for (size_t written = 0; written < size;) {
        int error = wait_until(conn->descriptor, POLLOUT, conn->write_deadline);
        if (error < 0) {
            return error;
        }
        ssize_t n = send(conn->descriptor, (const char *)bytes + written, size - written, flags);
        if (n >= 0) {
            written += (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)bytes; // wait until the deadline, then send(2), until all is written; MSG_MORE, MSG_NOSIGNAL
    (void)more;
    return size == 0 ? 0 : wait_until(conn->descriptor, POLLOUT, conn->write_deadline) < 0 ? -ETIMEDOUT :
    -ENOSYS;
    */
}

int conn_close_write(struct conn *conn)
{
    return shutdown(conn->descriptor, SHUT_WR) < 0 ? -errno : 0;
}

int conn_close(struct conn *conn)
{
    int descriptor = conn->descriptor;
    conn->descriptor = -1;
    return close(descriptor) < 0 ? -errno : 0;
}

const char *conn_local(const struct conn *conn, char *text)
{
    conn->transport->format(&conn->local, text);
    return text;
}

const char *conn_remote(const struct conn *conn, char *text)
{
    conn->transport->format(&conn->remote, text);
    return text;
}

int listener_listen(struct listener *listener, const char *address, const char **call)
{
    *call = "parse";
    *listener = (struct listener){.descriptor = -1};
    int error = endpoint_parse(&listener->transport, &listener->local, address);
    if (error < 0) {
        return error;
    }
    listener->descriptor = listener->transport->listen(&listener->local, call);
    return listener->descriptor < 0 ? listener->descriptor : 0;
}

int listener_accept(struct listener *listener, struct conn *conn)
{
    /* BEGIN SOLUTION */
    *conn = (struct conn){.transport = listener->transport};
    conn->remote.length = offsetof(struct endpoint, length);
    conn->descriptor = accept4(listener->descriptor, &conn->remote.any, &conn->remote.length, SOCK_CLOEXEC);
    if (conn->descriptor < 0) {
        return -errno;
    }
    /* Of a listener for every address only the connection knows which one the peer has used. */
    conn->local.length = offsetof(struct endpoint, length);
    if (getsockname(conn->descriptor, &conn->local.any, &conn->local.length) < 0) {
        int error = -errno;
        close(conn->descriptor);
        return error;
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    *conn = (struct conn){.transport = listener->transport, .descriptor = -1}; // accept4(2), getsockname(2)
    return -ENOSYS;
    */
}

const char *listener_address(const struct listener *listener, char *text)
{
    listener->transport->format(&listener->local, text);
    return text;
}
