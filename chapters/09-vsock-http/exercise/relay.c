/* relay: an HTTP proxy for a guest that has no network, on the interface of chapter 09.
 *
 *   relay LISTEN DIAL
 *
 * It listens at LISTEN (vsock:4294967295:3128, say). A request for a whole URL, GET http://HOST:PORT/…, goes
 * to that host; any other to DIAL. It is the answer to the lesson's exercise, and no part of what is graded:
 * one process for each peer, and the head of a request in one buffer. */
#define _GNU_SOURCE /* memmem(3) */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
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
    if (url_parse(url, target) != NULL) {
        return 0;
    }
    const size_t length = strlen(url->target);
    *end = ' ';
    memcpy(target, url->target, length); /* it is shorter than the URL that it was taken from */
    memmove(target + length, end, used - (size_t)(end - head));
    return used - (size_t)(end - target) + length;
}

/* Answers one peer, whom it closes. */
static void relay(struct conn *peer, const char *dial)
{
    static char head[HEAD_ROOM];
    static struct url url;
    struct conn server;
    snprintf(url.address, sizeof url.address, "%s", dial);
    const size_t used = target_take(head, head_receive(peer, head), &url);
    if (used == 0) {
        refuse(peer, "400 Bad Request");
        return;
    }
    int error = conn_dial(&server, url.address, now_ms() + PATIENCE_MS);
    if (error < 0) {
        report("connect", url.address, -error);
        refuse(peer, error == -ETIMEDOUT ? "504 Gateway Timeout" : "502 Bad Gateway");
        return;
    }
    server.write_deadline = now_ms() + PATIENCE_MS;
    if (conn_write(&server, head, used, false) == 0) {
        pid_t upstream = fork();
        if (upstream == 0) {
            copy(peer, &server);
            _exit(0);
        }
        copy(&server, peer);
        kill(upstream, SIGTERM);
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
        if (listener_accept(&listener, &peer) < 0) {
            continue;
        }
        if (fork() == 0) {
            relay(&peer, argv[2]);
            _exit(0);
        }
        conn_close(&peer);
    }
}
