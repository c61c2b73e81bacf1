#include "ip.h"

#include <string.h>

enum { DONT_FRAGMENT = 0x4000, FRAGMENT = 0x3FFF, TIME_TO_LIVE = 64 };

uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t size)
{
    /* BEGIN SOLUTION */
    for (size_t i = 0; i + 1 < size; i += 2) {
        sum += get_16(bytes + i);
    }
    if (size % 2 != 0) {
        sum += (uint32_t)bytes[size - 1] << 8; /* as if a zero followed */
    }
    return (sum & 0xFFFF) + (sum >> 16);
    /* END SOLUTION */
    /* STARTER:
    (void)bytes; // RFC 1071, section 1: what if the number of bytes is odd?
    (void)size;
    return sum;
    */
}

uint16_t checksum_end(uint32_t sum)
{
    /* BEGIN SOLUTION */
    while (sum > 0xFFFF) {
        sum = (sum & 0xFFFF) + (sum >> 16); /* the carry comes back in at the right */
    }
    return (uint16_t)~sum;
    /* END SOLUTION */
    /* STARTER: return (uint16_t)sum; // fold the carries, then take the complement */
}

uint32_t checksum_pseudo_header(const struct ip *ip)
{
    /* BEGIN SOLUTION */
    uint8_t header[12];
    put_32(header, ip->source);
    put_32(header + 4, ip->destination);
    header[8] = 0;
    header[9] = ip->protocol;
    put_16(header + 10, (uint16_t)ip->length);
    return checksum_add(0, header, sizeof header);
    /* END SOLUTION */
    /* STARTER:
    (void)ip; // RFC 768, "Fields": both addresses, zero, protocol, the length of the datagram
    return 0;
    */
}

bool ip_parse(struct ip *ip, const uint8_t *frame, size_t size)
{
    /* BEGIN SOLUTION */
    if (size < ETHERNET_HEADER + IP_HEADER || get_16(frame + 12) != ETHERTYPE_IPV4) {
        return false;
    }
    const uint8_t *header = frame + ETHERNET_HEADER;
    const size_t header_length = (size_t)(header[0] & 15) * 4; /* options make it longer */
    const size_t total = get_16(header + 2);                   /* what follows in the frame is padding */
    if (header[0] >> 4 != 4 || header_length < IP_HEADER || total < header_length ||
        total > size - ETHERNET_HEADER) {
        return false;
    }
    if (checksum_end(checksum_add(0, header, header_length)) != 0 || (get_16(header + 6) & FRAGMENT) != 0) {
        return false;
    }
    memcpy(ip->destination_mac, frame, MAC_LENGTH);
    memcpy(ip->source_mac, frame + MAC_LENGTH, MAC_LENGTH);
    ip->protocol = header[9];
    ip->source = get_32(header + 12);
    ip->destination = get_32(header + 16);
    ip->header = header;
    ip->header_length = header_length;
    ip->payload = header + header_length;
    ip->length = total - header_length;
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)ip; // RFC 791, section 3.1. Which of the lengths is to be believed, and how far?
    (void)frame;
    (void)size;
    return false;
    */
}

size_t ip_write(const struct ip *ip, uint8_t frame[ETHERNET_LONGEST])
{
    memset(frame, 0, ETHERNET_SHORTEST); /* padding must not tell what this memory held before */
    /* BEGIN SOLUTION */
    memcpy(frame, ip->destination_mac, MAC_LENGTH);
    memcpy(frame + MAC_LENGTH, ip->source_mac, MAC_LENGTH);
    put_16(frame + 12, ETHERTYPE_IPV4);
    uint8_t *header = frame + ETHERNET_HEADER;
    header[0] = 4 << 4 | IP_HEADER / 4;
    put_16(header + 2, (uint16_t)(IP_HEADER + ip->length));
    put_16(header + 6, DONT_FRAGMENT); /* so the identification may be 0 (RFC 6864, section 4.1) */
    header[8] = TIME_TO_LIVE;
    header[9] = ip->protocol;
    put_32(header + 12, ip->source);
    put_32(header + 16, ip->destination);
    put_16(header + 10, checksum_end(checksum_add(0, header, IP_HEADER)));
    memcpy(header + IP_HEADER, ip->payload, ip->length);
    /* END SOLUTION */
    /* STARTER:
    (void)ip; // the Ethernet header, the IP header and its checksum, the payload
    */
    const size_t length = ETHERNET_HEADER + IP_HEADER + ip->length;
    return length < ETHERNET_SHORTEST ? ETHERNET_SHORTEST : length;
}
