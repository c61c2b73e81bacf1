/* address: where a program can be reached, and what peers look like, on TCP and UDP.
 *
 * Chapters 01 and 02 taught this; from chapter 03 on it is given. */
#ifndef ADDRESS_H
#define ADDRESS_H

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

/* Writes ADDRESS into TEXT as KIND:HOST:PORT or KIND:[V6]:PORT, and returns TEXT. KIND is "tcp" or "udp". */
const char *address_format(const char *kind, const union address *address, char *text, size_t size);

/* Makes ADDRESS mean PORT at HOST, which is a numeric IPv4 or IPv6 address, or NULL for every address of this
 * machine, IPv6 and IPv4. Returns false if HOST is neither. */
bool address_parse(union address *address, const char *host, uint16_t port);

/* Returns how many bytes of ADDRESS the kernel reads. */
socklen_t address_length(const union address *address);

/* Says on standard output where the socket FD, a KIND one, can be reached, in one line: `listening on
 * ADDRESS`. Ends the program with status 1 if that cannot be. */
void announce(const char *kind, int fd);

#endif
