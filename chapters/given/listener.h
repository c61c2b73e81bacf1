/* listener: a TCP server's socket, and the next of its peers.
 *
 * Chapters 01 and 02 taught this; from chapter 03 on it is given. */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include "address.h"

/* Opens the socket on which peers can reach ADDRESS. Returns its descriptor, or ends the program with
 * status 1. */
int listener_open(const union address *address);

/* Takes the next connection from LISTENER's queue; sleeps while there is none. Sets PEER to the other end's
 * address. Returns the connection's descriptor, which the caller closes, or -errno. */
int accept_peer(int listener, union address *peer);

/* Is ERROR, from accept4, about the one peer that was next in the queue (accept(2), Error handling)? */
bool concerns_one_peer(int error);

#endif
