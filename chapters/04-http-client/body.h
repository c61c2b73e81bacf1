/* body: what follows the head, by each of its framings, to where it is to go. */
#ifndef BODY_H
#define BODY_H

#include <stddef.h>

#include "connection.h"
#include "response.h"

/* Where the body goes. */
struct output {
    int fd;
    const char *path; /* NULL: there is nothing to be named in the end */
};

/* Writes all SIZE bytes of DATA. Returns EXIT_SUCCESS or the status to exit with. */
int output_write(const struct output *output, const char *data, size_t size);

/* Copies the body to OUTPUT. Returns EXIT_SUCCESS if it was whole, else the status to exit with. */
int body_receive(struct connection *connection, enum framing framing, uint64_t length,
                 const struct output *output);

#endif
