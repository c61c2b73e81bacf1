/* connection: a conversation of one HTTP request after another, over any connection.
 *
 * It has the names that chapter 03 gave them, so that the files of chapter 05 go with it as they are. It is
 * given. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "conn.h"
#include "request.h"

enum {
    READ_SIZE = 16384, /* bytes to ask for at once: what is behind a request has to be moved */
    BUFFER_SIZE = HEAD_LIMIT + BODY_LIMIT + READ_SIZE,
};

/* One conversation, of one request after another. */
struct connection {
    struct conn *conn;
    const char *peer;   /* its address, for messages */
    int64_t timeout_ms; /* for a whole request, and for each piece of an answer */
    bool log;           /* tell of each request on standard error: `REMOTE LOCAL METHOD TARGET` */
    struct parser parser;
    time_t now;              /* when the request was whole, or refused: the Date of the answer */
    size_t used;             /* bytes that are in the buffer */
    char bytes[BUFFER_SIZE]; /* the request, and behind it what the peer has sent ahead */
};

enum { GONE = -1 }; /* beside the parser's verdicts: there is no request, and nobody to answer */

/* Sends all SIZE bytes of DATA. FLAGS: MSG_MORE if something follows. Returns false if the peer is gone or
 * takes nothing for too long. */
bool send_all(const struct connection *connection, const char *data, size_t size, int flags);

/* Waits until the next request is whole, and tells of it if `log` is set. Returns DONE, or the status with
 * which to refuse it, or GONE. */
int read_request(struct connection *connection);

/* Forgets the request that was answered, and makes what is behind it the beginning of the next. */
void connection_next(struct connection *connection);

/* Ends the conversation so that the last answer arrives: see chapter 02. */
void drain(const struct connection *connection);

#endif
