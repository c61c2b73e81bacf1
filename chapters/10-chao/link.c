#define _GNU_SOURCE /* ppoll(2) */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "report.h"

/* Asks the kernel what LINK's interface is: its number and its address. Any socket may ask (netdevice(7)). */
static void link_find(struct link *link)
{
    struct ifreq request = {.ifr_flags = 0};
    memcpy(request.ifr_name, link->name, strlen(link->name) + 1);
    if (ioctl(link->socket, SIOCGIFINDEX, &request) < 0) {
        die("ioctl", link->name, errno);
    }
    link->index = request.ifr_ifindex;
    if (ioctl(link->socket, SIOCGIFHWADDR, &request) < 0) {
        die("ioctl", link->name, errno);
    }
    memcpy(link->mac, request.ifr_hwaddr.sa_data, MAC_LENGTH);
}

void link_open(struct link *link, const char *name, uint16_t protocol, const struct sock_fprog *filter)
{
    link->name = name;
    if (strlen(name) >= IF_NAMESIZE) {
        usage_error("longer than an interface's name can be", name);
    }
    /* BEGIN SOLUTION */
    /* Protocol 0 hears nothing. With another one the socket would hear every interface from here on. */
    link->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (link->socket < 0) {
        die("socket", "AF_PACKET", errno);
    }
    link_find(link);
    if (setsockopt(link->socket, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter) < 0) {
        die("setsockopt", "SO_ATTACH_FILTER", errno);
    }
    const struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(protocol),
        .sll_ifindex = link->index,
    };
    if (bind(link->socket, (const struct sockaddr *)&address, sizeof address) < 0) {
        die("bind", name, errno);
    }
    /* END SOLUTION */
    /* STARTER:
    (void)protocol; // socket(2) with AF_PACKET, SOCK_RAW and protocol 0; link_find; SO_ATTACH_FILTER; bind(2)
    (void)filter;
    (void)link_find;
    die("link_open", name, ENOSYS);
    */
}

void link_hear_groups(const struct link *link)
{
    /* BEGIN SOLUTION */
    const struct packet_mreq membership = {.mr_ifindex = link->index, .mr_type = PACKET_MR_ALLMULTI};
    if (setsockopt(link->socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) < 0) {
        die("setsockopt", "PACKET_ADD_MEMBERSHIP", errno);
    }
    /* END SOLUTION */
    /* STARTER:
    (void)link; // setsockopt(2) with SOL_PACKET and PACKET_ADD_MEMBERSHIP
    */
}

/* How long it is from now to UNTIL; nothing if that has passed. */
static struct timespec time_left(const struct timespec *until)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct timespec left = {
        .tv_sec = until->tv_sec - now.tv_sec,
        .tv_nsec = until->tv_nsec - now.tv_nsec,
    };
    if (left.tv_nsec < 0) {
        left.tv_nsec += 1000000000;
        left.tv_sec--;
    }
    return left.tv_sec < 0 ? (struct timespec){.tv_sec = 0} : left;
}

ssize_t link_receive(const struct link *link, uint8_t *frame, size_t size, const struct timespec *until)
{
    struct pollfd readable = {.fd = link->socket, .events = POLLIN};
    for (;;) {
        const struct timespec left = until != NULL ? time_left(until) : (struct timespec){.tv_sec = 0};
        const int ready = ppoll(&readable, 1, until != NULL ? &left : NULL, NULL);
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            return ready < 0 ? -errno : -ETIMEDOUT;
        }
        const ssize_t length = recv(link->socket, frame, size, MSG_TRUNC | MSG_DONTWAIT);
        if (length >= 0) {
            return length;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
}

int link_send(const struct link *link, const uint8_t *frame, size_t size)
{
    for (;;) {
        if (send(link->socket, frame, size, 0) >= 0) { /* a frame goes whole, or not at all */
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

struct timespec link_deadline(long milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

bool mac_parse(uint8_t mac[MAC_LENGTH], const char *text)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    for (size_t i = 0; i < MAC_LENGTH; i++, text += 3) {
        const char end = i + 1 < MAC_LENGTH ? ':' : '\0';
        if (strspn(text, digits) != 2 || text[2] != end) {
            return false;
        }
        mac[i] = (uint8_t)strtoul(text, NULL, 16); /* up to the colon */
    }
    return true;
}

const char *mac_format(const uint8_t mac[MAC_LENGTH], char text[MAC_TEXT])
{
    snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return text;
}

bool mac_is_group(const uint8_t mac[MAC_LENGTH])
{
    return (mac[0] & 1) != 0;
}

uint16_t get_16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t get_32(const uint8_t *bytes)
{
    return (uint32_t)get_16(bytes) << 16 | get_16(bytes + 2);
}

void put_16(uint8_t *bytes, uint16_t number)
{
    bytes[0] = (uint8_t)(number >> 8);
    bytes[1] = (uint8_t)number;
}

void put_32(uint8_t *bytes, uint32_t number)
{
    put_16(bytes, (uint16_t)(number >> 16));
    put_16(bytes + 2, (uint16_t)number);
}
