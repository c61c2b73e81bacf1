/* arp-ping: an IPv4 host in user space, as far as ARP, ICMP echo and UDP echo go, on a link where the kernel
 * has no address; and a pinger.
 *
 *   arp-ping --interface NAME --address ADDRESS                                    answers
 *   arp-ping --interface NAME --address ADDRESS [--count N] [--size BYTES]
 *            [--timeout SECONDS] TARGET                                            pings
 *
 * Needs CAP_NET_RAW (capabilities(7)).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "report.h"
#include "signals.h"

const char program_name[] = "arp-ping";

enum {
    EXIT_TIMED_OUT = 3,
    ARP_TRIES = 3,
    LONGEST_DATA = IP_LONGEST_PAYLOAD - ICMP_HEADER, /* bytes in an echo request: 1472 */
};

static const uint8_t everybody[MAC_LENGTH] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct options {
    const char *interface;
    const char *address;
    long milliseconds; /* how long one answer is waited for */
    long count;
    long size;          /* bytes of data in an echo request */
    const char *target; /* NULL: answer */
};

/* Whom the pinger pings, and what has come of it. */
struct target {
    const char *text;
    uint32_t address;
    uint8_t mac[MAC_LENGTH];
    uint16_t identifier;
    long sent;
    long received;
    double shortest; /* milliseconds */
    double longest;
    double sum;
};

static long parse_number(const char *text, long least, long most, const char *what)
{
    char *end = NULL;
    errno = 0;
    const long number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least || number > most) {
        usage_error(what, text);
    }
    return number;
}

static uint32_t parse_address(const char *text)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1) {
        usage_error("not an IPv4 address", text);
    }
    return ntohl(address.s_addr);
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "arp-ping";
    static const struct option known[] = {
        {"interface", required_argument, NULL, 'i'},
        {"address", required_argument, NULL, 'a'},
        {"count", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.milliseconds = 1000, .count = 3, .size = 56};
    struct timeval timeout;
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'i':
            options.interface = optarg;
            break;
        case 'a':
            options.address = optarg;
            break;
        case 'c':
            options.count = parse_number(optarg, 1, UINT16_MAX, "not a count from 1 to 65535");
            break;
        case 's':
            options.size = parse_number(optarg, 0, LONGEST_DATA, "not a size from 0 to 1472");
            break;
        case 't':
            timeout = parse_timeout(optarg);
            options.milliseconds = timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
            break;
        case 'h':
            puts("usage: arp-ping --interface NAME --address ADDRESS [--count N] [--size BYTES]\n"
                 "                [--timeout SECONDS] [TARGET]");
            exit(EXIT_SUCCESS);
        default: /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        options.target = argv[optind++];
    }
    if (optind < argc) {
        usage_error("unexpected argument", argv[optind]);
    }
    return options;
}

/* Waits for a frame until UNTIL, and answers it if it wants an answer. Returns its length, at most SIZE;
 * -ETIMEDOUT at UNTIL. */
static ssize_t next_frame(const struct host *host, uint8_t *frame, size_t size, const struct timespec *until)
{
    for (;;) {
        const ssize_t length = link_receive(&host->link, frame, size, until);
        if (length == -ENETDOWN) {
            report("recv", host->link.name,
                   ENETDOWN); /* told once: when it is up again, the socket hears again */
            continue;
        }
        if (length < 0 && length != -ETIMEDOUT) {
            die("recv", host->link.name, (int)-length);
        }
        if (length >= 0 && (size_t)length <= size) {
            host_answer(host, frame, (size_t)length);
        } else if (length >= 0) {
            continue; /* longer than Ethernet's frames */
        }
        return length;
    }
}

_Noreturn static void answer(const struct host *host)
{
    stop_on_signals();
    printf("listening on packet:%s\n", host->link.name);
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
    for (;;) {
        uint8_t frame[ETHERNET_LONGEST];
        next_frame(host, frame, sizeof frame, NULL);
    }
}

/* Asks who has TARGET's address, and waits for the answer until UNTIL. What others say unasked is not
 * believed. */
static bool resolve_once(const struct host *host, struct target *target, const struct timespec *until)
{
    /* BEGIN SOLUTION */
    struct arp question = {.operation = ARP_REQUEST, .sender = host->address, .target = target->address};
    memcpy(question.sender_mac, host->link.mac, MAC_LENGTH);
    const int error = host_send_arp(host, &question, everybody);
    if (error < 0) {
        die("send", host->link.name, -error);
    }
    uint8_t frame[ETHERNET_LONGEST];
    for (ssize_t length = 0; (length = next_frame(host, frame, sizeof frame, until)) >= 0;) {
        struct arp reply;
        if (arp_parse(&reply, frame, (size_t)length) && reply.operation == ARP_REPLY &&
            reply.sender == target->address && reply.target == host->address &&
            memcmp(reply.target_mac, host->link.mac, MAC_LENGTH) == 0 && !mac_is_group(reply.sender_mac)) {
            memcpy(target->mac, reply.sender_mac, MAC_LENGTH);
            return true;
        }
    }
    return false;
    /* END SOLUTION */
    /* STARTER:
    (void)host; // a request to everybody; then next_frame, until a reply comes that answers it
    (void)target;
    (void)until;
    (void)everybody;
    return false;
    */
}

static bool resolve(const struct host *host, struct target *target, long milliseconds)
{
    for (int try = 0; try < ARP_TRIES; try++) {
        const struct timespec until = link_deadline(milliseconds);
        if (resolve_once(host, target, &until)) {
            char text[MAC_TEXT];
            printf("%s is at %s\n", target->text, mac_format(target->mac, text));
            return true;
        }
    }
    return false;
}

/* Is FRAME the reply to REQUEST, an echo request of LENGTH bytes to TARGET? All but type and checksum come
 * back. */
static bool is_reply(const struct host *host, const struct target *target, const uint8_t *frame, size_t size,
                     const uint8_t *request, size_t length)
{
    /* BEGIN SOLUTION */
    struct ip packet;
    return ip_parse(&packet, frame, size) && host_is_meant(host, &packet) &&
           packet.protocol == PROTOCOL_ICMP && packet.source == target->address && packet.length == length &&
           packet.payload[0] == ICMP_ECHO_REPLY && packet.payload[1] == 0 &&
           checksum_end(checksum_add(0, packet.payload, length)) == 0 &&
           memcmp(packet.payload + 4, request + 4, length - 4) == 0;
    /* END SOLUTION */
    /* STARTER:
    (void)host; // from the target, whole, with a right checksum, and all that the request had behind that
    (void)target;
    (void)frame;
    (void)size;
    (void)request;
    (void)length;
    return false;
    */
}

static double milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 + (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

/* Notes an answer to the request SEQUENCE, of SIZE bytes of data, that took MILLISECONDS, and says so. */
static void note(struct target *target, long sequence, long size, double milliseconds)
{
    target->received++;
    target->sum += milliseconds;
    if (target->received == 1 || milliseconds < target->shortest) {
        target->shortest = milliseconds;
    }
    if (milliseconds > target->longest) {
        target->longest = milliseconds;
    }
    printf("%ld bytes from %s: seq=%ld time=%.3f ms\n", size, target->text, sequence, milliseconds);
}

/* Sends the echo request SEQUENCE, and waits for its answer. */
static void ping_once(const struct host *host, struct target *target, long sequence,
                      const struct options *options)
{
    /* BEGIN SOLUTION */
    uint8_t request[IP_LONGEST_PAYLOAD] = {ICMP_ECHO_REQUEST, 0};
    const size_t length = ICMP_HEADER + (size_t)options->size;
    put_16(request + 4, target->identifier);
    put_16(request + 6, (uint16_t)sequence);
    for (size_t i = ICMP_HEADER; i < length; i++) {
        request[i] = (uint8_t)(i + (size_t)sequence);
    }
    put_16(request + 2, checksum_end(checksum_add(0, request, length)));
    const struct timespec start = link_deadline(0);
    const struct timespec until = link_deadline(options->milliseconds);
    const int error = host_send(host, target->address, target->mac, PROTOCOL_ICMP, request, length);
    if (error < 0) {
        die("send", host->link.name, -error);
    }
    target->sent++;
    uint8_t frame[ETHERNET_LONGEST];
    for (ssize_t n = 0; (n = next_frame(host, frame, sizeof frame, &until)) >= 0;) {
        if (is_reply(host, target, frame, (size_t)n, request, length)) {
            note(target, sequence, options->size, milliseconds_since(&start));
            return;
        }
    }
    printf("no answer from %s: seq=%ld\n", target->text, sequence);
    /* END SOLUTION */
    /* STARTER:
    (void)host; // RFC 792; host_send, count `sent`; next_frame until is_reply, note; a line if there is none
    (void)target;
    (void)sequence;
    (void)options;
    (void)is_reply;
    (void)milliseconds_since;
    (void)note;
    */
}

static int ping(const struct host *host, const struct options *options)
{
    struct target target = {
        .text = options->target,
        .address = parse_address(options->target),
        .identifier = (uint16_t)getpid(),
    };
    if (!resolve(host, &target, options->milliseconds)) {
        give_up(target.text, "i/o timeout: nobody says that this address is theirs");
        return EXIT_TIMED_OUT;
    }
    for (long sequence = 1; sequence <= options->count; sequence++) {
        ping_once(host, &target, sequence, options);
    }
    printf("%ld sent, %ld received, %.0f%% lost", target.sent, target.received,
           target.sent > 0 ? 100.0 * (double)(target.sent - target.received) / (double)target.sent : 0.0);
    if (target.received > 0) {
        printf("; min/avg/max %.3f/%.3f/%.3f ms", target.shortest, target.sum / (double)target.received,
               target.longest);
    }
    putchar('\n');
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
    if (target.received == 0) {
        give_up(target.text, "i/o timeout");
        return EXIT_TIMED_OUT;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const struct options options = parse_options(argc, argv);
    if (options.interface == NULL || options.address == NULL) {
        usage_error("it has to be given", options.interface == NULL ? "--interface" : "--address");
    }
    const uint32_t address = parse_address(options.address);
    if (options.target != NULL) {
        parse_address(options.target); /* before any socket is opened */
    }
    struct host host;
    host_open(&host, options.interface, address);
    if (options.target != NULL) {
        return ping(&host, &options);
    }
    answer(&host);
}
