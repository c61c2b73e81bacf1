/* http-hello: a web server with one page, for one peer at a time, on blocking calls.
 *
 * It reads until the blank line that ends a request's head, however the bytes come, and answers with the
 * page, whatever was asked. The calls of chapter 01 go by their C library names. The lesson is README.md. */
#define _GNU_SOURCE /* accept4(2), memmem(3) */
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
#include <sys/time.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    ADDRESS_TEXT = 64,     /* room for "tcp:[", the longest IPv6 address (45), "]:65535" and the NUL */
    HEAD_LIMIT = 8192,     /* bytes of a head; RFC 9112, section 3, wants room for a request line of 8000 */
    DRAIN_LIMIT = 1 << 20, /* bytes to read and forget after the answer, for a peer that never stops */
};

/* An address of either family as the kernel reads it: first the family, then the rest accordingly. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct options {
    const char *host;       /* numeric; NULL: every address of this machine, IPv6 and IPv4 */
    uint16_t port;          /* 0: the kernel chooses a free one */
    struct timeval timeout; /* how long to wait for a silent peer */
};

/* Prints the one line that says which call failed, on what, and why. Returns false, for callers to return. */
static bool report(const char *call, const char *detail, int error)
{
    fprintf(stderr, "http-hello: %s(%s): %s\n", call, detail, strerror(error));
    return false;
}

/* Prints the one line that says why a conversation ended although no call failed. Returns false likewise. */
static bool give_up(const char *peer, const char *why)
{
    fprintf(stderr, "http-hello: %s: %s\n", peer, why);
    return false;
}

/* As report, for an error that the whole server cannot survive. */
_Noreturn static void die(const char *call, const char *detail, int error)
{
    report(call, detail, error);
    exit(EXIT_FAILURE);
}

_Noreturn static void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "http-hello: %s: '%s'\n", what, value);
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

/* Reads a number of seconds: digits, and a point perhaps. strtod(3) alone would take " 5", "+5", "0x1p2" and
 * "nan" as well. A tiny number would become a timeval of zero, which means "wait for ever". */
static struct timeval parse_timeout(const char *text)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    const bool plain = text[strspn(text, "0123456789.")] == '\0';
    if (!plain || end == text || *end != '\0' || seconds < 0.001 || seconds > 86400.0) {
        usage_error("not a number of seconds from 0.001 to 86400", text);
    }
    struct timeval timeout = {.tv_sec = (time_t)seconds};
    timeout.tv_usec = (suseconds_t)((seconds - (double)timeout.tv_sec) * 1e6);
    return timeout;
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "http-hello";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'},
        {"port", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.host = NULL, .port = 0, .timeout = {.tv_sec = 10}};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'b':
            options.host = optarg;
            break;
        case 'p':
            options.port = parse_port(optarg);
            break;
        case 't':
            options.timeout = parse_timeout(optarg);
            break;
        case 'h':
            puts("usage: http-hello [--bind HOST] [--port N] [--timeout SECONDS]");
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

/* SIGTERM and SIGINT end the server from wherever it is: see chapter 01. */
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
    if (host != NULL && inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return true;
    }
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(port);
    address->v6.sin6_addr = in6addr_any;
    return host == NULL || inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1;
}

/* Opens the socket on which peers can reach ADDRESS. Returns its descriptor, or ends the program. */
static int listener_open(const union address *address)
{
    char text[ADDRESS_TEXT];
    address_format(address, text, sizeof text);
    int listener = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        die("socket", text, errno);
    }
    const int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
        die("setsockopt", "SO_REUSEADDR", errno);
    }
    const int off = 0;
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) {
        die("setsockopt", "IPV6_V6ONLY", errno);
    }
    const socklen_t length = address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
    if (bind(listener, &address->any, length) < 0) {
        die("bind", text, errno);
    }
    if (listen(listener, SOMAXCONN) < 0) {
        die("listen", text, errno);
    }
    return listener;
}

/* Says on standard output where LISTENER can be reached, in one line. */
static void announce(int listener)
{
    union address address = {.any = {0}};
    socklen_t length = sizeof address;
    if (getsockname(listener, &address.any, &length) < 0) {
        die("getsockname", "listener", errno);
    }
    char text[ADDRESS_TEXT];
    printf("listening on %s\n", address_format(&address, text, sizeof text));
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
}

/* Takes the next connection from LISTENER's queue; sleeps while there is none. Sets PEER to the other end's
 * address. Returns the connection's descriptor, which the caller closes, or -errno. */
static int accept_peer(int listener, union address *peer)
{
    socklen_t length = sizeof *peer;
    int connection = accept4(listener, &peer->any, &length, SOCK_CLOEXEC);
    return connection < 0 ? -errno : connection;
}

/* Is ERROR, from accept4, about the one peer that was next in the queue? See chapter 01. */
static bool concerns_one_peer(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPERM:
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
}

/* Limits how long one read and one write on CONNECTION may sleep. Returns false if the kernel will not. */
static bool set_timeouts(int connection, const char *peer, const struct timeval *timeout)
{
    /* BEGIN SOLUTION */
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout) < 0) {
        return report("setsockopt", peer, errno);
    }
    if (setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof *timeout) < 0) {
        return report("setsockopt", peer, errno);
    }
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)connection;
    (void)peer;
    (void)timeout; // socket(7): SO_RCVTIMEO and SO_SNDTIMEO; until they are set every read sleeps for ever
    return true;
    */
}

/* Reads a request's head, up to and with the blank line that ends it, into HEAD of SIZE bytes.
 * Returns true when it is there; false if the peer ends or falls silent first, or if it does not fit. */
static bool read_head(int connection, const char *peer, char *head, size_t size)
{
    /* BEGIN SOLUTION */
    size_t used = 0;
    while (used < size) {
        ssize_t n = read(connection, head + used, size - used);
        if (n < 0 && errno == EINTR) {
            continue; /* without a handler, too: SO_RCVTIMEO, then SIGSTOP and SIGCONT (signal(7)) */
        }
        if (n < 0 && errno == EAGAIN) {
            return give_up(peer, "silent for too long"); /* SO_RCVTIMEO; TCP's own time-out is ETIMEDOUT */
        }
        if (n < 0) {
            return report("read", peer, errno);
        }
        if (n == 0) {
            return false; /* the peer sends no more: what it began to ask will not be finished */
        }
        /* The blank line can be cut as well: begin three bytes before the new piece, or at the start. */
        size_t from = used < 3 ? 0 : used - 3;
        used += (size_t)n;
        if (memmem(head + from, used - from, "\r\n\r\n", 4) != NULL) {
            return true;
        }
    }
    char why[64];
    snprintf(why, sizeof why, "no blank line in %zu bytes", size);
    return give_up(peer, why);
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // read(2) until "\r\n\r\n" is there: one read is not one request
    (void)head;
    (void)size;
    return give_up(peer, "read_head is not written yet");
    */
}

/* Sends all SIZE bytes of DATA. Returns false if the peer is gone or takes nothing for too long. */
static bool send_all(int connection, const char *peer, const char *data, size_t size)
{
    /* BEGIN SOLUTION */
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(connection, data + sent, size - sent, MSG_NOSIGNAL); /* no SIGPIPE: EPIPE will do */
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return give_up(peer, "takes nothing for too long"); /* SO_SNDTIMEO */
        }
        if (n < 0) {
            return report("send", peer, errno);
        }
        sent += (size_t)n;
    }
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // send(2) may take fewer bytes than it was given, and must not raise SIGPIPE
    (void)data;
    (void)size;
    return give_up(peer, "send_all is not written yet");
    */
}

/* Sends the page behind the status line and the fields that make it a response (RFC 9112, section 2.1). */
static bool answer(int connection, const char *peer)
{
    /* BEGIN SOLUTION */
    static const char page[] = "<!doctype html>\n"
                               "<title>http-hello</title>\n"
                               "<p>hello from the ground up</p>\n";
    const size_t page_length = sizeof page - 1; /* bytes; the NUL at the end is not part of the page */
    char response[512];
    int length = snprintf(response, sizeof response,
                          "HTTP/1.1 200 OK\r\n"
                          "Content-Type: text/html; charset=utf-8\r\n"
                          "Content-Length: %zu\r\n"
                          "Connection: close\r\n"
                          "\r\n"
                          "%s",
                          page_length, page);
    return send_all(connection, peer, response, (size_t)length);
    /* END SOLUTION */
    /* STARTER:
    // the status line, Content-Type, Content-Length, Connection: close, the blank line, the page
    return send_all(connection, peer, "", 0);
    */
}

/* Ends the conversation so that the answer arrives: half-closes, then reads and forgets until the peer has
 * closed too. close(2) with bytes unread would send RST, and that may cost the peer the answer (RFC 9112,
 * section 9.6). A peer that falls silent, or that never stops, has had its time. */
static void drain(int connection, const char *peer)
{
    /* BEGIN SOLUTION */
    if (shutdown(connection, SHUT_WR) < 0) {
        report("shutdown", peer, errno);
        return;
    }
    char discarded[4096];
    for (size_t total = 0; total < DRAIN_LIMIT;) {
        ssize_t n = read(connection, discarded, sizeof discarded);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* the end, a reset, or silence: the answer has been given, so nothing is reported */
        }
        total += (size_t)n;
    }
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // shutdown(2), then read(2) until there is nothing left to read
    (void)peer;
    */
}

/* Has one whole conversation, and closes CONNECTION in the end, however the conversation went. */
static void serve_peer(int connection, const char *peer, const struct timeval *timeout)
{
    char head[HEAD_LIMIT];
    if (set_timeouts(connection, peer, timeout) && read_head(connection, peer, head, sizeof head) &&
        answer(connection, peer)) {
        drain(connection, peer);
    }
    if (close(connection) < 0) {
        report("close", peer, errno);
    }
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
            serve_peer(connection, address_format(&peer, text, sizeof text), &options.timeout);
        } else if (concerns_one_peer(-connection)) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
