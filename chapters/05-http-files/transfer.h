/* transfer: the bytes of a file, on their way to a peer. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include <stdbool.h>

#include "connection.h"
#include "ranges.h"

/* Sends RANGE of FILE. Returns false if the peer is gone or takes nothing for too long, or if the file has
 * become too short: what was promised cannot be kept then, and the connection has to end. */
bool send_range(const struct connection *connection, int file, struct range range);

#endif
