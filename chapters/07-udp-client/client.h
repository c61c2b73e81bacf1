/* client: asks one server, message after message, each until it is answered or given up. */
#ifndef CLIENT_H
#define CLIENT_H

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "message.h"
#include "statistics.h"

enum {
    EXIT_TIMED_OUT = 3,
    EXIT_UNREACHABLE = 4,
    TRIES_LIMIT = 8,
};

struct client {
    int fd;
    char server[ADDRESS_TEXT]; /* for people */
    size_t size;               /* of each datagram */
    unsigned tries;            /* how often a message is sent, TRIES_LIMIT at most */
    int64_t timeout_ns;        /* how long a message is waited for, all its transmissions together */
    uint64_t session;
    struct statistics statistics;
    unsigned char bytes[LARGEST + 1]; /* of the datagram at hand; one more, so that a longer one shows */
};

/* From now on `server` and `statistics` are about the server at ADDRESS. */
void client_begin(struct client *client, const struct addrinfo *address);

/* Connects a new socket to ADDRESS. Returns 0, and the caller closes `fd`; or -errno. Nothing is sent in
 * either case. Ends the program if it cannot have a socket. */
int client_connect(struct client *client, const struct addrinfo *address);

/* Asks COUNT messages, prints a line for each, and sleeps until all are answered or given up. Returns 0 if
 * all of them were asked, answered or not; -errno of what made it end early. */
int client_ask_all(struct client *client, uint32_t count);

#endif
