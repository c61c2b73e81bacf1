/* response: the head of an answer, and how one sees where its body ends (RFC 9112). */
#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connection.h"

/* How one sees where a body ends (RFC 9112, section 6.3). */
enum framing {
    FRAMING_NONE,    /* there is none */
    FRAMING_CHUNKED, /* a chunk of size 0 */
    FRAMING_LENGTH,  /* after so many bytes */
    FRAMING_CLOSE,   /* where the stream ends */
};

struct response {
    int status;
    int minor;            /* of the version: 0 in HTTP/1.0 */
    bool has_length;      /* there is a Content-Length */
    uint64_t length;      /* it */
    bool is_coded;        /* there is a Transfer-Encoding */
    bool is_chunked;      /* and it is the one that everybody must know */
    const char *location; /* in text; NULL if there is none */
    size_t head_length;
    char text[HEAD_LIMIT + 1]; /* the head, taken to pieces: a NUL after each line */
};

/* Receives the head of the final response; those of interim ones, which may come before it, are passed over.
 * Returns EXIT_SUCCESS or the status to exit with. */
int response_receive(struct connection *connection, struct response *response);

/* Finds out how one will see where the body ends, by the rules of RFC 9112, section 6.3, in their order.
 * Returns NULL, or what is wrong. */
const char *framing_of(const struct response *response, enum framing *framing);

#endif
