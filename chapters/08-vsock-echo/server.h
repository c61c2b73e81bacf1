/* server: sends back what comes, to one peer after another. */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <sys/time.h>

#include "vsock.h"

/* Serves at ADDRESS until a signal ends the program: whole messages with SEQPACKET, else a stream. */
_Noreturn void serve(const struct sockaddr_vm *address, bool seqpacket, const struct timeval *timeout);

#endif
