/* listener: where peers can reach a TCP server, and the next of them.
 *
 * Chapters 01 and 02 taught this; from chapter 03 on it is given. */
#ifndef LISTENER_H
#define LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT = 64 }; /* room for "tcp:[", the longest IPv6 address (45), "]:65535" and the NUL */

/* An address of either family as the kernel reads it: first the family, then the rest accordingly. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Writes ADDRESS into TEXT as tcp:HOST:PORT or tcp:[V6]:PORT, and returns TEXT. */
const char *address_format(const union address *address, char *text, size_t size);

/* Makes ADDRESS mean PORT at HOST, which is a numeric IPv4 or IPv6 address, or NULL for every address of this
 * machine, IPv6 and IPv4. Returns false if HOST is neither. */
bool address_parse(union address *address, const char *host, uint16_t port);

/* Opens the socket on which peers can reach ADDRESS. Returns its descriptor, or ends the program. */
int listener_open(const union address *address);

/* Says on standard output where LISTENER can be reached, in one line: `listening on ADDRESS`. */
void announce(int listener);

/* Takes the next connection from LISTENER's queue; sleeps while there is none. Sets PEER to the other end's
 * address. Returns the connection's descriptor, which the caller closes, or -errno. */
int accept_peer(int listener, union address *peer);

/* Is ERROR, from accept4, about the one peer that was next in the queue (accept(2), Error handling)? */
bool concerns_one_peer(int error);

/* Lets SIGTERM and SIGINT end the program, with status 0, from wherever it is. */
void stop_on_signals(void);

#endif
