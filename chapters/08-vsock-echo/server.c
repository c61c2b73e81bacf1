#define _GNU_SOURCE /* accept4(2) */
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "signals.h"

enum { MESSAGE_LIMIT = 65536 }; /* bytes of one message, and of one read of a stream */

/* BEGIN SOLUTION */
/* Is CONNECTION one of messages? */
static bool carries_messages(int connection)
{
    int type = SOCK_STREAM;
    socklen_t length = sizeof type;
    return getsockopt(connection, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

/* END SOLUTION */
/* STARTER: */
/* Sends all SIZE bytes of DATA. Returns false if the peer is gone or takes nothing for too long. */
static bool send_all(int connection, const char *peer, const char *data, size_t size)
{
    /* BEGIN SOLUTION */
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(connection, data + sent, size - sent, MSG_NOSIGNAL); /* no SIGPIPE: EPIPE will do */
        /* The process was stopped, and goes on. How much of a message has gone before, nobody says. */
        if (n < 0 && errno == EINTR && !carries_messages(connection)) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return give_up(peer, "takes nothing for too long"); /* SO_SNDTIMEO: it has given no credit */
        }
        if (n < 0) {
            return report("send", peer, errno);
        }
        sent += (size_t)n;
    }
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // as in chapter 02
    (void)data;
    return size == 0 || give_up(peer, "send_all is not written yet");
    */
}

/* Reads what there is into BUFFER, of MESSAGE_LIMIT bytes: a message, or some of a stream. Returns how much,
 * 0 at the end, -1 if the peer was silent for too long, or the call failed. */
static ssize_t read_some(int connection, const char *peer, char *buffer)
{
    /* BEGIN SOLUTION */
    for (;;) {
        ssize_t n = recv(connection, buffer, MESSAGE_LIMIT, 0);
        if (n >= 0) {
            return n;
        }
        if (errno == EAGAIN) {
            give_up(peer, "silent for too long"); /* SO_RCVTIMEO */
            return -1;
        }
        if (errno != EINTR) { /* which comes without a handler, too: see chapter 02 */
            report("recv", peer, errno);
            return -1;
        }
    }
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // recv(2)
    (void)buffer;
    give_up(peer, "read_some is not written yet");
    return -1;
    */
}

/* Sends back all that PEER sends, until it ends its stream; then ends the other direction. */
static void echo(int connection, const char *peer)
{
    /* BEGIN SOLUTION */
    char buffer[MESSAGE_LIMIT];
    for (;;) {
        ssize_t n = read_some(connection, peer, buffer);
        if (n <= 0 || !send_all(connection, peer, buffer, (size_t)n)) {
            return; /* close(2) is the end of this direction; what was sent before arrives before it */
        }
    }
    /* END SOLUTION */
    /* STARTER:
    char buffer[MESSAGE_LIMIT]; // again and again, until the peer's end
    ssize_t n = read_some(connection, peer, buffer);
    send_all(connection, peer, buffer, n > 0 ? (size_t)n : 0);
    */
}

static void serve_peer(int connection, const char *peer, const struct timeval *timeout)
{
    int error = set_timeouts(connection, timeout);
    if (error < 0) {
        report("setsockopt", peer, -error);
    } else {
        echo(connection, peer);
    }
    if (close(connection) < 0) {
        report("close", peer, errno);
    }
}

/* Takes the next connection; sets PEER to the other end's address. Returns its descriptor, or -errno. */
static int accept_peer(int listener, struct sockaddr_vm *peer)
{
    /* BEGIN SOLUTION */
    socklen_t length = sizeof *peer;
    int connection = accept4(listener, (struct sockaddr *)peer, &length, SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
    /* END SOLUTION */
    /* STARTER:
    (void)listener; // accept4(2)
    vsock_address(peer, 0, 0);
    return -ENOSYS;
    */
}

/* Says on standard output where LISTENER can be reached. */
static void announce(int listener)
{
    struct sockaddr_vm address;
    char text[VSOCK_TEXT];
    int error = vsock_listening_at(listener, &address);
    if (error < 0) {
        die("ioctl", "/dev/vsock", -error);
    }
    printf("listening on %s\n", vsock_format(&address, text));
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
}

_Noreturn void serve(const struct sockaddr_vm *address, bool seqpacket, const struct timeval *timeout)
{
    char text[VSOCK_TEXT];
    const char *call = "";
    stop_on_signals();
    int listener = vsock_listen(address, seqpacket ? SOCK_SEQPACKET : SOCK_STREAM, &call);
    if (listener < 0) {
        die(call, vsock_format(address, text), -listener);
    }
    announce(listener);
    for (;;) {
        struct sockaddr_vm peer;
        int connection = accept_peer(listener, &peer);
        if (connection >= 0) {
            serve_peer(connection, vsock_format(&peer, text), timeout);
        } else if (connection == -EINTR || connection == -ECONNABORTED) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
