#include "host.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>

#include "report.h"

enum { ECHO_PORT = 7 }; /* RFC 862 */

/* ARP and IPv4, sent to this machine or to all. The socket is one for all protocols: it would be shown as
 * well what other programs here send, and frames of a VLAN, before the kernel has looked whether it is in
 * that. */
void host_open(struct host *host, const char *name, uint32_t address)
{
    /* BEGIN SOLUTION */
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7), /* the tag is not in the frame any more */
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IPV4, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_BROADCAST, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    host->address = address;
    link_open(&host->link, name, ETH_P_ALL, &filter);
    /* END SOLUTION */
    /* STARTER:
    static struct sock_filter program[] = {
        BPF_STMT(BPF_RET | BPF_K, 0), // lets nothing through: say what does come through, before this
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    host->address = address;
    link_open(&host->link, name, ETH_P_ALL, &filter);
    */
}

int host_send_arp(const struct host *host, const struct arp *arp, const uint8_t mac[MAC_LENGTH])
{
    uint8_t frame[ETHERNET_LONGEST];
    return link_send(&host->link, frame, arp_write(arp, mac, frame));
}

int host_send(const struct host *host, uint32_t destination, const uint8_t mac[MAC_LENGTH], uint8_t protocol,
              const uint8_t *payload, size_t length)
{
    uint8_t frame[ETHERNET_LONGEST];
    struct ip packet = {
        .source = host->address,
        .destination = destination,
        .protocol = protocol,
        .payload = payload,
        .length = length,
    };
    memcpy(packet.source_mac, host->link.mac, MAC_LENGTH);
    memcpy(packet.destination_mac, mac, MAC_LENGTH);
    return link_send(&host->link, frame, ip_write(&packet, frame));
}

/* RFC 1122, sections 3.2.1.3 and 3.2.2.6. */
bool host_is_meant(const struct host *host, const struct ip *packet)
{
    /* BEGIN SOLUTION */
    const bool nobody = packet->source == 0 || packet->source >> 24 == 127 || /* each machine's own */
                        packet->source >> 28 >= 14; /* multicast, reserved, broadcast */
    return packet->destination == host->address && !nobody && !mac_is_group(packet->source_mac) &&
           !mac_is_group(packet->destination_mac);
    /* END SOLUTION */
    /* STARTER:
    (void)host; // to this address, and from one that can be answered
    (void)packet;
    return false;
    */
}

/* RFC 826, "Packet reception", without a table: whoever asks says where the answer goes. As all that answer
 * here, it returns 0 or -errno. */
static int answer_arp(const struct host *host, const struct arp *question)
{
    /* BEGIN SOLUTION */
    if (question->operation != ARP_REQUEST || question->target != host->address ||
        mac_is_group(question->sender_mac)) {
        return 0;
    }
    struct arp reply = {
        .operation = ARP_REPLY,
        .sender = host->address,
        .target = question->sender,
    };
    memcpy(reply.sender_mac, host->link.mac, MAC_LENGTH);
    memcpy(reply.target_mac, question->sender_mac, MAC_LENGTH);
    return host_send_arp(host, &reply, question->sender_mac);
    /* END SOLUTION */
    /* STARTER:
    (void)host; // only requests, and only those for this address; sender and target change places
    (void)question;
    return 0;
    */
}

/* RFC 792, "Echo or Echo Reply Message"; RFC 1122, section 3.2.2.6: the data come back as they are. */
static int answer_icmp(const struct host *host, const struct ip *packet)
{
    /* BEGIN SOLUTION */
    if (packet->length < ICMP_HEADER || packet->payload[0] != ICMP_ECHO_REQUEST || packet->payload[1] != 0 ||
        checksum_end(checksum_add(0, packet->payload, packet->length)) != 0) {
        return 0;
    }
    uint8_t message[IP_LONGEST_PAYLOAD];
    memcpy(message, packet->payload, packet->length);
    message[0] = ICMP_ECHO_REPLY;
    put_16(message + 2, 0);
    put_16(message + 2, checksum_end(checksum_add(0, message, packet->length)));
    return host_send(host, packet->source, packet->source_mac, PROTOCOL_ICMP, message, packet->length);
    /* END SOLUTION */
    /* STARTER:
    (void)host; // is it an echo request, and is its checksum right? the reply needs a new one
    (void)packet;
    return 0;
    */
}

/* RFC 792, "Destination Unreachable Message": the header that came, and the first 8 bytes of what it carried.
 */
static int answer_unreachable(const struct host *host, const struct ip *packet)
{
    /* BEGIN SOLUTION */
    uint8_t message[ICMP_HEADER + 60 + 8] = {ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE};
    memcpy(message + ICMP_HEADER, packet->header, packet->header_length);
    memcpy(message + ICMP_HEADER + packet->header_length, packet->payload, 8);
    const size_t length = ICMP_HEADER + packet->header_length + 8;
    put_16(message + 2, checksum_end(checksum_add(0, message, length)));
    return host_send(host, packet->source, packet->source_mac, PROTOCOL_ICMP, message, length);
    /* END SOLUTION */
    /* STARTER:
    (void)host; // type and code, four unused bytes, the header that came and 8 bytes more
    (void)packet;
    return 0;
    */
}

/* RFC 768: ports, length, checksum. What recvfrom(2) would tell is read out of the header here. */
static int answer_udp(const struct host *host, const struct ip *packet)
{
    /* BEGIN SOLUTION */
    if (packet->length < UDP_HEADER) {
        return 0;
    }
    struct ip datagram = *packet; /* as long as UDP's header says, which may be less than what IP carries */
    datagram.length = get_16(packet->payload + 4);
    if (datagram.length < UDP_HEADER || datagram.length > packet->length) {
        return 0;
    }
    const uint32_t sum = checksum_pseudo_header(&datagram);
    if (get_16(packet->payload + 6) != 0 && /* 0: the sender has not computed any */
        checksum_end(checksum_add(sum, packet->payload, datagram.length)) != 0) {
        return 0;
    }
    if (get_16(packet->payload + 2) != ECHO_PORT) {
        return answer_unreachable(host, packet);
    }
    const uint16_t source_port = get_16(packet->payload);
    if (source_port == 0 || source_port == ECHO_PORT) {
        return 0; /* nobody's, or another echo's, which would send the answer back for ever */
    }
    uint8_t reply[IP_LONGEST_PAYLOAD];
    memcpy(reply, packet->payload, datagram.length);
    put_16(reply, ECHO_PORT);
    put_16(reply + 2, source_port);
    put_16(reply + 6, 0);
    /* The addresses change places, and a sum does not mind: the pseudo header's is the same. */
    const uint16_t checksum = checksum_end(checksum_add(sum, reply, datagram.length));
    put_16(reply + 6, checksum != 0 ? checksum : 0xFFFF);
    return host_send(host, packet->source, packet->source_mac, PROTOCOL_UDP, reply, datagram.length);
    /* END SOLUTION */
    /* STARTER:
    (void)host; // RFC 768; a checksum of 0 is none; answer_unreachable for ports where nobody listens
    (void)packet;
    (void)answer_unreachable;
    return 0;
    */
}

void host_answer(const struct host *host, const uint8_t *frame, size_t size)
{
    struct arp arp;
    struct ip packet;
    int error = 0;
    if (arp_parse(&arp, frame, size)) {
        error = answer_arp(host, &arp);
    } else if (ip_parse(&packet, frame, size) && host_is_meant(host, &packet)) {
        if (packet.protocol == PROTOCOL_ICMP) {
            error = answer_icmp(host, &packet);
        } else if (packet.protocol == PROTOCOL_UDP) {
            error = answer_udp(host, &packet);
        }
    }
    if (error < 0) {
        report("send", host->link.name, -error);
    }
}
