/* http-parse: an incremental parser of HTTP/1.1 requests, and the server around it.
 *
 * The parser is fed with whatever bytes have come and says: whole, more, or refused and with which status. It
 * allocates nothing: a request is made of slices of the connection's buffer. The server has one peer at a
 * time, and blocks, as that of chapter 02; but it answers one request after another. The lesson is README.md.
 */
#define _GNU_SOURCE /* accept4(2) */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    ADDRESS_TEXT = 64,      /* room for "tcp:[", the longest IPv6 address (45), "]:65535" and the NUL */
    HEAD_LIMIT = 8192,      /* bytes of a head, and of a trailer section: RFC 9112, section 3, wants 8000 */
    BODY_LIMIT = 1 << 20,   /* bytes of a body, decoded */
    CHUNK_LINE_LIMIT = 256, /* bytes of a line with a chunk's size and extensions */
    EXTENSION_LIMIT = 8192, /* bytes of all chunk extensions of a request (RFC 9112, section 7.1.1) */
    READ_SIZE = 16384,      /* bytes to ask for at once: what is behind a request has to be moved */
    BUFFER_SIZE = HEAD_LIMIT + BODY_LIMIT + READ_SIZE,
    RESPONSE_HEAD =
        HEAD_LIMIT + 512,  /* room for a response's head, in which a request's Content-Type may be */
    DRAIN_LIMIT = 1 << 20, /* bytes to read and forget after the last answer, for a peer that never stops */
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
    bool echo;              /* answer every target as /echo */
};

/* Prints the one line that says which call failed, on what, and why. Returns false, for callers to return. */
static bool report(const char *call, const char *detail, int error)
{
    fprintf(stderr, "http-parse: %s(%s): %s\n", call, detail, strerror(error));
    return false;
}

/* Prints the one line that says why a conversation ended although no call failed. Returns false likewise. */
static bool give_up(const char *peer, const char *why)
{
    fprintf(stderr, "http-parse: %s: %s\n", peer, why);
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
    fprintf(stderr, "http-parse: %s: '%s'\n", what, value);
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
    static char name[] = "http-parse";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'},    {"port", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'}, {"echo", no_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
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
        case 'e':
            options.echo = true;
            break;
        case 'h':
            puts("usage: http-parse [--bind HOST] [--port N] [--timeout SECONDS] [--echo]");
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

/* Part of somebody else's bytes, without a NUL at its end. */
struct slice {
    const char *start;
    size_t length;
};

/* A request as it was understood. Its slices lie in the connection's buffer, and hold until the next one. */
struct request {
    struct slice method;
    struct slice target; /* as it came */
    struct slice path;   /* the target's path, without a query; "*" if it names the server as a whole */
    struct slice fields; /* field lines, each with its line end; field_next walks through them */
    struct slice body;   /* decoded */
    int minor;           /* of the version, HTTP/1.x */
    bool closes;         /* no further request is to be read from this connection */
    bool awaits_continue;
};

/* Where the parser is in a request: what the next byte belongs to. */
enum state {
    REQUEST_LINE, /* nothing but empty lines so far, or the request line, not whole yet */
    FIELDS,       /* a field, or the empty line that ends the head */
    BODY,         /* as many bytes as Content-Length said */
    CHUNK_SIZE,   /* a line with the size of the next chunk; size 0: the last */
    CHUNK_DATA,
    CHUNK_END, /* the line end behind the data */
    TRAILER,   /* a field, or the empty line that ends a chunked body */
    WHOLE,
};

/* What is known of a request of which some bytes may still be missing. Zeroed, it is ready for one. */
struct parser {
    enum state state;
    size_t at;   /* bytes of the buffer that have been understood */
    size_t kept; /* of those, how many belong to head and decoded body, which lie at the buffer's beginning */
    size_t searched;   /* bytes behind AT in which there is no line feed */
    size_t left;       /* bytes of body, or of this chunk's data, that are still to come */
    size_t extensions; /* bytes of chunk extensions so far */
    size_t trailers;   /* bytes of the trailer section so far */
    unsigned hosts;    /* Host fields */
    bool has_length;   /* there was a Content-Length */
    bool coded;        /* there was a Transfer-Encoding */
    bool chunked;      /* and its last coding so far is chunked */
    bool foreign;      /* and one of its codings is unknown here */
    bool demands;      /* there was an Expect that cannot be met */
    struct request request;
};

/* A verdict on some bytes: MORE, DONE, or the status, 400 to 505, with which the request is to be refused. */
enum { MORE = 0, DONE = 1 };

static bool slice_is(struct slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.start, text, slice.length) == 0;
}

/* As slice_is, for what is compared without case: field names, codings, options. */
static bool slice_is_nocase(struct slice slice, const char *text)
{
    return slice.length == strlen(text) && strncasecmp(slice.start, text, slice.length) == 0;
}

/* Returns the part of SLICE from AT on. */
static struct slice slice_from(struct slice slice, size_t at)
{
    return (struct slice){slice.start + at, slice.length - at};
}

/* Takes what is before the first SEPARATOR from REST, and the separator. Returns false, with all of REST in
 * PIECE, if there is none. */
static bool slice_cut(struct slice *rest, char separator, struct slice *piece)
{
    *piece = *rest;
    const char *found = rest->length > 0 ? memchr(rest->start, separator, rest->length) : NULL;
    if (found == NULL) {
        return false;
    }
    piece->length = (size_t)(found - rest->start);
    *rest = slice_from(*rest, piece->length + 1);
    return true;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Returns SLICE without the spaces and tabs at its end. */
static struct slice slice_trim_end(struct slice slice)
{
    while (slice.length > 0 && is_blank(slice.start[slice.length - 1])) {
        slice.length--;
    }
    return slice;
}

/* Returns SLICE without the spaces and tabs around it. */
static struct slice slice_trim(struct slice slice)
{
    while (slice.length > 0 && is_blank(slice.start[0])) {
        slice = slice_from(slice, 1);
    }
    return slice_trim_end(slice);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* isalnum(3) and its kin depend on the locale, and want to be called with an unsigned char. */
static bool is_alphanumeric(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

/* A token character (RFC 9110, section 5.6.2). */
static bool is_token(char byte)
{
    return is_alphanumeric(byte) || is_one_of(byte, "!#$%&'*+-.^_`|~");
}

/* A character of a request target: visible, of ASCII, and not the one that begins a fragment. */
static bool is_target(char byte)
{
    return byte > ' ' && byte < 0x7f && byte != '#';
}

/* A character of a field's value: no control but the tab (RFC 9110, section 5.5). Bytes from 0x80 on are. */
static bool is_text(char byte)
{
    return byte == '\t' || ((unsigned char)byte >= ' ' && byte != 0x7f);
}

/* A character of a registered name, or between the brackets of an IPv6 address (RFC 3986, section 3.2.2). */
static bool is_host(char byte)
{
    return is_alphanumeric(byte) || is_one_of(byte, "-._~%!$&'()*+,;=");
}

static bool is_in_brackets(char byte)
{
    return is_host(byte) || byte == ':';
}

/* Are all bytes of SLICE of one kind? */
static bool slice_all(struct slice slice, bool (*kind)(char))
{
    for (size_t i = 0; i < slice.length; i++) {
        if (!kind(slice.start[i])) {
            return false;
        }
    }
    return true;
}

/* Reads a number of nothing but digits of BASE, 10 or 16. One that is too large for a size_t becomes
 * SIZE_MAX. strtoul(3) alone would take " 5", "+5", "-5" and "0x5" as well, and need a NUL at the end. */
static bool slice_number(struct slice digits, unsigned base, size_t *number)
{
    /* BEGIN SOLUTION */
    static const char values[] = "0123456789abcdef";
    *number = 0;
    for (size_t i = 0; i < digits.length; i++) {
        const char lower = (char)(digits.start[i] | (is_digit(digits.start[i]) ? 0 : 0x20));
        const char *found = is_alphanumeric(digits.start[i]) ? memchr(values, lower, base) : NULL;
        if (found == NULL) {
            return false;
        }
        const size_t digit = (size_t)(found - values);
        *number = *number > (SIZE_MAX - digit) / base ? SIZE_MAX : *number * base + digit;
    }
    return digits.length > 0;
    /* END SOLUTION */
    /* STARTER:
    (void)digits; // digits and nothing else, at least one; and what if the number does not fit?
    (void)base;
    *number = 0;
    return false;
    */
}

/* Splits a field line into its NAME and its VALUE, without the white space around that (RFC 9112, section 5).
 * Returns false if it is no field line: no colon, white space before it or before the name, a control. */
static bool field_split(struct slice line, struct slice *name, struct slice *value)
{
    /* BEGIN SOLUTION */
    if (!slice_cut(&line, ':', name) || name->length == 0 || !slice_all(*name, is_token)) {
        return false;
    }
    *value = slice_trim(line);
    return slice_all(*value, is_text);
    /* END SOLUTION */
    /* STARTER:
    *value = line; // RFC 9112, section 5: field-name ":" OWS field-value OWS
    return slice_cut(value, ':', name) && slice_all(*value, is_text);
    */
}

/* Takes the next field off FIELDS, whole lines that were found good. Returns false if there is none. */
static bool field_next(struct slice *fields, struct slice *name, struct slice *value)
{
    struct slice line;
    if (!slice_cut(fields, '\n', &line)) {
        return false;
    }
    line.length--; /* the CR */
    return field_split(line, name, value);
}

/* Takes the next element off a comma-separated LIST. Returns false if there is none. Empty ones are passed
 * over (RFC 9110, section 5.6.1.2). */
static bool list_next(struct slice *list, struct slice *element)
{
    /* BEGIN SOLUTION */
    while (list->length > 0) {
        if (!slice_cut(list, ',', element)) {
            list->length = 0;
        }
        *element = slice_trim(*element);
        if (element->length > 0) {
            return true;
        }
    }
    return false;
    /* END SOLUTION */
    /* STARTER:
    *element = slice_trim(*list); // one element or several, with commas between them
    list->length = 0;
    return element->length > 0;
    */
}

/* Is VALUE a host and perhaps a port (RFC 9110, section 7.2; RFC 3986, section 3.2.2)? An empty one is. */
static bool host_valid(struct slice value)
{
    /* BEGIN SOLUTION */
    struct slice host = value;
    struct slice port = {value.start, 0};
    if (value.length > 0 && value.start[0] == '[') {
        value = slice_from(value, 1);
        if (!slice_cut(&value, ']', &host) || host.length == 0 || !slice_all(host, is_in_brackets)) {
            return false;
        }
        if (value.length == 0) {
            return true;
        }
        port = slice_from(value, 1);
        return value.start[0] == ':' && slice_all(port, is_digit);
    }
    if (slice_cut(&value, ':', &host)) {
        port = value;
    }
    return slice_all(host, is_host) && slice_all(port, is_digit);
    /* END SOLUTION */
    /* STARTER:
    return slice_all(value, is_host) || slice_all(value, is_in_brackets); // and where are the brackets?
    */
}

/* What one field means for the request. Each of these returns DONE, or the status with which to refuse it. */
static int take_host(struct parser *parser, struct slice value)
{
    /* BEGIN SOLUTION */
    parser->hosts++;
    return parser->hosts > 1 || !host_valid(value) ? 400 : DONE;
    /* END SOLUTION */
    /* STARTER:
    parser->hosts++;
    return host_valid(value) ? DONE : 400;
    */
}

static int take_content_length(struct parser *parser, struct slice value)
{
    /* BEGIN SOLUTION */
    if (parser->has_length) {
        return 400; /* even if it is the same: RFC 9110, section 8.6, leaves the choice */
    }
    /* END SOLUTION */
    /* STARTER: // what if there is one already? */
    parser->has_length = true;
    return slice_number(value, 10, &parser->left) ? DONE : 400;
}

static int take_transfer_encoding(struct parser *parser, struct slice value)
{
    /* BEGIN SOLUTION */
    parser->coded = true;
    for (struct slice coding; list_next(&value, &coding);) {
        if (parser->chunked) {
            return 400; /* chunked is the last coding, and there once (RFC 9112, section 6.1) */
        }
        if (slice_is_nocase(coding, "chunked")) {
            parser->chunked = true;
        } else {
            parser->foreign = true;
        }
    }
    return DONE;
    /* END SOLUTION */
    /* STARTER:
    (void)value; // a list of codings: which of them is the last?
    parser->coded = true;
    return DONE;
    */
}

static int take_connection(struct parser *parser, struct slice value)
{
    for (struct slice option; list_next(&value, &option);) {
        /* BEGIN SOLUTION */
        if (slice_is_nocase(option, "close")) {
            parser->request.closes = true;
        }
        /* END SOLUTION */
        /* STARTER:
        (void)parser; // RFC 9112, section 9.6
        */
    }
    return DONE;
}

static int take_expect(struct parser *parser, struct slice value)
{
    /* BEGIN SOLUTION */
    for (struct slice expectation; list_next(&value, &expectation);) {
        if (slice_is_nocase(expectation, "100-continue")) {
            parser->request.awaits_continue = true;
        } else {
            parser->demands = true;
        }
    }
    return DONE;
    /* END SOLUTION */
    /* STARTER:
    (void)parser; // RFC 9110, section 10.1.1
    (void)value;
    return DONE;
    */
}

/* Looks at a field, if it is one of those that say where the request ends, or what is to become of it. */
static int take_field(struct parser *parser, struct slice name, struct slice value)
{
    static const struct {
        const char *name;
        int (*take)(struct parser *parser, struct slice value);
    } known[] = {
        {"host", take_host},
        {"content-length", take_content_length},
        {"transfer-encoding", take_transfer_encoding},
        {"connection", take_connection},
        {"expect", take_expect},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_is_nocase(name, known[i].name)) {
            return known[i].take(parser, value);
        }
    }
    return DONE;
}

/* Takes the next line off BYTES, of which USED are there. Returns DONE and LINE without its line end; MORE;
 * TOO_LONG if it cannot end within ROOM bytes; or 400 for a line feed without a carriage return before it. */
static int take_line(struct parser *parser, const char *bytes, size_t used, size_t room, int too_long,
                     struct slice *line)
{
    /* BEGIN SOLUTION */
    const char *start = bytes + parser->at;
    const size_t there = used - parser->at;
    const size_t within = there < room ? there : room;
    const char *feed = memchr(start + parser->searched, '\n', within - parser->searched);
    if (feed == NULL) {
        parser->searched = within; /* so that single bytes do not make us look at all of them each time */
        return there < room ? MORE : too_long;
    }
    if (feed == start || feed[-1] != '\r') {
        return 400;
    }
    *line = (struct slice){start, (size_t)(feed - 1 - start)};
    parser->at += line->length + 2;
    parser->searched = 0;
    return DONE;
    /* END SOLUTION */
    /* STARTER:
    (void)parser; // the line begins at bytes + parser->at, and may take up to ROOM bytes
    (void)used;
    (void)room;
    *line = (struct slice){bytes, 0};
    return too_long;
    */
}

/* Makes of an absolute target, http://host:port/path?query, its PATH (RFC 9112, section 3.2.2; RFC 9110,
 * sections 4.2 and 7.4). */
static int take_absolute_target(struct slice rest, bool asks_options, struct slice *path)
{
    /* BEGIN SOLUTION */
    struct slice scheme;
    if (!slice_cut(&rest, ':', &scheme) || rest.length < 2 || memcmp(rest.start, "//", 2) != 0) {
        return 400;
    }
    rest = slice_from(rest, 2);
    struct slice authority = {rest.start, 0};
    while (authority.length < rest.length && !is_one_of(rest.start[authority.length], "/?")) {
        authority.length++;
    }
    if (authority.length == 0 || authority.start[0] == ':' || !host_valid(authority)) {
        return 400;
    }
    if (!slice_is_nocase(scheme, "http")) {
        return 421; /* https wants a connection that is secured, and others are not served here at all */
    }
    *path = slice_from(rest, authority.length);
    if (path->length == 0) {
        *path = (struct slice){asks_options ? "*" : "/", 1};
    } else if (path->start[0] == '?') {
        *path = (struct slice){"/", 1};
    }
    return DONE;
    /* END SOLUTION */
    /* STARTER:
    (void)rest; // scheme "://" authority [ path ] [ "?" query ]
    (void)asks_options;
    *path = (struct slice){"/", 1};
    return 400;
    */
}

/* Finds the path in the request's target, of whichever form (RFC 9112, section 3.2). */
static int take_target(struct request *request)
{
    struct slice query;
    struct slice path = request->target;
    const bool asks_options = slice_is(request->method, "OPTIONS");
    int verdict = DONE;
    /* BEGIN SOLUTION */
    if (slice_is(request->method, "CONNECT")) {
        verdict = host_valid(path) ? DONE : 400; /* its target is host:port, and no path */
    } else if (slice_is(path, "*")) {
        verdict = asks_options ? DONE : 400;
    } else if (path.start[0] != '/') {
        verdict = take_absolute_target(path, asks_options, &path);
    }
    /* END SOLUTION */
    /* STARTER:
    if (path.start[0] != '/') { // what may it begin with besides?
        verdict = take_absolute_target(path, asks_options, &path);
    }
    */
    slice_cut(&path, '?', &query);
    request->path = query; /* what is before the question mark, or all of it */
    return verdict;
}

/* One step for each state. Each returns DONE when its element was there and is understood, with the state
 * that comes next; MORE; or the status with which to refuse the request. */
static int parse_request_line(struct parser *parser, char *bytes, size_t used)
{
    struct slice line;
    int verdict = take_line(parser, bytes, used, HEAD_LIMIT - parser->at, 414, &line);
    if (verdict != DONE) {
        return verdict;
    }
    parser->kept = parser->at;
    if (line.length == 0) {
        return DONE; /* an empty line before a request is passed over: RFC 9112, section 2.2 */
    }
    struct request *request = &parser->request;
    /* BEGIN SOLUTION */
    if (!slice_cut(&line, ' ', &request->method) || !slice_cut(&line, ' ', &request->target)) {
        return 400;
    }
    if (request->method.length == 0 || !slice_all(request->method, is_token) || request->target.length == 0 ||
        !slice_all(request->target, is_target)) {
        return 400;
    }
    if (line.length != 8 || memcmp(line.start, "HTTP/", 5) != 0 || !is_digit(line.start[5]) ||
        line.start[6] != '.' || !is_digit(line.start[7])) {
        return 400;
    }
    if (line.start[5] != '1') {
        return 505;
    }
    request->minor = line.start[7] - '0';
    request->closes = request->minor == 0;
    /* END SOLUTION */
    /* STARTER:
    request->minor = 1; // RFC 9112, section 3: method SP request-target SP HTTP-version
    request->target = line;
    if (!slice_cut(&line, ' ', &request->method) || !slice_all(request->method, is_token) ||
        !slice_all(line, is_target)) {
        return 400;
    }
    */
    parser->state = FIELDS;
    request->fields.start = bytes + parser->at;
    return take_target(request);
}

/* Decides, at the end of the head, how long the body is (RFC 9112, section 6.3), in its order. */
static int decide_framing(struct parser *parser)
{
    /* BEGIN SOLUTION */
    const struct slice method = parser->request.method;
    if (parser->coded) {
        if (parser->has_length || parser->request.minor == 0 || !parser->chunked) {
            return 400; /* two lengths, or none that can be known: a smuggler's tools */
        }
        parser->state = CHUNK_SIZE;
        return parser->foreign ? 501 : DONE;
    }
    if (!parser->has_length &&
        (slice_is(method, "POST") || slice_is(method, "PUT") || slice_is(method, "PATCH"))) {
        return 411;
    }
    parser->state = BODY;
    return parser->left > BODY_LIMIT ? 413 : DONE;
    /* END SOLUTION */
    /* STARTER:
    parser->state = parser->coded ? CHUNK_SIZE : BODY; // what if both were there, or neither?
    return DONE;
    */
}

static int end_head(struct parser *parser, const char *bytes)
{
    struct request *request = &parser->request;
    request->body.start = bytes + parser->at;
    int verdict = decide_framing(parser);
    /* BEGIN SOLUTION */
    if (request->minor == 0) {
        request->awaits_continue = false; /* RFC 9110, section 10.1.1 */
    } else if (parser->hosts == 0) {
        return 400;
    } else if (verdict == DONE && parser->demands) {
        return 417;
    }
    /* END SOLUTION */
    /* STARTER: // is there anything that a request must have, or must not? */
    return verdict;
}

static int parse_field(struct parser *parser, char *bytes, size_t used)
{
    struct slice line;
    int verdict = take_line(parser, bytes, used, HEAD_LIMIT - parser->at, 431, &line);
    if (verdict != DONE) {
        return verdict;
    }
    parser->kept = parser->at;
    if (line.length == 0) {
        return end_head(parser, bytes);
    }
    struct slice name;
    struct slice value;
    if (!field_split(line, &name, &value)) {
        return 400;
    }
    parser->request.fields.length += line.length + 2;
    return take_field(parser, name, value);
}

/* Takes what is there of the bytes that are LEFT into the body; behind a chunk's size they are moved. */
static void take_body(struct parser *parser, char *bytes, size_t used)
{
    /* BEGIN SOLUTION */
    const size_t there = used - parser->at;
    const size_t size = there < parser->left ? there : parser->left;
    memmove(bytes + parser->kept, bytes + parser->at, size);
    parser->at += size;
    parser->kept += size;
    parser->left -= size;
    parser->request.body.length += size;
    /* END SOLUTION */
    /* STARTER:
    (void)parser; // to bytes + parser->kept, from bytes + parser->at; they may overlap
    (void)bytes;
    (void)used;
    */
}

static int parse_body(struct parser *parser, char *bytes, size_t used)
{
    take_body(parser, bytes, used);
    if (parser->left > 0) {
        return MORE;
    }
    parser->state = WHOLE;
    return DONE;
}

static int parse_chunk_size(struct parser *parser, char *bytes, size_t used)
{
    struct slice line;
    int verdict = take_line(parser, bytes, used, CHUNK_LINE_LIMIT, 400, &line);
    if (verdict != DONE) {
        return verdict;
    }
    /* BEGIN SOLUTION */
    struct slice size;
    if (slice_cut(&line, ';', &size)) {
        size = slice_trim_end(size); /* white space may stand before the semicolon, but not alone */
        parser->extensions += line.length;
        if (!slice_all(line, is_text) || parser->extensions > EXTENSION_LIMIT) {
            return 400;
        }
    }
    if (!slice_number(size, 16, &parser->left)) {
        return 400;
    }
    if (parser->left > BODY_LIMIT - parser->request.body.length) {
        return 413;
    }
    parser->state = parser->left > 0 ? CHUNK_DATA : TRAILER;
    return DONE;
    /* END SOLUTION */
    /* STARTER:
    parser->state = TRAILER; // RFC 9112, section 7.1: chunk-size [ chunk-ext ], in hexadecimal
    return DONE;
    */
}

static int parse_chunk_data(struct parser *parser, char *bytes, size_t used)
{
    take_body(parser, bytes, used);
    if (parser->left > 0) {
        return MORE;
    }
    parser->state = CHUNK_END;
    return DONE;
}

static int parse_chunk_end(struct parser *parser, char *bytes, size_t used)
{
    /* BEGIN SOLUTION */
    struct slice line;
    int verdict = take_line(parser, bytes, used, 2, 400, &line);
    if (verdict == DONE) {
        parser->state = CHUNK_SIZE;
    }
    return verdict;
    /* END SOLUTION */
    /* STARTER:
    (void)bytes; // two bytes: there, and the right ones?
    (void)used;
    parser->state = CHUNK_SIZE;
    return DONE;
    */
}

static int parse_trailer(struct parser *parser, char *bytes, size_t used)
{
    /* BEGIN SOLUTION */
    struct slice line;
    int verdict = take_line(parser, bytes, used, HEAD_LIMIT - parser->trailers, 431, &line);
    if (verdict != DONE) {
        return verdict;
    }
    parser->trailers += line.length + 2;
    if (line.length == 0) {
        parser->state = WHOLE;
        return DONE;
    }
    struct slice name;
    struct slice value;
    return field_split(line, &name, &value) ? DONE : 400; /* and forgotten (RFC 9110, section 6.5.1) */
    /* END SOLUTION */
    /* STARTER:
    (void)bytes; // fields as in the head, up to an empty line, and no more than HEAD_LIMIT bytes
    (void)used;
    parser->state = WHOLE;
    return DONE;
    */
}

/* Looks at what has come. BYTES, of which USED are there, begin with the request and stay where they are.
 * Returns DONE if the request is whole: it took parser->at bytes, and parser->request tells what it says;
 *         MORE if it wants more bytes, behind those that are there;
 *         a status from 400 on if it has to be refused: no byte after that means anything. */
static int parser_feed(struct parser *parser, char *bytes, size_t used)
{
    static int (*const steps[])(struct parser * parser, char *bytes, size_t used) = {
        [REQUEST_LINE] = parse_request_line, [FIELDS] = parse_field,          [BODY] = parse_body,
        [CHUNK_SIZE] = parse_chunk_size,     [CHUNK_DATA] = parse_chunk_data, [CHUNK_END] = parse_chunk_end,
        [TRAILER] = parse_trailer,
    };
    int verdict = DONE;
    while (verdict == DONE && parser->state != WHOLE) {
        verdict = steps[parser->state](parser, bytes, used);
    }
    return verdict;
}

/* Closes the gap that chunks' sizes leave behind them, so that the buffer has room for BODY_LIMIT bytes of
 * body however many chunks they come in. Returns how many bytes of the buffer are used then. */
static size_t parser_compact(struct parser *parser, char *bytes, size_t used)
{
    memmove(bytes + parser->kept, bytes + parser->at, used - parser->at);
    used -= parser->at - parser->kept;
    parser->at = parser->kept;
    return used;
}

/* One conversation, of one request after another. */
struct connection {
    int descriptor;
    const char *peer; /* its address, for messages */
    struct parser parser;
    size_t used;             /* bytes that are in the buffer */
    char bytes[BUFFER_SIZE]; /* the request, and behind it what the peer has sent ahead */
};

/* Limits how long one read and one write on CONNECTION may sleep, as in chapter 02, and has small writes sent
 * at once (tcp(7), TCP_NODELAY). Returns false if the kernel will not. */
static bool set_options(int connection, const char *peer, const struct timeval *timeout)
{
    const int on = 1;
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout) < 0 ||
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof *timeout) < 0 ||
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        return report("setsockopt", peer, errno);
    }
    return true;
}

/* Sends all SIZE bytes of DATA. FLAGS: MSG_MORE if something follows that may go into the same segment.
 * Returns false if the peer is gone or takes nothing for too long. */
static bool send_all(const struct connection *connection, const char *data, size_t size, int flags)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(connection->descriptor, data + sent, size - sent, flags | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return give_up(connection->peer, "takes nothing for too long"); /* SO_SNDTIMEO */
        }
        if (n < 0) {
            return report("send", connection->peer, errno);
        }
        sent += (size_t)n;
    }
    return true;
}

/* Reads what has come, behind what is there. Returns how many bytes, 0 at the end of the peer's stream,
 * -EAGAIN if the peer was silent for too long, another -errno if the call failed. */
static ssize_t connection_read(struct connection *connection)
{
    connection->used = parser_compact(&connection->parser, connection->bytes, connection->used);
    const size_t room = sizeof connection->bytes - connection->used;
    for (;;) {
        ssize_t n = read(connection->descriptor, connection->bytes + connection->used,
                         room < READ_SIZE ? room : READ_SIZE);
        if (n >= 0) {
            connection->used += (size_t)n;
            return n;
        }
        if (errno != EINTR) { /* which comes without a handler, too: see chapter 02 */
            return -errno;
        }
    }
}

/* Tells a peer that waits with the body that it may send it (RFC 9110, section 10.1.1), once, and not if some
 * of it is there already. Returns false if the peer is gone. */
static bool send_continue(struct connection *connection)
{
    /* BEGIN SOLUTION */
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = &connection->parser.request;
    if (connection->parser.state <= FIELDS || !request->awaits_continue) {
        return true;
    }
    request->awaits_continue = false;
    const bool has_body = connection->bytes + connection->used > request->body.start;
    return has_body || send_all(connection, interim, sizeof interim - 1, 0);
    /* END SOLUTION */
    /* STARTER:
    return connection->used > 0 || send_all(connection, "", 0, 0); // RFC 9110, section 15.2
    */
}

enum { GONE = -1 }; /* beside the parser's verdicts: there is no request, and nobody to answer */

/* Waits until the next request is whole. Returns DONE, or the status with which to refuse it, or GONE. */
static int read_request(struct connection *connection)
{
    /* BEGIN SOLUTION */
    struct parser *parser = &connection->parser;
    for (;;) {
        int verdict = parser_feed(parser, connection->bytes, connection->used);
        if (verdict != MORE) {
            return verdict;
        }
        if (!send_continue(connection)) {
            return GONE;
        }
        ssize_t n = connection_read(connection);
        if (n == -EAGAIN) {
            const bool idle = parser->state == REQUEST_LINE && parser->at == connection->used;
            return idle ? GONE : 408;
        }
        if (n < 0) {
            report("read", connection->peer, (int)-n);
        }
        if (n <= 0) {
            return GONE; /* what the peer began to ask will not be finished */
        }
    }
    /* END SOLUTION */
    /* STARTER:
    connection_read(connection); // one read is not one request
    send_continue(connection);
    int verdict = parser_feed(&connection->parser, connection->bytes, connection->used);
    return verdict == MORE ? GONE : verdict;
    */
}

/* Forgets the request that was answered, and makes what is behind it the beginning of the next. */
static void connection_next(struct connection *connection)
{
    /* BEGIN SOLUTION */
    connection->used -= connection->parser.at;
    memmove(connection->bytes, connection->bytes + connection->parser.at, connection->used);
    /* END SOLUTION */
    /* STARTER:
    connection->used = 0; // and if the peer has sent the next request already?
    */
    connection->parser = (struct parser){.state = REQUEST_LINE};
}

struct response {
    int status;
    const char *fields; /* lines besides those that every response has */
    struct slice type;  /* of the body */
    struct slice body;
};

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

/* Writes the time into TEXT as RFC 9110, section 5.6.7, wants it, and returns TEXT. */
static const char *date_format(char *text, size_t size)
{
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL || strftime(text, size, "%a, %d %b %Y %H:%M:%S GMT", &utc) == 0) {
        text[0] = '\0';
    }
    return text;
}

/* Sends RESPONSE to the request that was read last. Returns false if the peer is gone. */
static bool respond(const struct connection *connection, const struct response *response)
{
    const struct request *request = &connection->parser.request;
    char date[64];
    char head[RESPONSE_HEAD];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %d %s\r\n"
                          "Date: %s\r\n"
                          "%s%s"
                          "Content-Type: %.*s\r\n"
                          "Content-Length: %zu\r\n"
                          "\r\n",
                          response->status, reason(response->status), date_format(date, sizeof date),
                          response->fields, request->closes ? "Connection: close\r\n" : "",
                          (int)response->type.length, response->type.start, response->body.length);
    /* BEGIN SOLUTION */
    const bool head_only = response->body.length == 0 || slice_is(request->method, "HEAD");
    return send_all(connection, head, (size_t)length, head_only ? 0 : MSG_MORE) &&
           (head_only || send_all(connection, response->body.start, response->body.length, 0));
    /* END SOLUTION */
    /* STARTER:
    return send_all(connection, head, (size_t)length, 0); // and the body, if it is to have one
    */
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* Sends a response whose body only says its status in words. */
static bool respond_status(const struct connection *connection, int status, const char *fields)
{
    char text[64];
    snprintf(text, sizeof text, "%d %s\n", status, reason(status));
    const struct response response = {status, fields, slice_of("text/plain"), slice_of(text)};
    return respond(connection, &response);
}

static bool respond_page(const struct connection *connection)
{
    static const char page[] = "<!doctype html>\n"
                               "<title>http-parse</title>\n"
                               "<p>hello from the ground up</p>\n";
    const struct response response = {200, "", slice_of("text/html; charset=utf-8"), slice_of(page)};
    return respond(connection, &response);
}

/* Sends the request's own body back, as the kind of content that it was said to be. */
static bool respond_echo(const struct connection *connection)
{
    const struct request *request = &connection->parser.request;
    struct response response = {200, "", slice_of("application/octet-stream"), request->body};
    struct slice fields = request->fields;
    struct slice name;
    for (struct slice value; field_next(&fields, &name, &value);) {
        if (slice_is_nocase(name, "content-type")) {
            response.type = value;
        }
    }
    return respond(connection, &response);
}

/* A method that is defined somewhere, so that 405 is the word for it and not 501 (RFC 9110, section 9.1). */
static bool is_known(struct slice method)
{
    static const char *const known[] = {"POST", "PUT", "DELETE", "TRACE", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_is(method, known[i])) {
            return true;
        }
    }
    return false;
}

/* Answers a request that is whole. Returns false if the peer is gone. */
static bool answer(const struct connection *connection, bool echo)
{
    static const char allow[] = "Allow: GET, HEAD, OPTIONS\r\n";
    const struct request *request = &connection->parser.request;
    const struct slice method = request->method;
    if (slice_is(method, "CONNECT")) {
        return respond_status(connection, 501, "");
    }
    if (echo || slice_is(request->path, "/echo")) {
        return respond_echo(connection);
    }
    if (slice_is(request->path, "*")) {
        return respond_status(connection, 200, allow);
    }
    if (!slice_is(request->path, "/")) {
        return respond_status(connection, 404, "");
    }
    if (slice_is(method, "GET") || slice_is(method, "HEAD")) {
        return respond_page(connection);
    }
    if (slice_is(method, "OPTIONS")) {
        return respond_status(connection, 200, allow);
    }
    return is_known(method) ? respond_status(connection, 405, allow) : respond_status(connection, 501, "");
}

/* Ends the conversation so that the last answer arrives: see chapter 02. */
static void drain(const struct connection *connection)
{
    if (shutdown(connection->descriptor, SHUT_WR) < 0) {
        report("shutdown", connection->peer, errno);
        return;
    }
    char discarded[4096];
    for (size_t total = 0; total < DRAIN_LIMIT;) {
        ssize_t n = read(connection->descriptor, discarded, sizeof discarded);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* the end, a reset, or silence: the answer has been given, so nothing is reported */
        }
        total += (size_t)n;
    }
}

/* Answers one request after another, in their order, until the peer or a request ends that. */
static void converse(struct connection *connection, bool echo)
{
    /* BEGIN SOLUTION */
    for (;;) {
        int verdict = read_request(connection);
        if (verdict == GONE) {
            return;
        }
        const bool closes = verdict != DONE || connection->parser.request.closes;
        connection->parser.request.closes = closes;
        const bool sent =
            verdict == DONE ? answer(connection, echo) : respond_status(connection, verdict, "");
        if (!sent) {
            return;
        }
        if (closes) {
            drain(connection);
            return;
        }
        connection_next(connection);
    }
    /* END SOLUTION */
    /* STARTER:
    int verdict = read_request(connection); // and then the next one, unless something ends the conversation
    if (verdict == DONE ? answer(connection, echo) : respond_status(connection, verdict, "")) {
        connection_next(connection);
        drain(connection);
    }
    */
}

/* Has one whole conversation, and closes DESCRIPTOR in the end, however the conversation went. */
static void serve_peer(int descriptor, const char *peer, const struct options *options)
{
    struct connection connection; /* a MiB: what is not used is not touched, hence not zeroed either */
    connection.descriptor = descriptor;
    connection.peer = peer;
    connection.parser = (struct parser){.state = REQUEST_LINE};
    connection.used = 0;
    if (set_options(descriptor, peer, &options->timeout)) {
        converse(&connection, options->echo);
    }
    if (close(descriptor) < 0) {
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
            serve_peer(connection, address_format(&peer, text, sizeof text), &options);
        } else if (concerns_one_peer(-connection)) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
