#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report.h"

enum {
    DRAIN_LIMIT = 1 << 20
}; /* bytes to read and forget after the last answer, for a peer that never stops */

bool set_options(int connection, const char *peer, const struct timeval *timeout)
{
    const int on = 1;
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout) < 0 ||
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof *timeout) < 0 ||
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        return report("setsockopt", peer, errno);
    }
    return true;
}

bool send_all(const struct connection *connection, const char *data, size_t size, int flags)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(connection->descriptor, data + sent, size - sent, flags | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return give_up(connection->peer, "takes nothing for too long"); /* SO_SNDTIMEO */
        }
        if (n < 0) {
            return report("send", connection->peer, errno);
        }
        sent += (size_t)n;
    }
    return true;
}

/* Reads what has come, behind what is there. Returns how many bytes, 0 at the end of the peer's stream,
 * -EAGAIN if the peer was silent for too long, another -errno if the call failed. */
static ssize_t connection_read(struct connection *connection)
{
    connection->used = parser_compact(&connection->parser, connection->bytes, connection->used);
    const size_t room = sizeof connection->bytes - connection->used;
    for (;;) {
        ssize_t n = read(connection->descriptor, connection->bytes + connection->used,
                         room < READ_SIZE ? room : READ_SIZE);
        if (n >= 0) {
            connection->used += (size_t)n;
            return n;
        }
        if (errno != EINTR) { /* which comes without a handler, too: see chapter 02 */
            return -errno;
        }
    }
}

/* Tells a peer that waits with the body that it may send it (RFC 9110, section 10.1.1), once, and not if some
 * of it is there already. Returns false if the peer is gone. */
static bool send_continue(struct connection *connection)
{
    /* BEGIN SOLUTION */
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = &connection->parser.request;
    if (connection->parser.state <= FIELDS || !request->awaits_continue) {
        return true;
    }
    request->awaits_continue = false;
    const bool has_body = connection->bytes + connection->used > request->body.start;
    return has_body || send_all(connection, interim, sizeof interim - 1, 0);
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // is the head whole, and the peer waiting? Then it gets a 100, once
    return true;
    */
}

int read_request(struct connection *connection)
{
    /* BEGIN SOLUTION */
    struct parser *parser = &connection->parser;
    for (;;) {
        int verdict = parser_feed(parser, connection->bytes, connection->used);
        if (verdict != MORE) {
            return verdict;
        }
        if (!send_continue(connection)) {
            return GONE;
        }
        ssize_t n = connection_read(connection);
        if (n == -EAGAIN) {
            const bool idle = parser->state == REQUEST_LINE && parser->at == connection->used;
            return idle ? GONE : 408;
        }
        if (n < 0) {
            report("read", connection->peer, (int)-n);
        }
        if (n <= 0) {
            return GONE; /* what the peer began to ask will not be finished */
        }
    }
    /* END SOLUTION */
    /* STARTER:
    // One read is not one request, and what it brings may be more than one.
    if (!send_continue(connection) || connection_read(connection) <= 0) {
        return GONE; // gone, or silent?
    }
    int verdict = parser_feed(&connection->parser, connection->bytes, connection->used);
    return verdict == MORE ? GONE : verdict;
    */
}

void connection_next(struct connection *connection)
{
    /* BEGIN SOLUTION */
    connection->used -= connection->parser.at;
    memmove(connection->bytes, connection->bytes + connection->parser.at, connection->used);
    /* END SOLUTION */
    /* STARTER:
    connection->used = 0; // and if the peer has sent the next request already?
    */
    connection->parser = (struct parser){.state = REQUEST_LINE};
}

void drain(const struct connection *connection)
{
    if (shutdown(connection->descriptor, SHUT_WR) < 0) {
        report("shutdown", connection->peer, errno);
        return;
    }
    char discarded[4096];
    for (size_t total = 0; total < DRAIN_LIMIT;) {
        ssize_t n = read(connection->descriptor, discarded, sizeof discarded);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* the end, a reset, or silence: the answer has been given, so nothing is reported */
        }
        total += (size_t)n;
    }
}
