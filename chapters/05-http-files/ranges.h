/* ranges: which parts of a file a request asks for (RFC 9110, section 14). */
#ifndef RANGES_H
#define RANGES_H

#include <stddef.h>
#include <sys/types.h>

#include "conditions.h"
#include "connection.h"

enum { RANGES_LIMIT = 16 }; /* ranges in one request */

/* Part of a file: the offsets of its first byte and of its last one, as in Content-Range. */
struct range {
    off_t first;
    off_t last;
};

/* The parts of a file that are to be sent, in this order. No two of them overlap or touch. */
struct ranges {
    size_t count;
    struct range at[RANGES_LIMIT];
};

/* What a Range field comes to. */
enum selection {
    WHOLE_FILE, /* as if it were not there */
    PARTS,
    NOTHING, /* of the file is in the ranges that were asked for: 416 */
};

/* Reads the value of a Range field, for a file of SIZE bytes, into RANGES. */
enum selection ranges_parse(const char *value, off_t size, struct ranges *ranges);

/* Decides which parts of RESOURCE the request is to be answered with. */
enum selection select_ranges(const struct connection *connection, const struct resource *resource,
                             struct ranges *ranges);

#endif
