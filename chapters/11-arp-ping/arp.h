/* arp: who has which address (RFC 826), for IPv4 over Ethernet. Nothing here does any input or output. */
#ifndef ARP_H
#define ARP_H

#include "link.h"

enum {
    ETHERTYPE_ARP = 0x0806,
    ARP_LENGTH = 28,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
};

/* What an ARP frame says. IPv4 addresses are numbers in host order, here and everywhere in this program. */
struct arp {
    uint16_t operation;
    uint8_t sender_mac[MAC_LENGTH];
    uint32_t sender;
    uint8_t target_mac[MAC_LENGTH]; /* in a request nobody knows it: zeros */
    uint32_t target;
};

/* Reads FRAME, of which SIZE bytes are there. Returns false if it is no ARP for IPv4 over Ethernet. */
bool arp_parse(struct arp *arp, const uint8_t *frame, size_t size);

/* Writes ARP as a frame to DESTINATION, from the sender's address. Returns its length. */
size_t arp_write(const struct arp *arp, const uint8_t destination[MAC_LENGTH],
                 uint8_t frame[ETHERNET_LONGEST]);

#endif
