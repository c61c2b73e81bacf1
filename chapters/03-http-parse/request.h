/* request: an incremental parser of HTTP/1.1 requests (RFC 9112).
 *
 * It is fed with whatever bytes have come and says: whole, more, or refused and with which status. It
 * allocates nothing: a request is made of slices of the connection's buffer. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "slice.h"

enum {
    HEAD_LIMIT = 8192,      /* bytes of a head, and of a trailer section: RFC 9112, section 3, wants 8000 */
    BODY_LIMIT = 1 << 20,   /* bytes of a body, decoded */
    CHUNK_LINE_LIMIT = 256, /* bytes of a line with a chunk's size and extensions */
    EXTENSION_LIMIT = 8192, /* bytes of all chunk extensions of a request (RFC 9112, section 7.1.1) */
};

/* A request as it was understood. Its slices lie in the connection's buffer, and hold until the next one. */
struct request {
    struct slice method;
    struct slice target;  /* as it came */
    struct slice path;    /* the target's path, without a query; "*" if it names the server as a whole */
    struct slice fields;  /* field lines, each with its line end; field_next walks through them */
    struct slice body;    /* decoded */
    int minor;            /* of the version, HTTP/1.x */
    bool closes;          /* no further request is to be read from this connection, and the answer says so */
    bool awaits_continue; /* the peer waits for a 100 before it sends its body, and has not got one yet */
};

/* Where the parser is in a request: what the next byte belongs to. */
enum state {
    REQUEST_LINE, /* nothing but empty lines so far, or the request line, not whole yet */
    FIELDS,       /* a field, or the empty line that ends the head */
    BODY,         /* as many bytes as Content-Length said */
    CHUNK_SIZE,   /* a line with the size of the next chunk; size 0: the last */
    CHUNK_DATA,
    CHUNK_END, /* the line end behind the data */
    TRAILER,   /* a field, or the empty line that ends a chunked body */
    WHOLE,
};

/* What is known of a request of which some bytes may still be missing. Zeroed, it is ready for one. */
struct parser {
    enum state state;
    size_t at;   /* bytes of the buffer that have been understood */
    size_t kept; /* of those, how many belong to head and decoded body, which lie at the buffer's beginning */
    size_t searched;   /* bytes behind AT in which there is no line feed */
    size_t left;       /* bytes of body, or of this chunk's data, that are still to come */
    size_t extensions; /* bytes of chunk extensions so far */
    size_t trailers;   /* bytes of the trailer section so far */
    unsigned hosts;    /* Host fields */
    bool has_length;   /* there was a Content-Length */
    bool coded;        /* there was a Transfer-Encoding */
    bool chunked;      /* and its last coding so far is chunked */
    bool unknown;      /* and one of its codings is none that is known here */
    bool unmet;        /* there was an Expect that cannot be met */
    struct request request;
};

/* A verdict on some bytes: MORE, DONE, or the status, 400 to 505, with which the request is to be refused. */
enum { MORE = 0, DONE = 1 };

/* Reads a number of nothing but digits of BASE, 10 or 16. One that is too large for a size_t becomes
 * SIZE_MAX. strtoul(3) alone would take " 5", "+5", "-5" and "0x5" as well, and need a NUL at the end. */
bool slice_number(struct slice digits, unsigned base, size_t *number);

/* Takes the next field off FIELDS, whole lines that were found good. Returns false if there is none. */
bool field_next(struct slice *fields, struct slice *name, struct slice *value);

/* Looks at what has come. BYTES, of which USED are there, begin with the request, and are the same memory in
 * each call: the slices point into it. Data of chunks is moved together in it.
 *
 * Returns DONE if the request is whole: it took parser->at bytes, and parser->request tells what it says;
 *         MORE if it wants more bytes, behind those that are there;
 *         a status from 400 on if it has to be refused: no byte after that means anything. */
int parser_feed(struct parser *parser, char *bytes, size_t used);

/* Closes the gap that chunks' sizes leave behind them, so that the buffer has room for BODY_LIMIT bytes of
 * body however many chunks they come in. Returns how many bytes of the buffer are used then. */
size_t parser_compact(struct parser *parser, char *bytes, size_t used);

#endif
