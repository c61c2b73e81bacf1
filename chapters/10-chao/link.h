/* link: a packet socket on one interface. It speaks and hears whole Ethernet frames, header included, and the
 * kernel's protocols have no part in it (packet(7)).
 */
#ifndef LINK_H
#define LINK_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum {
    MAC_LENGTH = 6,
    MAC_TEXT = 18,          /* room for "52:54:00:00:01:01" and the NUL */
    ETHERNET_HEADER = 14,   /* destination, source, EtherType */
    ETHERNET_SHORTEST = 60, /* bytes of a frame, without the 4 of its checksum: IEEE 802.3 */
    ETHERNET_LONGEST = 1514,
};

struct link {
    const char *name;        /* of the interface; the caller's */
    int socket;              /* closed by the program's end */
    int index;               /* the kernel's number for the interface */
    uint8_t mac[MAC_LENGTH]; /* its own address */
};

/* Opens the interface NAME for frames of PROTOCOL, an EtherType in host order or ETH_P_ALL, that FILTER lets
 * through. No frame reaches the socket before both hold. Ends the program if that is not possible. */
void link_open(struct link *link, const char *name, uint16_t protocol, const struct sock_fprog *filter);

/* Lets the interface hear every group address (multicast) as long as the socket is open. */
void link_hear_groups(const struct link *link);

/* Waits until UNTIL (CLOCK_MONOTONIC; NULL: for ever) for a frame, and puts it into FRAME of SIZE bytes.
 * Returns its length, which may be more than SIZE: then the rest is lost. -ETIMEDOUT at UNTIL, else -errno.
 */
ssize_t link_receive(const struct link *link, uint8_t *frame, size_t size, const struct timespec *until);

/* Sends FRAME of SIZE bytes, as it is. Returns 0 or -errno. */
int link_send(const struct link *link, const uint8_t *frame, size_t size);

/* The moment that is MILLISECONDS from now, for link_receive. */
struct timespec link_deadline(long milliseconds);

/* Reads six bytes in hexadecimal, colons between them. Returns false if TEXT is anything else. */
bool mac_parse(uint8_t mac[MAC_LENGTH], const char *text);

/* Writes MAC as mac_parse reads it, and returns TEXT. */
const char *mac_format(const uint8_t mac[MAC_LENGTH], char text[MAC_TEXT]);

/* Is MAC the address of a group, broadcast among them: is the lowest bit of its first byte set? */
bool mac_is_group(const uint8_t mac[MAC_LENGTH]);

/* The two bytes, and the four, at BYTES, which are big-endian as all numbers on the wire are. */
uint16_t get_16(const uint8_t *bytes);
uint32_t get_32(const uint8_t *bytes);
void put_16(uint8_t *bytes, uint16_t number);
void put_32(uint8_t *bytes, uint32_t number);

#endif
