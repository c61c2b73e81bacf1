/* client: asks for one resource, and writes it to standard output: chapter 04's, as far as it is needed here,
 * over any connection. It is given. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdint.h>

#include "url.h"

/* What a script can tell by $?, beside EXIT_SUCCESS, EXIT_FAILURE and EXIT_USAGE: chapter 04's statuses. */
enum {
    EXIT_TIMED_OUT = 3,
    EXIT_UNREACHABLE = 4,
    EXIT_RESPONSE = 5, /* malformed, or cut short */
    EXIT_STATUS = 7,   /* a status of 400 or more; the body has been written all the same */
};

/* Fetches URL. TIMEOUT_MS is how long to wait for a connection, for the head, and for each piece of the body.
 * Returns the status to exit with. */
int fetch(const struct url *url, int64_t timeout_ms);

#endif
