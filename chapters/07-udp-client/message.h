/* message: what goes into a datagram, so that its echo can be told from everything else.
 *
 *     8 bytes   the session: random, the same in all datagrams of one run
 *     4 bytes   number of the message, from 1
 *     4 bytes   number of the transmission of this message, from 1
 *     the rest  filling, which follows from its position
 *
 * Both numbers are big-endian. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEADER = 16,
    LARGEST = 65507, /* bytes in a UDP datagram over IPv4: see chapter 06 */
};

struct message {
    uint64_t session;
    uint32_t number;
    uint32_t transmission;
};

/* Writes MESSAGE into BYTES, SIZE of them (HEADER at least). */
void message_write(const struct message *message, unsigned char *bytes, size_t size);

/* Reads MESSAGE from LENGTH BYTES. Returns false if they are not, to the last one, what message_write would
 * have written for some message of this SIZE. */
bool message_read(struct message *message, const unsigned char *bytes, size_t length, size_t size);

#endif
