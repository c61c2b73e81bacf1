/* Fuzzes the host: whatever comes, what it sends is whole, true, and goes to the one who asked.
 *
 * An input is a byte of flags, and a frame. The flags say which checksums are put right before the frame is
 * handed on, for by chance none ever is: 1 for IP's, 2 for that of what it carries. */
#include "fuzz.h"
#include "link.h"

static int captured_send(const struct link *link, const uint8_t *frame, size_t size);

/* Its functions are static, and what it sends stays here. */
#define link_send captured_send
#include "../host.c" // NOLINT(bugprone-suspicious-include)
#undef link_send

const char program_name[] = "fuzz-host";

enum { FIX_IP = 1, FIX_PAYLOAD = 2, HOST_ADDRESS = 0x01020301 };

static const uint8_t own_mac[MAC_LENGTH] = {2, 0, 0, 0, 0, 1};

static struct {
    uint8_t frame[ETHERNET_LONGEST];
    size_t size;
    int count;
} sent;

static int captured_send(const struct link *link, const uint8_t *frame, size_t size)
{
    (void)link;
    require(size >= ETHERNET_SHORTEST && size <= ETHERNET_LONGEST, "a frame has a frame's length");
    memcpy(sent.frame, frame, size);
    sent.size = size;
    sent.count++;
    return 0;
}

/* The remainder of all bytes as one large number by 65535: another way to ones' complement. 0 if a checksum
 * is right. */
static unsigned remainder_of(const uint8_t *bytes, size_t size, unsigned start)
{
    uint64_t rest = start;
    for (size_t i = 0; i < size + size % 2; i++) {
        rest = (rest * 256 + (i < size ? bytes[i] : 0)) % 65535;
    }
    return (unsigned)rest;
}

/* As above, for a datagram or a message behind the IP header at HEADER. */
static unsigned remainder_of_payload(const uint8_t *header, const uint8_t *payload, size_t size)
{
    unsigned start = 0;
    if (header[9] == PROTOCOL_UDP) {
        start = (remainder_of(header + 12, 8, 0) + PROTOCOL_UDP + (unsigned)size) % 65535;
    }
    return (start + remainder_of(payload, size, 0)) % 65535;
}

/* Puts right the checksums of FRAME that FLAGS ask for, where there is room for them. */
static void fix(uint8_t *frame, size_t size, unsigned flags)
{
    uint8_t *header = frame + ETHERNET_HEADER;
    if (size < ETHERNET_HEADER + IP_HEADER) {
        return;
    }
    const size_t length = (size_t)(header[0] & 15) * 4;
    const size_t total = get_16(header + 2);
    if (length < IP_HEADER || total < length || total > size - ETHERNET_HEADER) {
        return;
    }
    if ((flags & FIX_IP) != 0) {
        put_16(header + 10, 0);
        put_16(header + 10, (uint16_t)(65535 - remainder_of(header, length, 0)));
    }
    const size_t place = header[9] == PROTOCOL_UDP ? 6 : 2;
    if ((flags & FIX_PAYLOAD) != 0 && total - length >= 8) {
        uint8_t *payload = header + length;
        const size_t said = header[9] == PROTOCOL_UDP ? get_16(payload + 4) : total - length;
        if (said >= 8 && said <= total - length) {
            put_16(payload + place, 0);
            put_16(payload + place, (uint16_t)(65535 - remainder_of_payload(header, payload, said)));
        }
    }
}

static void require_zeros(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        require(bytes[i] == 0, "padding is zeros");
    }
}

/* What was sent is a packet to who sent FRAME, and every kernel would take it. */
static void require_packet(const uint8_t *frame)
{
    const uint8_t *header = sent.frame + ETHERNET_HEADER;
    const size_t total = get_16(header + 2);
    const uint8_t *payload = header + IP_HEADER;
    require(header[0] == 0x45, "the header has 20 bytes");
    require(total >= IP_HEADER + 8 && ETHERNET_HEADER + total <= sent.size, "the total length is there");
    require(remainder_of(header, IP_HEADER, 0) == 0, "the header's checksum is right");
    require(remainder_of_payload(header, payload, total - IP_HEADER) == 0,
            "the checksum of what it carries is right");
    require(get_32(header + 12) == HOST_ADDRESS, "it comes from this host");
    require(get_32(header + 16) == get_32(frame + ETHERNET_HEADER + 12), "it goes to the one who asked");
    require(memcmp(sent.frame, frame + MAC_LENGTH, MAC_LENGTH) == 0,
            "it goes to where the question came from");
    require(get_32(frame + ETHERNET_HEADER + 12) >> 24 != 127, "it goes to a machine on the link");
    require(header[9] != PROTOCOL_UDP || (get_16(payload + 2) != 0 && get_16(payload + 2) != ECHO_PORT),
            "no echo answers an echo");
    require_zeros(header + total, sent.size - ETHERNET_HEADER - total);
}

static void require_arp(const uint8_t *frame)
{
    struct arp question;
    struct arp reply;
    require(arp_parse(&question, frame, ETHERNET_HEADER + ARP_LENGTH), "ARP answers ARP");
    require(arp_parse(&reply, sent.frame, sent.size), "ARP is whole");
    require(question.operation == ARP_REQUEST && reply.operation == ARP_REPLY, "a reply answers a request");
    require(reply.sender == HOST_ADDRESS && memcmp(reply.sender_mac, own_mac, MAC_LENGTH) == 0,
            "it tells the truth");
    require(reply.target == question.sender, "it is for the one who asked");
    require(memcmp(sent.frame, question.sender_mac, MAC_LENGTH) == 0, "it goes to the one who asked");
    require_zeros(sent.frame + ETHERNET_HEADER + ARP_LENGTH, sent.size - ETHERNET_HEADER - ARP_LENGTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const struct host host = {.link = {.name = "fuzz", .mac = {2, 0, 0, 0, 0, 1}},
                                     .address = HOST_ADDRESS};
    if (length < 1 || length - 1 > ETHERNET_LONGEST) {
        return 0;
    }
    const size_t size = length - 1;
    uint8_t *frame =
        malloc(size > 0 ? size : 1); /* of its own length, so that a look behind its end is seen */
    require(frame != NULL, "there is memory");
    memcpy(frame, data + 1, size);
    fix(frame, size, data[0]);
    sent.count = 0;
    host_answer(&host, frame, size);
    require(sent.count <= 1, "one frame has one answer at most");
    if (sent.count == 1) {
        require(!mac_is_group(sent.frame), "no answer goes to a group");
        require(memcmp(sent.frame + MAC_LENGTH, own_mac, MAC_LENGTH) == 0, "it comes from this interface");
        if (get_16(sent.frame + 12) == ETHERTYPE_ARP) {
            require_arp(frame);
        } else {
            require_packet(frame);
        }
    }
    free(frame);
    return 0;
}
