/* client: sends a file to an echo server, and writes what comes back to standard output, both at once. */
#ifndef CLIENT_H
#define CLIENT_H

#include <sys/time.h>

#include "vsock.h"

/* What a script can tell by $?, beside EXIT_SUCCESS, EXIT_FAILURE and EXIT_USAGE. */
enum {
    EXIT_TIMED_OUT = 3,
    EXIT_NOBODY = 4,    /* no such machine, or nobody who listens there */
    EXIT_NO_DEVICE = 5, /* this machine has no vsock */
    EXIT_BROKEN = 6,    /* what came back is not as much as was sent */
};

/* Sends what is read from INPUT to ADDRESS, and waits no longer than TIMEOUT for a silent peer. Returns the
 * status to exit with. */
int client_run(const struct sockaddr_vm *address, int input, const struct timeval *timeout);

#endif
