/* host: one IPv4 address on one interface, and what a host owes to those who speak to it: answers to ARP, to
 * echo requests, and to UDP.
 */
#ifndef HOST_H
#define HOST_H

#include "arp.h"
#include "ip.h"

struct host {
    struct link link;
    uint32_t address;
};

/* Opens the interface NAME for ARP and IPv4, as ADDRESS. Ends the program if that is not possible. */
void host_open(struct host *host, const char *name, uint32_t address);

/* Answers FRAME, of which SIZE bytes are there, if it wants an answer from HOST. Errors are reported. */
void host_answer(const struct host *host, const uint8_t *frame, size_t size);

/* Sends PAYLOAD of LENGTH bytes as a packet of PROTOCOL to DESTINATION, at MAC. Returns 0 or -errno. */
int host_send(const struct host *host, uint32_t destination, const uint8_t mac[MAC_LENGTH], uint8_t protocol,
              const uint8_t *payload, size_t length);

/* Sends ARP to MAC. Returns 0 or -errno. */
int host_send_arp(const struct host *host, const struct arp *arp, const uint8_t mac[MAC_LENGTH]);

/* Is PACKET one for HOST, from somebody whom one can answer? */
bool host_is_meant(const struct host *host, const struct ip *packet);

#endif
