/* connection: to one of the addresses of a host, with a deadline for whatever is waited for. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "url.h"

enum {
    HEAD_LIMIT = 16384, /* bytes of a response's head, blank line included, and of all trailers */
};

/* A connection, with what has been received and not been used yet: bytes[begin] to bytes[end - 1]. */
struct connection {
    int fd;
    const char *host;
    int64_t timeout_ms;
    int64_t deadline; /* in milliseconds of now_ms, for whatever is waited for next */
    size_t earned;    /* bytes of body since the deadline was set */
    size_t begin, end;
    char bytes[HEAD_LIMIT];
};

/* Returns the time in milliseconds, by a clock that nobody sets. */
int64_t now_ms(void);

/* Resolves the host and connects to it, within the time that CONNECTION has; sets the deadline for that.
 * Returns EXIT_SUCCESS, and a descriptor in CONNECTION that the caller closes, or the status to exit with. */
int connection_open(struct connection *connection, const struct url *url);

/* Sends all SIZE bytes of DATA before the deadline. Returns 0 or -errno. */
int connection_send(struct connection *connection, const char *data, size_t size);

/* Receives what there is, waiting for it until the deadline, and puts it behind what the connection holds
 * already. There must be room. Returns how much came, 0 at the end of the stream, or -errno. */
ssize_t connection_fill(struct connection *connection);

/* Says why a response did not become whole: CALL, recv or send, has ended as RESULT says, which is what
 * connection_fill or connection_send has returned. */
int fail_broken(const struct connection *connection, const char *call, ssize_t result);

int fail_malformed(const struct connection *connection, const char *why);

#endif
