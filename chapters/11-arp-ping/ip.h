/* ip: the packets of IPv4 (RFC 791), and the checksum that its protocols share (RFC 1071). Nothing here does
 * any input or output. Addresses are numbers in host order.
 */
#ifndef IP_H
#define IP_H

#include "link.h"

enum {
    ETHERTYPE_IPV4 = 0x0800,
    IP_HEADER = 20, /* bytes, without options */
    IP_LONGEST_PAYLOAD = 1500 - IP_HEADER,
    PROTOCOL_ICMP = 1,
    PROTOCOL_UDP = 17,
    ICMP_HEADER = 8,
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_PORT_UNREACHABLE = 3, /* a code */
    ICMP_ECHO_REQUEST = 8,
    UDP_HEADER = 8,
};

/* A packet. What is pointed at belongs to the caller. */
struct ip {
    uint8_t source_mac[MAC_LENGTH];
    uint8_t destination_mac[MAC_LENGTH];
    uint32_t source;
    uint32_t destination;
    uint8_t protocol;
    const uint8_t *header; /* as it came; not looked at by ip_write */
    size_t header_length;
    const uint8_t *payload;
    size_t length; /* of the payload */
};

/* Adds SIZE bytes, as numbers of 16 bits in ones' complement, to SUM: 0 to begin with, or what this returned
 * for an even number of bytes before them. */
uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t size);

/* Returns SUM's complement: what belongs into a checksum field that was zero when it was added. If the right
 * one was in the field, the result is 0. */
uint16_t checksum_end(uint32_t sum);

/* Returns the sum of the pseudo header that UDP's checksum begins with (RFC 768). The length in it is UDP's
 * own: where that is less than what IP carries pass a copy of the packet that is as long. */
uint32_t checksum_pseudo_header(const struct ip *ip);

/* Reads FRAME, of which SIZE bytes are there. IP points into it. Returns false if it is no IPv4 packet, not a
 * whole one, one with a wrong checksum, or a fragment. */
bool ip_parse(struct ip *ip, const uint8_t *frame, size_t size);

/* Writes IP as a frame. Its payload, of IP_LONGEST_PAYLOAD bytes at most, may not overlap FRAME. Returns the
 * frame's length. */
size_t ip_write(const struct ip *ip, uint8_t frame[ETHERNET_LONGEST]);

#endif
