/* udp-echo: sends every datagram back to where it came from, whole, from the address that it was sent to.
 *
 * One socket, no connections: whoever sends next is served next. SIGUSR1 prints what has become of the
 * datagrams so far. The lesson is README.md. */
#define _GNU_SOURCE /* ppoll(2), struct in6_pktinfo */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "address.h"
#include "report.h"
#include "signals.h"

enum {
    LARGEST = 65507, /* bytes in a UDP datagram over IPv4: 65,535 less 20 of IP and 8 of UDP (RFC 768) */
};

const char program_name[] = "udp-echo";

struct options {
    const char *host; /* numeric; NULL: every address of this machine, IPv6 and IPv4 */
    uint16_t port;    /* 0: the kernel chooses a free one */
    size_t size;      /* of the buffer: what is longer is not echoed */
};

/* What has become of the datagrams; `received` is the sum of the others. */
struct counters {
    unsigned long received;
    unsigned long echoed;
    unsigned long truncated; /* longer than the buffer */
    unsigned long unsent;    /* the kernel would not send the echo */
};

/* One datagram, and all that it takes to answer it. The same `header` serves recvmsg(2) and sendmsg(2). */
struct datagram {
    struct msghdr header;
    struct iovec data;
    size_t room;
    union address peer;
    _Alignas(struct cmsghdr) char control[256]; /* cmsg(3): aligned as the header that it begins with */
};

/* Set by SIGUSR1, taken by the loop. */
static volatile sig_atomic_t counters_wanted;

/* Reads the size of the buffer: 1 to 65507, decimal digits alone. */
static size_t parse_size(const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long size = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || size < 1 || size > LARGEST) {
        usage_error("not a size from 1 to 65507", text);
    }
    return size;
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "udp-echo";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'}, {"port", required_argument, NULL, 'p'},
        {"size", required_argument, NULL, 's'}, {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    struct options options = {.host = NULL, .port = 0, .size = LARGEST};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'b':
            options.host = optarg;
            break;
        case 'p':
            options.port = parse_port(optarg);
            break;
        case 's':
            options.size = parse_size(optarg);
            break;
        case 't':
            parse_timeout(optarg); /* every server takes it; this one waits for nobody in particular */
            break;
        case 'h':
            puts("usage: udp-echo [--bind HOST] [--port N] [--size BYTES] [--timeout SECONDS]");
            exit(EXIT_SUCCESS);
        default: /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        usage_error("unexpected argument", argv[optind]);
    }
    return options;
}

/* BEGIN SOLUTION */
/* Sets an option of the socket FD, an int, or ends the program. */
static void set_option(int fd, int level, int option, int value, const char *name)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0) {
        die("setsockopt", name, errno);
    }
}
/* END SOLUTION */
/* STARTER: */

/* Opens a socket that receives what is sent to ADDRESS, and tells with each datagram which of the machine's
 * addresses it was sent to. Returns its descriptor, or ends the program. */
static int socket_open(const union address *address)
{
    char text[ADDRESS_TEXT];
    address_format("udp", address, text, sizeof text);
    /* BEGIN SOLUTION */
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket", text, errno);
    }
    /* No SO_REUSEADDR: on UDP it would let a second server take the port, and the datagrams with it. */
    if (address->any.sa_family == AF_INET6) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY");
        set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"); /* of IPv4, too: ::ffff:… */
    } else {
        set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
    }
    if (bind(fd, &address->any, address_length(address)) < 0) {
        die("bind", text, errno);
    }
    return fd;
    /* END SOLUTION */
    /* STARTER:
    die("socket", text, ENOSYS); // socket(2) with SOCK_DGRAM, bind(2); no listen(2), no accept(2)
    */
}

/* Makes DATAGRAM ready for the next recvmsg(2): the last one has left its own lengths in it. */
static void datagram_prepare(struct datagram *datagram)
{
    datagram->data.iov_len = datagram->room;
    datagram->header = (struct msghdr){
        .msg_name = &datagram->peer,
        .msg_namelen = sizeof datagram->peer,
        .msg_iov = &datagram->data,
        .msg_iovlen = 1,
        .msg_control = datagram->control,
        .msg_controllen = sizeof datagram->control,
    };
}

/* Takes the next datagram from the socket FD, if there is one. Returns 0, or -errno. */
static int receive(int fd, struct datagram *datagram)
{
    datagram_prepare(datagram);
    /* BEGIN SOLUTION */
    ssize_t n = recvmsg(fd, &datagram->header, MSG_DONTWAIT);
    if (n < 0) {
        return -errno;
    }
    datagram->data.iov_len = (size_t)n; /* 0 is a datagram, too: there is no end of a stream here */
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)fd; // recvmsg(2): the bytes, who sent them, to which of our addresses, msg_flags
    return -ENOSYS;
    */
}

/* Lets the answer in DATAGRAM go from the address that the question went to. The control message that came
 * with it says so already: the local address of a datagram (ipi_spec_dst, ipi6_addr) is where sendmsg(2)
 * looks for what to send from. Only the interface is taken out: which way an answer goes is for the routes to
 * say, unless the address means nothing without it. */
static void keep_address(struct datagram *datagram)
{
    /* BEGIN SOLUTION */
    struct msghdr *header = &datagram->header;
    for (struct cmsghdr *message = CMSG_FIRSTHDR(header); message != NULL;
         message = CMSG_NXTHDR(header, message)) {
        const int any = 0;
        if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_PKTINFO) {
            memcpy(CMSG_DATA(message) + offsetof(struct in_pktinfo, ipi_ifindex), &any, sizeof any);
        } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(message), sizeof info);
            info.ipi6_ifindex = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
            memcpy(CMSG_DATA(message), &info, sizeof info);
        }
    }
    /* END SOLUTION */
    /* STARTER:
    datagram->header.msg_controllen = 0; // and if this machine has several addresses?
    */
}

/* Sends DATAGRAM back. Returns false if the kernel will not. */
static bool answer(int fd, struct datagram *datagram)
{
    char peer[ADDRESS_TEXT];
    /* BEGIN SOLUTION */
    keep_address(datagram);
    /* Not to sleep: there is always a next datagram, and somebody who waits for its echo. */
    if (sendmsg(fd, &datagram->header, MSG_DONTWAIT) >= 0) {
        return true;
    }
    int error = errno; /* address_format makes calls of its own */
    return report("sendmsg", address_format("udp", &datagram->peer, peer, sizeof peer), error);
    /* END SOLUTION */
    /* STARTER:
    (void)fd; // sendmsg(2), to where it came from, without sleeping
    keep_address(datagram);
    return report("sendmsg", address_format("udp", &datagram->peer, peer, sizeof peer), ENOSYS);
    */
}

/* Is ERROR, from recvmsg, about the socket itself, so that the next call would fail as well? */
static bool is_fatal(int error)
{
    return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EINVAL || error == ENOSYS;
}

/* Receives what there is, at most one datagram, and answers it. */
static void serve(int fd, struct datagram *datagram, struct counters *counters)
{
    int error = -receive(fd, datagram);
    if (is_fatal(error)) {
        die("recvmsg", "socket", error);
    }
    if (error == EAGAIN || error == EINTR) {
        return;
    }
    if (error != 0) {
        report("recvmsg", "socket", error); /* about one datagram, or one that was sent earlier */
        return;
    }
    /* BEGIN SOLUTION */
    counters->received++;
    if ((datagram->header.msg_flags & MSG_TRUNC) != 0) {
        counters->truncated++; /* the rest is lost: half a datagram is no answer */
    } else if (answer(fd, datagram)) {
        counters->echoed++;
    } else {
        counters->unsent++;
    }
    /* END SOLUTION */
    /* STARTER:
    counters->received++; // and if MSG_TRUNC is set?
    counters->echoed += answer(fd, datagram) ? 1 : 0;
    */
}

static void want_counters(int signal_number)
{
    (void)signal_number;
    counters_wanted = 1;
}

/* Lets SIGUSR1 set `counters_wanted`, but only while ppoll(2) sleeps. Returns the mask to sleep with. */
static sigset_t prepare_counters(void)
{
    sigset_t sleeping;
    sigemptyset(&sleeping);
    /* BEGIN SOLUTION */
    struct sigaction action = {.sa_handler = want_counters};
    sigset_t usr1;
    sigemptyset(&action.sa_mask);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    if (sigaction(SIGUSR1, &action, NULL) < 0 || sigprocmask(SIG_BLOCK, &usr1, &sleeping) < 0) {
        die("sigaction", "SIGUSR1", errno);
    }
    sigdelset(&sleeping, SIGUSR1); /* whoever started us may have blocked it */
    /* END SOLUTION */
    /* STARTER:
    (void)want_counters; // sigaction(2), sigprocmask(2); until then SIGUSR1 ends the program
    */
    return sleeping;
}

/* Prints the counters, in one line, if SIGUSR1 has come. On standard error: standard output has the ready
 * line and nothing else. */
static void print_wanted(const struct counters *counters)
{
    /* BEGIN SOLUTION */
    const struct timespec at_once = {0};
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    /* A signal is pending yet if ppoll(2) had something to return for, and has let none in. */
    if (counters_wanted == 0 && sigtimedwait(&usr1, NULL, &at_once) != SIGUSR1) {
        return;
    }
    counters_wanted = 0;
    fprintf(stderr, "%s: received %lu, echoed %lu, truncated %lu, unsent %lu\n", program_name,
            counters->received, counters->echoed, counters->truncated, counters->unsent);
    /* END SOLUTION */
    /* STARTER:
    (void)counters; // udp-echo: received N, echoed N, truncated N, unsent N
    */
}

/* Serves for ever. Signals end it. */
_Noreturn static void serve_all(int fd, struct datagram *datagram, const sigset_t *sleeping)
{
    struct counters counters = {0};
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    for (;;) {
        int ready = ppoll(&polled, 1, NULL, sleeping);
        if (ready < 0 && errno != EINTR) {
            die("ppoll", "socket", errno);
        }
        print_wanted(&counters);
        if (ready > 0) {
            serve(fd, datagram, &counters);
        }
    }
}

int main(int argc, char **argv)
{
    const struct options options = parse_options(argc, argv);
    union address address;
    if (!address_parse(&address, options.host, options.port)) {
        usage_error("not a numeric IPv4 or IPv6 address", options.host);
    }
    static char buffer[LARGEST];
    struct datagram datagram = {.data = {.iov_base = buffer}, .room = options.size};
    stop_on_signals();
    const sigset_t sleeping = prepare_counters();
    int fd = socket_open(&address);
    announce("udp", fd);
    serve_all(fd, &datagram, &sleeping);
}
