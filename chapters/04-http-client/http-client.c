/* http-client: asks an HTTP/1.1 server for one resource, writes it to standard output or into a file, and
 * says with its exit status what has become of it. What is not whole is never taken for whole.
 *
 * The lesson is in README.md beside this file.
 */

#define _GNU_SOURCE /* O_TMPFILE */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What a script can tell by $?, beside EXIT_SUCCESS and EXIT_FAILURE. */
enum {
    EXIT_USAGE = 2,
    EXIT_TIMED_OUT = 3,
    EXIT_UNREACHABLE = 4, /* no such name, or nobody there */
    EXIT_RESPONSE = 5,    /* malformed, cut short, or a redirect to where this client cannot go */
    EXIT_REDIRECTS = 6,   /* too many of them */
    EXIT_STATUS = 7,      /* a status of 400 or more; the body has been delivered all the same */
};

enum {
    URL_LIMIT = 8192,     /* bytes; RFC 9110, section 4.1, wants at least 8000 */
    HOST_LIMIT = 255,     /* bytes of a host's name (RFC 1035, section 2.3.4) */
    HEAD_LIMIT = 16384,   /* bytes of a response's head, blank line included, and of all trailers */
    LINE_LIMIT = 1024,    /* bytes of a line between chunks */
    REDIRECT_LIMIT = 5,   /* redirects that are followed, one after another */
    ATTEMPTS = 8,         /* addresses that are tried at the same time */
    HEAD_START_MS = 250,  /* before the next address is tried as well (RFC 8305, section 5) */
    PROGRESS_BYTES = 4096 /* of body that earn another --timeout */
};

struct options {
    const char *url;
    const char *file;   /* NULL: standard output */
    bool include_head;  /* write the head before the body */
    int64_t timeout_ms; /* how long to wait for the head, and for each PROGRESS_BYTES of body */
};

/* An http URL in the parts that are needed to ask for it. */
struct url {
    bool is_ipv6; /* the host is an IPv6 address, which stands in brackets wherever a port may follow */
    uint16_t port;
    char host[HOST_LIMIT + 1];
    char target[URL_LIMIT + 2]; /* path and query, as they were given; begins with a slash */
};

/* Where the body goes. */
struct output {
    int fd;
    const char *path; /* NULL: there is nothing to be named in the end */
};

/* A connection, with what has been received and not been used yet: bytes[begin] to bytes[end - 1]. */
struct connection {
    int fd;
    const char *host;
    int64_t timeout_ms;
    int64_t deadline; /* in milliseconds of now_ms, for whatever is waited for next */
    size_t earned;    /* bytes of body since the deadline was set */
    size_t begin, end;
    char bytes[HEAD_LIMIT];
};

/* How one sees where a body ends (RFC 9112, section 6.3). */
enum framing {
    FRAMING_NONE,    /* there is none */
    FRAMING_CHUNKED, /* a chunk of size 0 */
    FRAMING_LENGTH,  /* after so many bytes */
    FRAMING_CLOSE,   /* where the stream ends */
};

struct response {
    int status;
    int minor;            /* of the version: 0 in HTTP/1.0 */
    bool has_length;      /* there is a Content-Length */
    uint64_t length;      /* it */
    bool is_coded;        /* there is a Transfer-Encoding */
    bool is_chunked;      /* and it is the one that everybody must know */
    const char *location; /* in text; NULL if there is none */
    size_t head_length;
    char text[HEAD_LIMIT + 1]; /* the head, taken to pieces: a NUL after each line */
};

/* Prints the one line that says what was wrong with what. Returns STATUS, for callers to return. */
static int fail(int status, const char *what, const char *why)
{
    fprintf(stderr, "http-client: %s: %s\n", what, why);
    return status;
}

/* As fail, for a call that failed. */
static int fail_call(int status, const char *call, const char *detail, int error)
{
    fprintf(stderr, "http-client: %s(%s): %s\n", call, detail, strerror(error));
    return status;
}

_Noreturn static void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "http-client: %s: '%s'\n", what, value);
    exit(EXIT_USAGE);
}

/* Reads a number of seconds as chapter 02 does. Returns milliseconds. */
static int64_t parse_timeout(const char *text)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    const bool plain = text[strspn(text, "0123456789.")] == '\0';
    if (!plain || end == text || *end != '\0' || seconds < 0.001 || seconds > 86400.0) {
        usage_error("not a number of seconds from 0.001 to 86400", text);
    }
    return (int64_t)(seconds * 1000.0);
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "http-client";
    static const struct option known[] = {
        {"include", no_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.timeout_ms = 10000};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "io:", known, NULL)) != -1;) {
        switch (option) {
        case 'i':
            options.include_head = true;
            break;
        case 'o':
            options.file = optarg;
            break;
        case 't':
            options.timeout_ms = parse_timeout(optarg);
            break;
        case 'h':
            puts("usage: http-client [-i|--include] [-o|--output FILE] [--timeout SECONDS] URL");
            exit(EXIT_SUCCESS);
        default: /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (optind + 1 != argc) {
        usage_error("one URL is needed", optind < argc ? argv[optind + 1] : "");
    }
    options.url = argv[optind];
    return options;
}

/* Reads the digits of base 10 or 16 that TEXT begins with; no blank, no sign, no 0x. Returns where they end,
 * or NULL if there are none or they are too many for VALUE. */
static const char *number_parse(const char *text, int base, uint64_t *value)
{
    const size_t digits = strspn(text, base == 10 ? "0123456789" : "0123456789abcdefABCDEF");
    errno = 0;
    *value = strtoull(text, NULL, base);
    return digits == 0 || errno != 0 ? NULL : text + digits;
}

/* Returns the time in milliseconds, by a clock that nobody sets. */
static int64_t now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now); /* fails for an unknown clock alone */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* BEGIN SOLUTION */
/* Reads the port behind a host: a colon and digits, or only a colon, or nothing, which both mean 80. */
static const char *port_parse(struct url *url, const char *text)
{
    uint64_t port = 80;
    if (text[0] == ':' && text[1] != '\0') {
        const char *end = number_parse(text + 1, 10, &port);
        if (end == NULL || *end != '\0' || port < 1 || port > UINT16_MAX) {
            return "the port is not a number from 1 to 65535";
        }
    }
    url->port = (uint16_t)port;
    return NULL;
}

/* Reads what stands between the slashes and the path: HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static const char *authority_parse(struct url *url, const char *text, size_t length)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    if (memchr(text, '@', length) != NULL) {
        return "a URL with a user name in it is refused"; /* RFC 9110, section 4.2.4 */
    }
    url->is_ipv6 = length > 0 && text[0] == '[';
    const char *host = url->is_ipv6 ? text + 1 : text;
    const char *host_end = memchr(text, url->is_ipv6 ? ']' : ':', length);
    const char *end = text + length;
    if (host_end == NULL && url->is_ipv6) {
        return "an address in brackets needs both of them";
    }
    host_end = host_end == NULL ? end : host_end;
    if (host_end == host || host_end - host > HOST_LIMIT) {
        return "there is no host in it, or too much of one";
    }
    snprintf(url->host, sizeof url->host, "%.*s", (int)(host_end - host), host);
    struct in6_addr address;
    if (url->is_ipv6 ? inet_pton(AF_INET6, url->host, &address) != 1
                     : url->host[strspn(url->host, plain)] != '\0') {
        return "the host is neither a name nor an address";
    }
    char port[8];
    host_end += url->is_ipv6;
    if ((host_end < end && *host_end != ':') || (size_t)(end - host_end) >= sizeof port) {
        return "what follows the host is no port";
    }
    snprintf(port, sizeof port, "%.*s", (int)(end - host_end), host_end);
    return port_parse(url, port);
}

/* END SOLUTION */
/* STARTER: */
/* Takes TEXT, an absolute http URL, to pieces. Returns NULL, or what is wrong with it. */
static const char *url_parse(struct url *url, const char *text)
{
    /* BEGIN SOLUTION */
    static const char scheme[] = "http://";
    if (strlen(text) > URL_LIMIT) {
        return "the URL is too long";
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') { /* a line feed would begin a field of its own */
            return "a blank, a control character or a byte beyond ASCII has to be percent-encoded";
        }
    }
    if (strncasecmp(text, "https:", 6) == 0) {
        return "https is not supported, only http";
    }
    if (strncasecmp(text, scheme, sizeof scheme - 1) != 0) {
        return "not an http URL";
    }
    text += sizeof scheme - 1;
    size_t length = strcspn(text, "/?#");
    const char *why = authority_parse(url, text, length);
    text += length;
    snprintf(url->target, sizeof url->target, "%s%.*s", *text == '/' ? "" : "/", (int)strcspn(text, "#"),
             text);
    return why;
    /* END SOLUTION */
    /* STARTER:
    memset(url, 0, sizeof *url);
    (void)text; // scheme, host, port, path and query: RFC 3986, section 3
    return "url_parse is not written yet";
    */
}

/* Writes the host, and the port if it is not 80, into TEXT: what the Host field says. */
static const char *url_authority(const struct url *url, char *text, size_t size)
{
    char port[8] = "";
    if (url->port != 80) {
        snprintf(port, sizeof port, ":%u", url->port);
    }
    snprintf(text, size, url->is_ipv6 ? "[%s]%s" : "%s%s", url->host, port);
    return text;
}

/* BEGIN SOLUTION */
/* Removes the segments "." and ".." from a path, in place; a query is left alone (RFC 3986, section 5.2.4).
 */
static void remove_dots(char *target)
{
    char *const query = target + strcspn(target, "?");
    char *to = target;
    for (char *from = target; from < query;) {
        const size_t length = 1 + strcspn(from + 1, "/?"); /* a slash, and the segment after it */
        const bool is_dot = length == 2 && from[1] == '.';
        const bool is_dots = length == 3 && from[1] == '.' && from[2] == '.';
        while (is_dots && to > target && *--to != '/') {
        }
        if (!is_dot && !is_dots) {
            memmove(to, from, length);
            to += length;
        } else if (from + length == query) {
            *to++ = '/';
        }
        from += length;
    }
    memmove(to, query, strlen(query) + 1);
}

/* END SOLUTION */
/* STARTER: */
/* Finds out which URL a Location in the answer of BASE means, which may leave out what is the same (RFC 3986,
 * section 5.2.2). Returns NULL, or what is wrong with it. */
static const char *url_resolve(struct url *url, const struct url *base, const char *location)
{
    /* BEGIN SOLUTION */
    char authority[HOST_LIMIT + 10];
    char text[2 * URL_LIMIT];
    const size_t path = strcspn(base->target, "?");
    size_t kept = 0; /* of the base's target */
    const char *colon = location + strcspn(location, ":/?#");
    if (*colon == ':') {
        snprintf(text, sizeof text, "%s", location);
    } else if (strncmp(location, "//", 2) == 0) {
        snprintf(text, sizeof text, "http:%s", location);
    } else {
        if (location[0] == '\0' || location[0] == '#') {
            kept = strlen(base->target);
        } else if (location[0] == '?') {
            kept = path;
        } else if (location[0] != '/') {
            kept = (size_t)((const char *)memrchr(base->target, '/', path) - base->target) + 1;
        }
        snprintf(text, sizeof text, "http://%s%.*s%s", url_authority(base, authority, sizeof authority),
                 (int)kept, base->target, location);
    }
    const char *why = url_parse(url, text);
    remove_dots(url->target);
    return why;
    /* END SOLUTION */
    /* STARTER:
    (void)base;
    return url_parse(url, location); // that is enough for an absolute URL, and for no other
    */
}

/* BEGIN SOLUTION */
/* Waits until poll(2) has something to say of one of COUNT descriptors. Returns a number above zero then, 0
 * when UNTIL has come, -errno if poll fails. */
static int wait_until(struct pollfd *polled, int count, int64_t until)
{
    for (;;) {
        const int64_t left = until - now_ms();
        int ready = poll(polled, (nfds_t)count, left > 0 ? (int)left : 0);
        if (ready >= 0 || errno != EINTR) {
            return ready < 0 ? -errno : ready;
        }
    }
}

/* Connections that are being made, to different addresses of one host. */
struct race {
    int count;
    struct pollfd polled[ATTEMPTS];
    int64_t turn; /* when the next address may be tried */
    int error;    /* why the last one failed */
};

/* Takes one out, and has the next address tried at once. */
static void race_drop(struct race *race, int at, int error)
{
    close(race->polled[at].fd);
    race->polled[at] = race->polled[--race->count];
    race->error = error;
    race->turn = 0;
}

/* Begins to connect to ADDRESS. */
static void race_enter(struct race *race, const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        race->error = errno;
        return;
    }
    race->polled[race->count++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    race->turn = now_ms() + HEAD_START_MS;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
        race_drop(race, race->count - 1, errno);
    }
}

/* Drops those that have failed. Returns the descriptor of one that is connected, -1 if none is yet. */
static int race_look(struct race *race)
{
    for (int at = race->count - 1; at >= 0; at--) {
        int error = 0;
        socklen_t length = sizeof error;
        if (race->polled[at].revents == 0) {
            continue;
        }
        if (getsockopt(race->polled[at].fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) {
            error = errno;
        }
        if (error == 0) {
            int winner = race->polled[at].fd;
            race->polled[at] = race->polled[--race->count];
            return winner;
        }
        race_drop(race, at, error);
    }
    return -1;
}

/* END SOLUTION */
/* STARTER: */
/* Connects to one of the addresses in the list that begins with NEXT: in their order, the next one as soon as
 * the one before has failed, or has not answered for HEAD_START_MS. Returns the descriptor, which does not
 * block, or -errno. */
static int connect_any(const struct addrinfo *next, int64_t deadline)
{
    /* BEGIN SOLUTION */
    struct race race = {.error = EADDRNOTAVAIL};
    int winner = -1;
    while (winner < 0 && (next != NULL || race.count > 0)) {
        if (now_ms() >= deadline) {
            race.error = ETIMEDOUT;
            break;
        }
        if (next != NULL && race.count < ATTEMPTS && now_ms() >= race.turn) {
            race_enter(&race, next);
            next = next->ai_next;
            continue;
        }
        const bool more = next != NULL && race.count < ATTEMPTS && race.turn < deadline;
        int ready = wait_until(race.polled, race.count, more ? race.turn : deadline);
        if (ready < 0) {
            race.error = -ready;
            break;
        }
        winner = race_look(&race);
    }
    while (race.count > 0) {
        close(race.polled[--race.count].fd);
    }
    return winner < 0 ? -race.error : winner;
    /* END SOLUTION */
    /* STARTER:
    (void)next; // socket(2) with SOCK_NONBLOCK, connect(2), poll(2), SO_ERROR; then the next address
    (void)deadline;
    return -ENOSYS;
    */
}

/* Finds the addresses of the host, which the caller frees with freeaddrinfo. Returns EXIT_SUCCESS or the
 * status to exit with. */
static int resolve(const struct url *url, struct addrinfo **addresses)
{
    /* BEGIN SOLUTION */
    char port[8];
    snprintf(port, sizeof port, "%u", url->port);
    /* No AI_ADDRCONFIG: an address to which there is no way from here fails at once, and the next is tried.
     */
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int error = getaddrinfo(url->host, port, &hints, addresses);
    if (error != 0) {
        const char *why = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
        fprintf(stderr, "http-client: getaddrinfo(%s): %s\n", url->host, why);
        return EXIT_UNREACHABLE;
    }
    return EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    *addresses = NULL; // getaddrinfo(3), and gai_strerror(3) where it fails
    return fail(EXIT_UNREACHABLE, url->host, "resolve is not written yet");
    */
}

/* Resolves the host and connects to it, within the time that CONNECTION has; sets the deadline for that.
 * Returns EXIT_SUCCESS, and a descriptor in CONNECTION that the caller closes, or the status to exit with. */
static int connection_open(struct connection *connection, const struct url *url)
{
    struct addrinfo *addresses = NULL;
    int status = resolve(url, &addresses);
    if (status != EXIT_SUCCESS) {
        return status;
    }
    connection->deadline = now_ms() + connection->timeout_ms;
    connection->fd = connect_any(addresses, connection->deadline);
    freeaddrinfo(addresses);
    if (connection->fd == -ETIMEDOUT && now_ms() >= connection->deadline) {
        return fail(EXIT_TIMED_OUT, url->host, "no connection in time");
    }
    return connection->fd < 0 ? fail_call(EXIT_UNREACHABLE, "connect", url->host, -connection->fd)
                              : EXIT_SUCCESS;
}

/* BEGIN SOLUTION */
/* Waits until the connection is ready for EVENTS. Returns 0, -ETIMEDOUT at the deadline, -errno if poll
 * fails. */
static int connection_wait(const struct connection *connection, short events)
{
    struct pollfd polled = {.fd = connection->fd, .events = events};
    int ready = wait_until(&polled, 1, connection->deadline);
    return ready > 0 ? 0 : ready < 0 ? ready : -ETIMEDOUT;
}

/* END SOLUTION */
/* STARTER: */
/* Sends all SIZE bytes of DATA before the deadline. Returns 0 or -errno. */
static int connection_send(struct connection *connection, const char *data, size_t size)
{
    /* BEGIN SOLUTION */
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(connection->fd, data + sent, size - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) { /* the kernel's buffer is full */
            int error = connection_wait(connection, POLLOUT);
            if (error < 0) {
                return error;
            }
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // as send_all of chapter 02, on a descriptor that does not block: poll(2) after EAGAIN
    (void)data;
    (void)size;
    return -ENOSYS;
    */
}

/* Receives what there is, waiting for it until the deadline, and puts it behind what the connection holds
 * already. There must be room. Returns how much came, 0 at the end of the stream, or -errno. */
static ssize_t connection_fill(struct connection *connection)
{
    /* BEGIN SOLUTION */
    if (connection->begin == connection->end) {
        connection->begin = connection->end = 0;
    }
    for (;;) {
        int error = connection_wait(connection, POLLIN);
        if (error < 0) {
            return error;
        }
        ssize_t n = recv(connection->fd, connection->bytes + connection->end,
                         sizeof connection->bytes - connection->end, 0);
        if (n >= 0) {
            connection->end += (size_t)n;
            return n;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // poll(2) until the deadline, then recv(2)
    return -ENOSYS;
    */
}

/* Says why a response did not become whole, RESULT being what connection_fill or connection_send has
 * returned. */
static int fail_broken(const struct connection *connection, ssize_t result)
{
    if (result == -ETIMEDOUT) {
        return fail(EXIT_TIMED_OUT, connection->host, "the response did not come in time");
    }
    if (result == 0) {
        return fail(EXIT_RESPONSE, connection->host,
                    "the connection was closed before the response was whole");
    }
    return fail_call(EXIT_RESPONSE, "recv", connection->host, (int)-result);
}

static int fail_malformed(const struct connection *connection, const char *why)
{
    char text[128];
    snprintf(text, sizeof text, "malformed response: %s", why);
    return fail(EXIT_RESPONSE, connection->host, text);
}

/* Sends the request for URL. Returns EXIT_SUCCESS or the status to exit with. */
static int request_send(struct connection *connection, const struct url *url)
{
    char authority[HOST_LIMIT + 10];
    char request[URL_LIMIT + 1024];
    /* BEGIN SOLUTION */
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\n"
                          "Host: %s\r\n"
                          "User-Agent: groundup-http-client/1\r\n"
                          "Accept: */*\r\n"
                          "Connection: close\r\n"
                          "\r\n",
                          url->target, url_authority(url, authority, sizeof authority));
    int error = connection_send(connection, request, (size_t)length);
    /* END SOLUTION */
    /* STARTER:
    // the request line, Host, User-Agent, Accept, Connection: close, the blank line
    int length = snprintf(request, sizeof request, "%s", url_authority(url, authority, sizeof authority));
    int error = connection_send(connection, request, (size_t)length);
    */
    return error < 0 ? fail_broken(connection, error) : EXIT_SUCCESS;
}

/* BEGIN SOLUTION */
/* Looks for the blank line that ends a head in the first USED bytes of TEXT, of which those before FROM have
 * been looked at before. Returns the head's length, 0 if it is not whole, -EBADMSG if it holds a NUL or half
 * of a line's end. */
static ssize_t head_end(const char *text, size_t from, size_t used)
{
    for (size_t at = from; at < used; at++) {
        const bool after_cr = at > 0 && text[at - 1] == '\r';
        if (text[at] == '\0' || (text[at] == '\n') != after_cr) {
            return -EBADMSG;
        }
        if (text[at] == '\n' && at >= 3 && text[at - 2] == '\n') {
            return (ssize_t)at + 1;
        }
    }
    return 0;
}

/* END SOLUTION */
/* STARTER: */
/* Receives until a whole head is there, at bytes[begin], and copies it into RESPONSE. Returns EXIT_SUCCESS or
 * the status to exit with. */
static int head_receive(struct connection *connection, struct response *response)
{
    /* BEGIN SOLUTION */
    connection->end -= connection->begin;
    memmove(connection->bytes, connection->bytes + connection->begin, connection->end);
    connection->begin = 0;
    ssize_t length = 0;
    for (size_t seen = 0; (length = head_end(connection->bytes, seen, connection->end)) == 0;) {
        seen = connection->end;
        if (seen == sizeof connection->bytes) {
            return fail_malformed(connection, "the head does not end");
        }
        ssize_t n = connection_fill(connection);
        if (n <= 0) {
            return fail_broken(connection, n);
        }
    }
    if (length < 0) {
        return fail_malformed(connection, "a line of the head does not end in CR and LF, or holds a NUL");
    }
    memset(response, 0, sizeof *response);
    memcpy(response->text, connection->bytes, (size_t)length);
    response->head_length = (size_t)length;
    return EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    memset(response, 0, sizeof *response); // receive until "\r\n\r\n" is there, or HEAD_LIMIT bytes
    return fail_broken(connection, connection_fill(connection));
    */
}

/* Reads HTTP/1.1 200 and so on. Returns false if LINE is no status line of HTTP/1 (RFC 9112, section 4). */
static bool status_line_parse(struct response *response, const char *line)
{
    /* BEGIN SOLUTION */
    uint64_t status = 0;
    if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) || line[8] != ' ') {
        return false;
    }
    const char *end = number_parse(line + 9, 10, &status);
    if (end != line + 12 || (*end != ' ' && *end != '\0') || status < 100) {
        return false;
    }
    response->minor = line[7] - '0';
    response->status = (int)status;
    return true;
    /* END SOLUTION */
    /* STARTER:
    uint64_t status = 0; // version, space, three digits, space, words; the words may be missing
    number_parse(line, 10, &status);
    response->status = (int)status;
    return false;
    */
}

/* BEGIN SOLUTION */
/* Reads a Content-Length: digits, or the same digits again and again with commas between (RFC 9110,
 * section 8.6). Returns NULL, or what is wrong with it. */
static const char *length_parse(struct response *response, const char *value)
{
    for (;;) {
        uint64_t length = 0;
        const char *end = number_parse(value, 10, &length);
        if (end == NULL) {
            return "a Content-Length that is no number";
        }
        if (response->has_length && length != response->length) {
            return "two Content-Lengths that differ";
        }
        response->has_length = true;
        response->length = length;
        end += strspn(end, " \t");
        if (*end == '\0') {
            return NULL;
        }
        if (*end != ',') {
            return "a Content-Length that is no number";
        }
        value = end + 1 + strspn(end + 1, " \t");
    }
}

/* END SOLUTION */
/* STARTER: */
/* Takes note of what a field says, if it is one that matters here. Returns NULL, or what is wrong with it. */
static const char *field_take(struct response *response, const char *name, const char *value)
{
    /* BEGIN SOLUTION */
    if (strcasecmp(name, "Content-Length") == 0) {
        return length_parse(response, value);
    }
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        response->is_chunked = !response->is_coded && strcasecmp(value, "chunked") == 0;
        response->is_coded = true;
    }
    if (strcasecmp(name, "Location") == 0 && response->location == NULL) {
        response->location = value;
    }
    return NULL;
    /* END SOLUTION */
    /* STARTER:
    (void)response; // Content-Length, Transfer-Encoding, Location; names without regard to case
    (void)name;
    return value == NULL ? "a field without a value" : NULL;
    */
}

/* Splits LINE, `Name: value`, as chapter 03 does: ends the name and the value with a NUL, without the blanks
 * around the value. Returns the value, or NULL if the line is no field (RFC 9112, section 5). */
static char *field_split(char *line)
{
    static const char token[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
    char *colon = line + strspn(line, token);
    if (colon == line || *colon != ':') {
        return NULL;
    }
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');) {
        *--end = '\0';
    }
    return value;
}

/* Joins a line that begins with a blank to the one before it, which a user agent has to (RFC 9112,
 * section 5.2). */
static void unfold(char *head)
{
    for (char *end = head; (end = strstr(end, "\r\n")) != NULL; end += 2) {
        if (end[2] == ' ' || end[2] == '\t') {
            end[0] = end[1] = ' ';
        }
    }
}

/* Takes the head in RESPONSE's text to pieces. Returns NULL, or what is wrong with it. */
static const char *head_parse(struct response *response)
{
    char *line = response->text;
    char *end = strstr(line, "\r\n");
    if (end == NULL || end[2] == ' ' || end[2] == '\t') {
        return "its first line does not end, or goes on in the second"; /* RFC 9112, section 2.2 */
    }
    unfold(line);
    *end = '\0';
    if (!status_line_parse(response, line)) {
        return "it does not begin with a status line";
    }
    for (line = end + 2; (end = strstr(line, "\r\n")) != NULL && end != line; line = end + 2) {
        *end = '\0';
        char *value = field_split(line);
        const char *why =
            value == NULL ? "a line of its head is no field" : field_take(response, line, value);
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

/* Receives the head of the final response; those of interim ones, which may come before it, are passed over.
 * Returns EXIT_SUCCESS or the status to exit with. */
static int response_receive(struct connection *connection, struct response *response)
{
    /* BEGIN SOLUTION */
    for (;;) {
        int status = head_receive(connection, response);
        if (status != EXIT_SUCCESS) {
            return status;
        }
        const char *why = head_parse(response);
        if (why != NULL) {
            return fail_malformed(connection, why);
        }
        if (response->status == 101) {
            return fail_malformed(connection, "it changes to a protocol that nobody asked for");
        }
        if (response->status >= 200) {
            return EXIT_SUCCESS;
        }
        connection->begin += response->head_length;
    }
    /* END SOLUTION */
    /* STARTER:
    int status = head_receive(connection, response);
    const char *why = head_parse(response); // 100 to 199 are not the last word: RFC 9110, section 15.2
    return status != EXIT_SUCCESS || why == NULL ? status : fail_malformed(connection, why);
    */
}

/* Finds out how one will see where the body ends, by the rules of RFC 9112, section 6.3, in their order.
 * Returns NULL, or what is wrong. */
static const char *framing_of(const struct response *response, enum framing *framing)
{
    /* BEGIN SOLUTION */
    if (response->status == 204 || response->status == 304) {
        *framing = FRAMING_NONE;
        return NULL;
    }
    if (response->is_coded && response->has_length) {
        return "both Transfer-Encoding and Content-Length";
    }
    if (response->is_coded && response->minor == 0) {
        return "Transfer-Encoding in HTTP/1.0"; /* RFC 9112, section 6.1 */
    }
    if (response->is_coded && !response->is_chunked) {
        return "a Transfer-Encoding that is not chunked alone";
    }
    *framing = response->is_coded ? FRAMING_CHUNKED : response->has_length ? FRAMING_LENGTH : FRAMING_CLOSE;
    return NULL;
    /* END SOLUTION */
    /* STARTER:
    *framing = response->status == 0 ? FRAMING_NONE : FRAMING_CLOSE;
    return NULL;
    */
}

/* Writes all SIZE bytes of DATA. Returns EXIT_SUCCESS or the status to exit with. */
static int output_write(const struct output *output, const char *data, size_t size)
{
    for (size_t written = 0; written < size;) {
        ssize_t n = write(output->fd, data + written, size - written);
        if (n < 0 && errno != EINTR) {
            return fail_call(EXIT_FAILURE, "write", output->path == NULL ? "output" : output->path, errno);
        }
        written += n < 0 ? 0 : (size_t)n;
    }
    return EXIT_SUCCESS;
}

/* BEGIN SOLUTION */
/* Gives the connection a whole --timeout more. */
static void deadline_renew(struct connection *connection)
{
    connection->deadline = now_ms() + connection->timeout_ms;
    connection->earned = 0;
}

/* Copies SIZE bytes of body, or all until the stream ends if SIZE is UINT64_MAX. */
static int body_copy(struct connection *connection, const struct output *output, uint64_t size)
{
    for (uint64_t left = size; left > 0;) {
        ssize_t n = connection->begin < connection->end ? 1 : connection_fill(connection);
        if (n == 0 && size == UINT64_MAX) {
            return EXIT_SUCCESS;
        }
        if (n <= 0) {
            return fail_broken(connection, n);
        }
        const size_t here = connection->end - connection->begin;
        const size_t taken = left < here ? (size_t)left : here;
        int status = output_write(output, connection->bytes + connection->begin, taken);
        if (status != EXIT_SUCCESS) {
            return status;
        }
        connection->begin += taken;
        connection->earned += taken;
        left -= taken;
        if (connection->earned >= PROGRESS_BYTES) { /* not after each byte: who drips would never be late */
            deadline_renew(connection);
        }
    }
    return EXIT_SUCCESS;
}

/* Receives a line into LINE of SIZE bytes, and ends it with a NUL in place of CR and LF. Returns EXIT_SUCCESS
 * or the status to exit with. */
static int line_receive(struct connection *connection, char *line, size_t size)
{
    for (size_t used = 0; used < size; used++) {
        ssize_t n = connection->begin < connection->end ? 1 : connection_fill(connection);
        if (n <= 0) {
            return fail_broken(connection, n);
        }
        line[used] = connection->bytes[connection->begin++];
        const bool after_cr = used > 0 && line[used - 1] == '\r';
        if (line[used] == '\0' || (line[used] == '\n') != after_cr) {
            return fail_malformed(connection, "a line between the chunks does not end in CR and LF");
        }
        if (after_cr) {
            line[used - 1] = '\0';
            return EXIT_SUCCESS;
        }
    }
    return fail_malformed(connection, "a line between the chunks does not end");
}

/* Receives the line that begins a chunk: its size, and perhaps extensions (RFC 9112, section 7.1.1). */
static int chunk_size_receive(struct connection *connection, uint64_t *size)
{
    char line[LINE_LIMIT];
    int status = line_receive(connection, line, sizeof line);
    if (status != EXIT_SUCCESS) {
        return status;
    }
    const char *end = number_parse(line, 16, size);
    if (end != NULL) {
        end += strspn(end, " \t");
    }
    if (end == NULL || (*end != '\0' && *end != ';') || *size == UINT64_MAX) {
        return fail_malformed(connection, "a chunk that does not begin with its size");
    }
    return EXIT_SUCCESS;
}

/* Receives the fields after the last chunk, which nobody here asks for, and the blank line after them. */
static int trailers_receive(struct connection *connection)
{
    char line[LINE_LIMIT];
    for (size_t total = 0; total < HEAD_LIMIT; total += strlen(line) + 2) {
        int status = line_receive(connection, line, sizeof line);
        if (status != EXIT_SUCCESS || line[0] == '\0') {
            return status;
        }
    }
    return fail_malformed(connection, "the trailers do not end");
}

/* Copies a body that comes in chunks. */
static int body_copy_chunks(struct connection *connection, const struct output *output)
{
    for (;;) {
        uint64_t size = 0;
        int status = chunk_size_receive(connection, &size);
        if (status == EXIT_SUCCESS && size == 0) {
            return trailers_receive(connection);
        }
        if (status == EXIT_SUCCESS) {
            status = body_copy(connection, output, size);
        }
        char end[LINE_LIMIT];
        if (status == EXIT_SUCCESS) {
            status = line_receive(connection, end, sizeof end);
        }
        if (status != EXIT_SUCCESS) {
            return status;
        }
        if (end[0] != '\0') {
            return fail_malformed(connection, "a chunk longer than its size");
        }
    }
}

/* Looks whether more has come than the response: then its end is not where it says. */
static int check_nothing_follows(const struct connection *connection)
{
    char byte = 0;
    if (connection->begin < connection->end || recv(connection->fd, &byte, 1, MSG_DONTWAIT) > 0) {
        return fail_malformed(connection, "bytes beyond its end");
    }
    return EXIT_SUCCESS;
}

/* END SOLUTION */
/* STARTER: */
/* Copies the body to OUTPUT. Returns EXIT_SUCCESS if it was whole, else the status to exit with. */
static int body_receive(struct connection *connection, enum framing framing, uint64_t length,
                        const struct output *output)
{
    /* BEGIN SOLUTION */
    deadline_renew(connection);
    int status = EXIT_SUCCESS;
    switch (framing) {
    case FRAMING_NONE:
        break;
    case FRAMING_CHUNKED:
        status = body_copy_chunks(connection, output);
        break;
    case FRAMING_LENGTH:
        /* To body_copy UINT64_MAX means the end of the stream; and so many bytes will never have come. */
        status = length == UINT64_MAX ? fail_malformed(connection, "a Content-Length beyond all measure")
                                      : body_copy(connection, output, length);
        break;
    case FRAMING_CLOSE:
        return body_copy(connection, output, UINT64_MAX);
    }
    return status == EXIT_SUCCESS ? check_nothing_follows(connection) : status;
    /* END SOLUTION */
    /* STARTER:
    (void)length; // what is there goes out; then there may be more
    const char *data = connection->bytes + connection->begin;
    return framing == FRAMING_NONE ? EXIT_SUCCESS : output_write(output, data, connection->end -
    connection->begin);
    */
}

/* Does the response send the client elsewhere (RFC 9110, section 15.4)? */
static bool is_redirect(const struct response *response)
{
    /* BEGIN SOLUTION */
    switch (response->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return response->location != NULL;
    default:
        return false;
    }
    /* END SOLUTION */
    /* STARTER:
    return response->location != NULL && response->status == 0;
    */
}

/* Writes the final response, whose head is at bytes[begin], to OUTPUT. Returns EXIT_SUCCESS if it was whole
 * and its status is under 400, else the status to exit with. */
static int response_deliver(struct connection *connection, const struct response *response,
                            const struct options *options, const struct output *output)
{
    enum framing framing = FRAMING_NONE;
    const char *why = framing_of(response, &framing);
    if (why != NULL) {
        return fail_malformed(connection, why);
    }
    int status = EXIT_SUCCESS;
    if (options->include_head) {
        status = output_write(output, connection->bytes + connection->begin, response->head_length);
    }
    connection->begin += response->head_length;
    if (status == EXIT_SUCCESS) {
        status = body_receive(connection, framing, response->length, output);
    }
    if (status != EXIT_SUCCESS || response->status < 400) {
        return status;
    }
    char text[32];
    snprintf(text, sizeof text, "the status is %d", response->status);
    return fail(EXIT_STATUS, connection->host, text);
}

/* Has one conversation, about URL. If the answer is a redirect, sets NEXT to where it leads and REDIRECTED to
 * true. Returns EXIT_SUCCESS or the status to exit with. */
static int exchange(const struct url *url, const struct options *options, const struct output *output,
                    struct url *next, bool *redirected)
{
    struct connection connection = {.fd = -1, .host = url->host, .timeout_ms = options->timeout_ms};
    struct response response = {0};
    int status = connection_open(&connection, url);
    if (status != EXIT_SUCCESS) {
        return status;
    }
    status = request_send(&connection, url);
    if (status == EXIT_SUCCESS) {
        status = response_receive(&connection, &response);
    }
    *redirected = status == EXIT_SUCCESS && is_redirect(&response);
    if (*redirected) {
        const char *why = url_resolve(next, url, response.location);
        status = why == NULL ? EXIT_SUCCESS : fail(EXIT_RESPONSE, "redirect", why);
    } else if (status == EXIT_SUCCESS) {
        status = response_deliver(&connection, &response, options, output);
    }
    close(connection.fd); /* it was only read from: nothing can be lost by an error here */
    return status;
}

/* Asks for URL, and for what it redirects to. Returns as exchange does. */
static int fetch(struct url *url, const struct options *options, const struct output *output)
{
    /* BEGIN SOLUTION */
    for (int redirects = 0; redirects <= REDIRECT_LIMIT; redirects++) {
        struct url next = {0};
        bool redirected = false;
        int status = exchange(url, options, output, &next, &redirected);
        if (status != EXIT_SUCCESS || !redirected) {
            return status;
        }
        *url = next;
    }
    return fail(EXIT_REDIRECTS, url->host, "too many redirects");
    /* END SOLUTION */
    /* STARTER:
    struct url next = {0};
    bool redirected = false;
    return exchange(url, options, output, &next, &redirected);
    */
}

/* Opens what the body is to be written to: standard output, or a file that has no name yet in the directory
 * of PATH (O_TMPFILE in open(2)). What is there and no regular file, such as /dev/null, is written to as it
 * is. Returns EXIT_SUCCESS or the status to exit with. */
static int output_open(struct output *output, const char *path)
{
    *output = (struct output){.fd = STDOUT_FILENO};
    if (path == NULL) {
        return EXIT_SUCCESS;
    }
    /* BEGIN SOLUTION */
    struct stat found;
    if (stat(path, &found) == 0 && !S_ISREG(found.st_mode)) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        const char *slash = strrchr(path, '/');
        char *directory = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
        output->path = path;
        output->fd = directory == NULL ? -1 : open(directory, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
        free(directory);
    }
    return output->fd < 0 ? fail_call(EXIT_FAILURE, "open", path, errno) : EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); // and if the rest does not come?
    return output->fd < 0 ? fail_call(EXIT_FAILURE, "open", path, errno) : EXIT_SUCCESS;
    */
}

/* Gives the file, which is whole now, its name; a file that has this name already is replaced in the same
 * moment. */
static int output_commit(const struct output *output)
{
    /* BEGIN SOLUTION */
    if (output->path == NULL) {
        return EXIT_SUCCESS;
    }
    char link[64];
    char *beside = NULL; /* linkat(2) replaces no file and rename(2) gives no first name: both are needed */
    snprintf(link, sizeof link, "/proc/self/fd/%d", output->fd);
    if (asprintf(&beside, "%s.%ld", output->path, (long)getpid()) < 0) {
        return fail_call(EXIT_FAILURE, "asprintf", output->path, ENOMEM);
    }
    int status = EXIT_SUCCESS;
    if (linkat(AT_FDCWD, link, AT_FDCWD, beside, AT_SYMLINK_FOLLOW) < 0) {
        status = fail_call(EXIT_FAILURE, "linkat", beside, errno);
    } else if (rename(beside, output->path) < 0) {
        status = fail_call(EXIT_FAILURE, "rename", output->path, errno);
        unlink(beside);
    }
    free(beside);
    return status;
    /* END SOLUTION */
    /* STARTER:
    (void)output; // linkat(2) and rename(2)
    return EXIT_SUCCESS;
    */
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    struct url url = {0};
    const char *why = url_parse(&url, options.url);
    if (why != NULL) {
        return fail(EXIT_USAGE, "URL", why); /* which is not repeated: it may hold a line feed, or worse */
    }
    struct output output;
    int status = output_open(&output, options.file);
    if (status == EXIT_SUCCESS) {
        status = fetch(&url, &options, &output);
    }
    if (status == EXIT_SUCCESS || status == EXIT_STATUS) {
        int committed = output_commit(&output);
        status = committed == EXIT_SUCCESS ? status : committed;
    }
    return status;
}
