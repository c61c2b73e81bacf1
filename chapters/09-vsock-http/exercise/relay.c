/* relay: an HTTP proxy for a guest that has no network, on the interface of chapter 09.
 *
 *   relay LISTEN DIAL
 *
 * It listens at LISTEN (vsock:4294967295:3128, say). A request for a whole URL, GET http://HOST:PORT/…, goes
 * to that host; any other to DIAL. It is the answer to the lesson's exercise, and no part of what is graded:
 * one process for each peer and direction, one request for each peer, and its head in one buffer. */
#define _GNU_SOURCE /* memmem(3) */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn.h"
#include "listener.h"
#include "report.h"
#include "url.h"

enum {
    HEAD_ROOM = 16384,
    PATIENCE_MS = 30000, /* for a connection, a head, and each piece of what is passed on */
};

const char program_name[] = "relay";

/* Says STATUS, with its reason, to the peer that has asked. */
static void refuse(struct conn *peer, const char *status)
{
    char head[128];
    const int length =
        snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    peer->write_deadline = now_ms() + PATIENCE_MS;
    conn_write(peer, head, (size_t)length, false);
}

/* Reads a head, and what has come behind it, into HEAD. Returns how many bytes there are, 0 if it is not
 * whole. */
static size_t head_receive(struct conn *peer, char *head)
{
    peer->read_deadline = now_ms() + PATIENCE_MS;
    for (size_t used = 0; used < HEAD_ROOM;) {
        ssize_t n = conn_read(peer, head + used, HEAD_ROOM - used);
        if (n <= 0) {
            return 0;
        }
        used += (size_t)n;
        if (memmem(head, used, "\r\n\r\n", 4) != NULL) {
            return used;
        }
    }
    return 0;
}

/* Copies one direction, to its end, and passes the end on. */
static void copy(struct conn *from, struct conn *to)
{
    char piece[65536];
    for (;;) {
        from->read_deadline = now_ms() + PATIENCE_MS;
        ssize_t n = conn_read(from, piece, sizeof piece);
        to->write_deadline = now_ms() + PATIENCE_MS;
        if (n <= 0 || conn_write(to, piece, (size_t)n, false) < 0) {
            break;
        }
    }
    conn_close_write(to);
}

/* Finds out where the request in HEAD is to go, and shortens its target to the path. Returns the new length,
 * 0 if the request is none. */
static size_t target_take(char *head, size_t used, struct url *url)
{
    char *target = memchr(head, ' ', used);
    char *end = target == NULL ? NULL : memchr(target + 1, ' ', used - (size_t)(target + 1 - head));
    if (end == NULL) {
        return 0;
    }
    target++;
    if (target[0] == '/') {
        return used;
    }
    *end = '\0';
    if (url_parse(url, target) != NULL || strncmp(url->address, "tcp:", 4) != 0) {
        return 0; /* a guest is not to reach this machine's Unix sockets, nor its other guests */
    }
    const size_t length = strlen(url->target);
    *end = ' ';
    memcpy(target, url->target, length); /* it is shorter than the URL that it was taken from */
    memmove(target + length, end, used - (size_t)(end - head));
    return used - (size_t)(end - target) + length;
}

/* Is the field that begins at LINE about one connection, and not for who is behind the next? */
static bool hop_by_hop(const char *line)
{
    static const char *const names[] = {"Connection:", "Keep-Alive:", "Proxy-"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncasecmp(line, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Sends the request in HEAD, and what has come behind it, with `Connection: close` in place of what the peer
 * has said of its own connection (RFC 9110, section 7.6.1). Returns as conn_write does. */
static int request_send(struct conn *server, char *head, size_t used)
{
    static const char closes[] = "Connection: close\r\n";
    char *line = (char *)memmem(head, used, "\r\n", 2) + 2; /* head_receive has seen the end of the head */
    char *blank = (char *)memmem(head, used, "\r\n\r\n", 4) + 2;
    server->write_deadline = now_ms() + PATIENCE_MS;
    int error = conn_write(server, head, (size_t)(line - head), true);
    if (error == 0) {
        error = conn_write(server, closes, sizeof closes - 1, true);
    }
    while (error == 0 && line < blank) {
        char *next = (char *)memmem(line, used - (size_t)(line - head), "\r\n", 2) + 2;
        error = hop_by_hop(line) ? 0 : conn_write(server, line, (size_t)(next - line), true);
        line = next;
    }
    return error < 0 ? error : conn_write(server, blank, used - (size_t)(blank - head), false);
}

/* Copies both directions, each in a process of its own, until SERVER's has ended. */
static void exchange(struct conn *peer, struct conn *server)
{
    signal(SIGCHLD, SIG_DFL); /* the child's number is its own until it has been waited for */
    pid_t upstream = fork();
    if (upstream < 0) {
        report("fork", "relay", errno);
        return;
    }
    if (upstream == 0) {
        copy(peer, server);
        _exit(0);
    }
    copy(server, peer);
    kill(upstream, SIGTERM);
    waitpid(upstream, NULL, 0);
}

/* Answers one peer. */
static void relay(struct conn *peer, const char *dial)
{
    char head[HEAD_ROOM];
    struct url url;
    struct conn server;
    snprintf(url.address, sizeof url.address, "%s", dial);
    const size_t used = target_take(head, head_receive(peer, head), &url);
    if (used == 0) {
        refuse(peer, "400 Bad Request");
        return;
    }
    const char *call = "";
    int error = conn_dial(&server, url.address, now_ms() + PATIENCE_MS, &call);
    if (error < 0) {
        report(call, url.address, -error);
        refuse(peer, error == -ETIMEDOUT ? "504 Gateway Timeout" : "502 Bad Gateway");
        return;
    }
    error = request_send(&server, head, used);
    if (error < 0) {
        report("send", url.address, -error);
        refuse(peer, "502 Bad Gateway");
    } else {
        exchange(peer, &server);
    }
    conn_close(&server);
}

int main(int argc, char **argv)
{
    struct listener listener;
    char text[ENDPOINT_TEXT];
    const char *call = "";
    if (argc != 3) {
        usage_error("two addresses are needed: where to listen, and where to dial", "");
    }
    int error = listener_listen(&listener, argv[1], &call);
    if (error < 0) {
        die(call, argv[1], -error);
    }
    signal(SIGCHLD, SIG_IGN); /* nobody waits for the children */
    printf("listening on %s\n", listener_address(&listener, text));
    fflush(stdout);
    for (;;) {
        struct conn peer;
        error = listener_accept(&listener, &peer);
        if (error < 0 && !concerns_one_peer(-error)) {
            die("accept4", text, -error);
        }
        if (error < 0) {
            continue;
        }
        pid_t child = fork();
        if (child == 0) {
            relay(&peer, argv[2]);
            _exit(0);
        }
        if (child < 0) {
            report("fork", "relay", errno);
        }
        conn_close(&peer);
    }
}
