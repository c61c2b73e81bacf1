#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "report.h"

enum { DRAIN_LIMIT = 1 << 20 }; /* bytes to read and forget after the last answer */

bool send_all(const struct connection *connection, const char *data, size_t size, int flags)
{
    connection->conn->write_deadline = now_ms() + connection->timeout_ms;
    int error = conn_write(connection->conn, data, size, (flags & MSG_MORE) != 0);
    if (error == -ETIMEDOUT) {
        return give_up(connection->peer, "takes nothing for too long");
    }
    return error == 0 || report("send", connection->peer, -error);
}

/* Tells a peer that waits with the body that it may send it (RFC 9110, section 10.1.1): see chapter 03. */
static bool send_continue(struct connection *connection)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = &connection->parser.request;
    if (connection->parser.state <= FIELDS || !request->awaits_continue) {
        return true;
    }
    request->awaits_continue = false;
    const bool has_body = connection->bytes + connection->used > request->body.start;
    return has_body || send_all(connection, interim, sizeof interim - 1, 0);
}

/* Reads what has come, behind what is there. Returns as conn_read does. */
static ssize_t connection_read(struct connection *connection)
{
    connection->used = parser_compact(&connection->parser, connection->bytes, connection->used);
    const size_t room = sizeof connection->bytes - connection->used;
    ssize_t n = conn_read(connection->conn, connection->bytes + connection->used,
                          room < READ_SIZE ? room : READ_SIZE);
    connection->used += n > 0 ? (size_t)n : 0;
    return n;
}

/* Tells of the request that was read last, on standard error. */
static void log_request(const struct connection *connection)
{
    const struct request *request = &connection->parser.request;
    char local[ENDPOINT_TEXT];
    fprintf(stderr, "%s %s %.*s %.*s\n", connection->peer, conn_local(connection->conn, local),
            (int)request->method.length, request->method.start, (int)request->target.length,
            request->target.start);
}

int read_request(struct connection *connection)
{
    struct parser *parser = &connection->parser;
    connection->conn->read_deadline = now_ms() + connection->timeout_ms;
    for (;;) {
        int verdict = parser_feed(parser, connection->bytes, connection->used);
        if (verdict == DONE && connection->log) {
            log_request(connection);
        }
        if (verdict != MORE) {
            return verdict;
        }
        if (!send_continue(connection)) {
            return GONE;
        }
        ssize_t n = connection_read(connection);
        if (n == -ETIMEDOUT) {
            const bool idle = parser->state == REQUEST_LINE && parser->at == connection->used;
            return idle ? GONE : 408;
        }
        if (n < 0) {
            report("recv", connection->peer, (int)-n);
        }
        if (n <= 0) {
            return GONE; /* what the peer began to ask will not be finished */
        }
    }
}

void connection_next(struct connection *connection)
{
    connection->used -= connection->parser.at;
    memmove(connection->bytes, connection->bytes + connection->parser.at, connection->used);
    connection->parser = (struct parser){.state = REQUEST_LINE};
}

void drain(const struct connection *connection)
{
    char discarded[4096];
    if (conn_close_write(connection->conn) < 0) {
        return; /* the peer is gone already */
    }
    connection->conn->read_deadline = now_ms() + connection->timeout_ms;
    for (size_t total = 0; total < DRAIN_LIMIT;) {
        ssize_t n = conn_read(connection->conn, discarded, sizeof discarded);
        if (n <= 0) {
            return; /* the end, a reset, or silence: the answer has been given, so nothing is reported */
        }
        total += (size_t)n;
    }
}
