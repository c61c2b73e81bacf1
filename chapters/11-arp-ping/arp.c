#include "arp.h"

#include <string.h>

enum { HARDWARE_ETHERNET = 1, PROTOCOL_IPV4 = 0x0800, IPV4_LENGTH = 4 };

bool arp_parse(struct arp *arp, const uint8_t *frame, size_t size)
{
    /* BEGIN SOLUTION */
    if (size < ETHERNET_HEADER + ARP_LENGTH || get_16(frame + 12) != ETHERTYPE_ARP) {
        return false;
    }
    const uint8_t *packet = frame + ETHERNET_HEADER;
    if (get_16(packet) != HARDWARE_ETHERNET || get_16(packet + 2) != PROTOCOL_IPV4 ||
        packet[4] != MAC_LENGTH || packet[5] != IPV4_LENGTH) {
        return false;
    }
    arp->operation = get_16(packet + 6);
    memcpy(arp->sender_mac, packet + 8, MAC_LENGTH);
    arp->sender = get_32(packet + 14);
    memcpy(arp->target_mac, packet + 18, MAC_LENGTH);
    arp->target = get_32(packet + 24);
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)arp; // RFC 826, "Packet format": two numbers and two lengths say of what kind the addresses are
    (void)frame;
    (void)size;
    return false;
    */
}

size_t arp_write(const struct arp *arp, const uint8_t destination[MAC_LENGTH],
                 uint8_t frame[ETHERNET_LONGEST])
{
    memset(frame, 0, ETHERNET_SHORTEST); /* padding must not tell what this memory held before */
    /* BEGIN SOLUTION */
    memcpy(frame, destination, MAC_LENGTH);
    memcpy(frame + MAC_LENGTH, arp->sender_mac, MAC_LENGTH);
    put_16(frame + 12, ETHERTYPE_ARP);
    uint8_t *packet = frame + ETHERNET_HEADER;
    put_16(packet, HARDWARE_ETHERNET);
    put_16(packet + 2, PROTOCOL_IPV4);
    packet[4] = MAC_LENGTH;
    packet[5] = IPV4_LENGTH;
    put_16(packet + 6, arp->operation);
    memcpy(packet + 8, arp->sender_mac, MAC_LENGTH);
    put_32(packet + 14, arp->sender);
    memcpy(packet + 18, arp->target_mac, MAC_LENGTH);
    put_32(packet + 24, arp->target);
    /* END SOLUTION */
    /* STARTER:
    (void)arp; // the Ethernet header, then the same fields
    (void)destination;
    (void)put_32;
    */
    return ETHERNET_SHORTEST;
}
