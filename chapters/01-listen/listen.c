/* listen: greets TCP peers, one at a time, with nothing between it and the kernel but syscall(2).
 *
 * syscall(2) puts a number and up to six arguments into registers and enters the kernel. The kernel answers
 * with a result, or with a negative error number, which syscall(2) turns into -1 and errno. The C library's
 * socket(2), bind(2) and their kin do little else. The lesson is README.md beside this file. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    ADDRESS_TEXT = 64, /* room for "tcp:[", the longest IPv6 address (45), "]:65535" and the NUL */
};

/* An address of either family as the kernel reads it: first the family, then the rest accordingly. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct options {
    const char *host; /* numeric; NULL: every address of this machine, IPv6 and IPv4 */
    uint16_t port;    /* 0: the kernel chooses a free one */
};

/* Prints the one line that says which call failed, on what, and why. Returns false, for callers to return. */
static bool report(const char *call, const char *detail, int error)
{
    fprintf(stderr, "listen: %s(%s): %s\n", call, detail, strerror(error));
    return false;
}

/* The same for an error that the whole server cannot survive. */
_Noreturn static void die(const char *call, const char *detail, int error)
{
    report(call, detail, error);
    exit(EXIT_FAILURE);
}

_Noreturn static void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "listen: %s: '%s'\n", what, value);
    exit(EXIT_USAGE);
}

/* Reads a port number. strtol(3) alone would take " 80", "-1", "80x" and "" as well. */
static uint16_t parse_port(const char *text)
{
    char *end = NULL;
    errno = 0;
    long port = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || port > UINT16_MAX) {
        usage_error("not a port number from 0 to 65535", text);
    }
    return (uint16_t)port;
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "listen";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'},
        {"port", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.host = NULL, .port = 0};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'b':
            options.host = optarg;
            break;
        case 'p':
            options.port = parse_port(optarg);
            break;
        case 'h':
            puts("usage: listen [--bind HOST] [--port N]");
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

/* SIGTERM and SIGINT end the server from wherever it is. There is nothing to flush and nothing to save, and
 * the kernel closes what is open; so the handler ends the process itself. A flag for the main loop to look at
 * would leave a gap, between the look and the next call that sleeps, in which a signal changes nothing. */
static void stop(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

static void stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0) {
        die("sigaction", "SIGTERM, SIGINT", errno);
    }
}

/* Writes ADDRESS into TEXT as tcp:HOST:PORT or tcp:[V6]:PORT, and returns TEXT. */
static const char *address_format(const union address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        snprintf(text, size, "tcp:%s:%u", host, ntohs(address->v4.sin_port));
    } else {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        snprintf(text, size, "tcp:[%s]:%u", host, ntohs(address->v6.sin6_port));
    }
    return text;
}

/* Makes ADDRESS mean PORT at HOST, which is a numeric IPv4 or IPv6 address, or NULL for every address.
 * Returns false if HOST is neither. */
static bool address_parse(union address *address, const char *host, uint16_t port)
{
    memset(address, 0, sizeof *address);
    /* BEGIN SOLUTION */
    if (host != NULL && inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port); /* on the wire, and in here, the high byte comes first */
        return true;
    }
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(port);
    address->v6.sin6_addr = in6addr_any;
    return host == NULL || inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1;
    /* END SOLUTION */
    /* STARTER:
    (void)host; // the address: inet_pton(3) reads either family, in6addr_any is every address
    (void)port; // and the port, in network byte order: htons(3)
    return true;
    */
}

/* Opens the socket on which peers can reach ADDRESS. Returns its descriptor, or ends the program. */
static int listener_open(const union address *address)
{
    char text[ADDRESS_TEXT];
    address_format(address, text, sizeof text);
    /* BEGIN SOLUTION */
    int listener = (int)syscall(SYS_socket, address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        die("socket", text, errno);
    }
    /* Connections of an earlier run linger in TIME_WAIT on this port: no reason to wait a minute for them. */
    const int on = 1;
    if (syscall(SYS_setsockopt, listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
        die("setsockopt", "SO_REUSEADDR", errno);
    }
    /* An IPv6 socket takes IPv4 peers too, unless net.ipv6.bindv6only says otherwise: do not depend on it. */
    const int off = 0;
    if (address->any.sa_family == AF_INET6 &&
        syscall(SYS_setsockopt, listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) {
        die("setsockopt", "IPV6_V6ONLY", errno);
    }
    const socklen_t length = address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
    if (syscall(SYS_bind, listener, address, length) < 0) {
        die("bind", text, errno);
    }
    if (syscall(SYS_listen, listener, SOMAXCONN) < 0) {
        die("listen", text, errno);
    }
    return listener;
    /* END SOLUTION */
    /* STARTER:
    // socket(2), setsockopt(2), bind(2), listen(2), each as syscall(SYS_..., ...); die() when one fails
    die("listener_open", "not written yet", ENOSYS);
    */
}

/* Says on standard output where LISTENER can be reached, in one line. */
static void announce(int listener)
{
    /* BEGIN SOLUTION */
    union address address = {.any = {0}};
    socklen_t length = sizeof address;
    if (syscall(SYS_getsockname, listener, &address, &length) < 0) {
        die("getsockname", "listener", errno);
    }
    char text[ADDRESS_TEXT];
    printf("listening on %s\n", address_format(&address, text, sizeof text));
    /* stdio keeps the line back when standard output is a pipe, and whoever reads it waits for it. */
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
    /* END SOLUTION */
    /* STARTER:
    (void)listener; // getsockname(2) knows the port that the kernel chose; print the line and fflush(3) it
    */
}

/* Takes the next connection from LISTENER's queue; sleeps while there is none. Sets PEER to the other end's
 * address. Returns the connection's descriptor, which the caller closes, or -errno. */
static int accept_peer(int listener, union address *peer)
{
    /* BEGIN SOLUTION */
    socklen_t length = sizeof *peer;
    int connection = (int)syscall(SYS_accept4, listener, peer, &length, SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
    /* END SOLUTION */
    /* STARTER:
    (void)listener; // accept4(2) sleeps until there is a connection; this sleeps for ever
    (void)peer;     // accept4(2) fills it in, and wants to know how large it is
    pause();
    return -EINTR;
    */
}

/* Is ERROR, from accept4, about the one peer that was next in the queue, not about listener or machine?
 * Linux passes errors that wait on the new connection through accept (accept(2), "Error handling"). */
static bool concerns_one_peer(int error)
{
    /* BEGIN SOLUTION */
    switch (error) {
    case ECONNABORTED: /* the peer left the queue; Linux's TCP hands such a connection out, others do not */
    case EINTR:        /* nobody's error: a signal came first */
    case EPERM:        /* a firewall does not want this peer */
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
    /* END SOLUTION */
    /* STARTER:
    return error == EINTR; // accept4(2) names more that are no reason for a server to end
    */
}

/* Sends the greeting and, by the half-close, says that this was all. Returns false if it could not. */
static bool greet(int connection, const char *peer)
{
    /* BEGIN SOLUTION */
    static const char greeting[] = "hello from the ground up\r\n";
    const size_t length = sizeof greeting - 1; /* without the NUL, which is C's and not the protocol's */
    for (size_t sent = 0; sent < length;) {
        /* MSG_NOSIGNAL: if the peer is gone we want EPIPE; without it SIGPIPE would kill the server. */
        long n = syscall(SYS_sendto, connection, greeting + sent, length - sent, MSG_NOSIGNAL, NULL, 0);
        if (n < 0) {
            return report("sendto", peer, errno);
        }
        sent += (size_t)n;
    }
    if (syscall(SYS_shutdown, connection, SHUT_WR) < 0) {
        return report("shutdown", peer, errno);
    }
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // sendto(2) without an address until all of the greeting is sent; then shutdown(2)
    return report("sendto", peer, ENOSYS);
    */
}

/* Reads and forgets what the peer sends until the peer closes as well. Closing with bytes unread would make
 * the kernel send RST, which can destroy the greeting on its way (RFC 1122, section 4.2.2.13). */
static void wait_for_close(int connection, const char *peer)
{
    /* BEGIN SOLUTION */
    char discarded[4096];
    long n = 0;
    do {
        n = syscall(SYS_read, connection, discarded, sizeof discarded);
    } while (n > 0);
    if (n < 0) {
        report("read", peer, errno);
    }
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // read(2) returns 0 at the end of the stream, and only then
    report("read", peer, ENOSYS);
    */
}

/* Has one whole conversation, and closes CONNECTION in the end, however the conversation went. */
static void serve_peer(int connection, const char *peer)
{
    if (greet(connection, peer)) {
        wait_for_close(connection, peer);
    }
    /* BEGIN SOLUTION */
    if (syscall(SYS_close, connection) < 0) {
        report("close", peer, errno);
    }
    /* END SOLUTION */
    /* STARTER:
    // the descriptor is still open here
    */
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    union address address;
    if (!address_parse(&address, options.host, options.port)) {
        usage_error("not a numeric IPv4 or IPv6 address", options.host);
    }
    stop_on_signals();
    int listener = listener_open(&address);
    announce(listener);
    for (;;) {
        union address peer = {.any = {0}};
        int connection = accept_peer(listener, &peer);
        char text[ADDRESS_TEXT];
        if (connection >= 0) {
            serve_peer(connection, address_format(&peer, text, sizeof text));
        } else if (concerns_one_peer(-connection)) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
