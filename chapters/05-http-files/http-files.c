/* http-files: a web server for the files below a directory.
 *
 * It opens them with openat2(2), so that no request leads out of the directory, and sends them with
 * sendfile(2), so that they never pass through its memory. What a request says is found out by the parser of
 * chapter 03. One peer at a time, blocking, as before. The lesson is README.md.
 */
#define _GNU_SOURCE /* accept4(2), scandirat(3), strptime(3) */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
    DRAIN_LIMIT = 1 << 20,   /* bytes to read and forget after the last answer, for a peer that never stops */
    DATE_TEXT = 32,          /* room for a date */
    TAG_TEXT = 80,           /* room for an entity-tag */
    FIELDS_ROOM = 512,       /* room for the fields of a response that tell about a file */
    PATH_ROOM = HEAD_LIMIT,  /* room for a decoded path */
    URL_ROOM = 3 * PATH_MAX, /* room for what open_beneath could open, encoded */
    CONTENT_FIELDS = 256,
    RESPONSE_HEAD = URL_ROOM + FIELDS_ROOM + CONTENT_FIELDS + 256,
    RANGES_LIMIT = 16,  /* ranges in one request */
    BOUNDARY_TEXT = 33, /* room for 128 bits in hexadecimal */
    PART_HEAD = 512,    /* room for what stands before a part */
    OPEN_ATTEMPTS = 8,
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
    const char *root;       /* the directory whose files are served */
};

/* Prints the one line that says which call failed, on what, and why. Returns false, for callers to return. */
static bool report(const char *call, const char *detail, int error)
{
    fprintf(stderr, "http-files: %s(%s): %s\n", call, detail, strerror(error));
    return false;
}

/* Prints the one line that says why a conversation ended although no call failed. Returns false likewise. */
static bool give_up(const char *peer, const char *why)
{
    fprintf(stderr, "http-files: %s: %s\n", peer, why);
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
    fprintf(stderr, "http-files: %s: '%s'\n", what, value);
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
    static char name[] = "http-files";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'},    {"port", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'}, {"root", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct options options = {.host = NULL, .port = 0, .timeout = {.tv_sec = 10}, .root = "."};
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
        case 'r':
            options.root = optarg;
            break;
        case 'h':
            puts("usage: http-files [--bind HOST] [--port N] [--timeout SECONDS] [--root DIR]");
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
}

/* Splits a field line into its NAME and its VALUE, without the white space around that (RFC 9112, section 5).
 * Returns false if it is no field line: no colon, white space before it or before the name, a control. */
static bool field_split(struct slice line, struct slice *name, struct slice *value)
{
    if (!slice_cut(&line, ':', name) || name->length == 0 || !slice_all(*name, is_token)) {
        return false;
    }
    *value = slice_trim(line);
    return slice_all(*value, is_text);
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
}

/* Is VALUE a host and perhaps a port (RFC 9110, section 7.2; RFC 3986, section 3.2.2)? An empty one is. */
static bool host_valid(struct slice value)
{
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
}

/* What one field means for the request. Each of these returns DONE, or the status with which to refuse it. */
static int take_host(struct parser *parser, struct slice value)
{
    parser->hosts++;
    return parser->hosts > 1 || !host_valid(value) ? 400 : DONE;
}

static int take_content_length(struct parser *parser, struct slice value)
{
    if (parser->has_length) {
        return 400; /* even if it is the same: RFC 9110, section 8.6, leaves the choice */
    }
    parser->has_length = true;
    return slice_number(value, 10, &parser->left) ? DONE : 400;
}

static int take_transfer_encoding(struct parser *parser, struct slice value)
{
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
}

static int take_connection(struct parser *parser, struct slice value)
{
    for (struct slice option; list_next(&value, &option);) {
        if (slice_is_nocase(option, "close")) {
            parser->request.closes = true;
        }
    }
    return DONE;
}

static int take_expect(struct parser *parser, struct slice value)
{
    for (struct slice expectation; list_next(&value, &expectation);) {
        if (slice_is_nocase(expectation, "100-continue")) {
            parser->request.awaits_continue = true;
        } else {
            parser->demands = true;
        }
    }
    return DONE;
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
}

/* Makes of an absolute target, http://host:port/path?query, its PATH (RFC 9112, section 3.2.2; RFC 9110,
 * sections 4.2 and 7.4). */
static int take_absolute_target(struct slice rest, bool asks_options, struct slice *path)
{
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
}

/* Finds the path in the request's target, of whichever form (RFC 9112, section 3.2). */
static int take_target(struct request *request)
{
    struct slice query;
    struct slice path = request->target;
    const bool asks_options = slice_is(request->method, "OPTIONS");
    int verdict = DONE;
    if (slice_is(request->method, "CONNECT")) {
        verdict = host_valid(path) ? DONE : 400; /* its target is host:port, and no path */
    } else if (slice_is(path, "*")) {
        verdict = asks_options ? DONE : 400;
    } else if (path.start[0] != '/') {
        verdict = take_absolute_target(path, asks_options, &path);
    }
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
    parser->state = FIELDS;
    request->fields.start = bytes + parser->at;
    return take_target(request);
}

/* Decides, at the end of the head, how long the body is (RFC 9112, section 6.3), in its order. */
static int decide_framing(struct parser *parser)
{
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
}

static int end_head(struct parser *parser, const char *bytes)
{
    struct request *request = &parser->request;
    request->body.start = bytes + parser->at;
    int verdict = decide_framing(parser);
    if (request->minor == 0) {
        request->awaits_continue = false; /* RFC 9110, section 10.1.1 */
    } else if (parser->hosts == 0) {
        return 400;
    } else if (verdict == DONE && parser->demands) {
        return 417;
    }
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
    const size_t there = used - parser->at;
    const size_t size = there < parser->left ? there : parser->left;
    memmove(bytes + parser->kept, bytes + parser->at, size);
    parser->at += size;
    parser->kept += size;
    parser->left -= size;
    parser->request.body.length += size;
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
    struct slice line;
    int verdict = take_line(parser, bytes, used, 2, 400, &line);
    if (verdict == DONE) {
        parser->state = CHUNK_SIZE;
    }
    return verdict;
}

static int parse_trailer(struct parser *parser, char *bytes, size_t used)
{
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
    int root;         /* the directory whose files are served */
    time_t now;       /* when the request was whole: what the answer says as its Date, and compares with */
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
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = &connection->parser.request;
    if (connection->parser.state <= FIELDS || !request->awaits_continue) {
        return true;
    }
    request->awaits_continue = false;
    const bool has_body = connection->bytes + connection->used > request->body.start;
    return has_body || send_all(connection, interim, sizeof interim - 1, 0);
}

enum { GONE = -1 }; /* beside the parser's verdicts: there is no request, and nobody to answer */

/* Waits until the next request is whole. Returns DONE, or the status with which to refuse it, or GONE. */
static int read_request(struct connection *connection)
{
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
}

/* Forgets the request that was answered, and makes what is behind it the beginning of the next. */
static void connection_next(struct connection *connection)
{
    connection->used -= connection->parser.at;
    memmove(connection->bytes, connection->bytes + connection->parser.at, connection->used);
    connection->parser = (struct parser){.state = REQUEST_LINE};
}

/* What every response begins with. */
struct response {
    int status;
    const char *fields; /* lines besides those that every response has, each with its line end */
    const char *type;   /* the content's media type; NULL: neither a type nor a length is told */
    off_t length;       /* bytes of content */
};

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        {200, "OK"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) {
            return known[i].reason;
        }
    }
    return "";
}

static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Writes TIME into TEXT, of DATE_TEXT bytes, like "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7),
 * and returns TEXT. */
static const char *date_format(time_t time, char *text)
{
    /* BEGIN SOLUTION */
    struct tm utc;
    if (gmtime_r(&time, &utc) == NULL) {
        text[0] = '\0'; /* a year that does not fit an int */
        return text;
    }
    /* Not strftime(3), whose %a and %b speak the user's language. */
    snprintf(text, DATE_TEXT, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[utc.tm_wday], utc.tm_mday,
             months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return text;
    /* END SOLUTION */
    /* STARTER:
    (void)time; // gmtime_r(3) takes it apart, snprintf(3) puts it together
    snprintf(text, DATE_TEXT, "%s, 01 %s 1970 00:00:00 GMT", weekdays[4], months[0]);
    return text;
    */
}

static bool asks_head(const struct connection *connection)
{
    return slice_is(connection->parser.request.method, "HEAD");
}

/* Sends the head of RESPONSE to the request that was read last. Returns false if the peer is gone. */
static bool send_head(const struct connection *connection, const struct response *response)
{
    char date[DATE_TEXT];
    char content[CONTENT_FIELDS] = "";
    char head[RESPONSE_HEAD];
    if (response->type != NULL) {
        snprintf(content, sizeof content, "Content-Type: %s\r\nContent-Length: %jd\r\n", response->type,
                 (intmax_t)response->length);
    }
    int length = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s\r\n", response->status,
                          reason(response->status), date_format(connection->now, date), response->fields,
                          connection->parser.request.closes ? "Connection: close\r\n" : "", content);
    const bool more = response->type != NULL && response->length > 0 && !asks_head(connection);
    return send_all(connection, head, (size_t)length, more ? MSG_MORE : 0);
}

/* Sends a response whose CONTENT is in memory: the head alone to HEAD. Returns false if the peer is gone. */
static bool respond(const struct connection *connection, const struct response *response, const char *content)
{
    return send_head(connection, response) &&
           (asks_head(connection) || send_all(connection, content, (size_t)response->length, 0));
}

/* Sends a response whose content only says its status in words. */
static bool respond_status(const struct connection *connection, int status, const char *fields)
{
    char text[64];
    const int length = snprintf(text, sizeof text, "%d %s\n", status, reason(status));
    const struct response response = {status, fields, "text/plain; charset=utf-8", length};
    return respond(connection, &response, text);
}

/* Puts the value of the request's field NAME into VALUE, of HEAD_LIMIT bytes; those of several such fields
 * with commas between them (RFC 9110, section 5.3). Returns false if there is none. */
static bool request_field(const struct connection *connection, const char *name, char *value)
{
    struct slice fields = connection->parser.request.fields;
    struct slice found_name;
    size_t used = 0;
    bool found = false;
    for (struct slice found_value; field_next(&fields, &found_name, &found_value);) {
        if (slice_is_nocase(found_name, name)) {
            used += (size_t)snprintf(value + used, HEAD_LIMIT - used, "%s%.*s", found ? ", " : "",
                                     (int)found_value.length, found_value.start);
            found = true;
        }
    }
    return found;
}

/* Turns TARGET, the path of a request's target, into PATH, a path below the root, which has no slash before
 * it and room for PATH_ROOM bytes. Returns 0, or the status of the answer that refuses it. */
static int path_decode(struct slice target, char *path)
{
    /* BEGIN SOLUTION */
    while (target.length > 0 && target.start[0] == '/') {
        target = slice_from(target, 1);
    }
    while (target.length > 0) {
        size_t byte = (unsigned char)target.start[0];
        const size_t taken = byte == '%' ? 3 : 1;
        if (taken > target.length) {
            return 400;
        }
        if (byte == '%' && !slice_number((struct slice){target.start + 1, 2}, 16, &byte)) {
            return 400; /* no two hexadecimal digits */
        }
        if (byte == '\0') {
            return 400; /* the end of the path, to every call that takes one, but not to this request */
        }
        if (byte == '/' && taken == 3) {
            return 404; /* a slash within a name: no file has one */
        }
        *path++ = (char)byte; /* and it is not looked at again: %2541 means the three letters %41 */
        target = slice_from(target, taken);
    }
    *path = '\0';
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)target; // without the slashes before it; each %XX is the byte with that number (slice_number)
    path[0] = '\0';
    return 404;
    */
}

/* Is one of the names in PATH that of a dot file? They are nobody's business: .git, .env, .htpasswd. */
static bool path_is_hidden(const char *path)
{
    while (*path != '\0') {
        const size_t length = strcspn(path, "/");
        const bool directory = length <= 2 && strspn(path, ".") == length; /* "." and "..": the kernel's */
        if (path[0] == '.' && !directory) {
            return true;
        }
        path += length;
        path += strspn(path, "/");
    }
    return false;
}

/* Opens PATH below the directory ROOT for reading, and nothing that is not below it. Never waits.
 * Returns a descriptor, which the caller closes, or -errno. */
static int open_beneath(int root, const char *path)
{
    /* BEGIN SOLUTION */
    const struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, /* to open a FIFO is to wait for its writer */
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        long file = syscall(SYS_openat2, root, path[0] == '\0' ? "." : path, &how, sizeof how);
        if (file >= 0) {
            return (int)file;
        }
        if (errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
    }
    return -EAGAIN; /* somebody renames directories, again and again, while ".." is being followed */
    /* END SOLUTION */
    /* STARTER:
    (void)root; // openat2(2), by syscall(2), as the C library has no function for it
    (void)path;
    return -ENOENT;
    */
}

/* The status that tells a peer that its file could not be opened because of ERROR. */
static int status_of_error(int error)
{
    /* BEGIN SOLUTION */
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV: /* it leads out of the root, where there is nothing for a peer */
        return 404;
    case EACCES:
    case EPERM:
    case ENXIO: /* a socket */
        return 403;
    default:
        return 500;
    }
    /* END SOLUTION */
    /* STARTER:
    return error == ENOENT ? 404 : 500; // which of them are the peer's mistake, and which are ours?
    */
}

/* Answers that CALL failed with ERROR on what the request asks for. */
static bool respond_error(const struct connection *connection, const char *call, int error)
{
    const int status = status_of_error(error);
    if (status == 500) {
        report(call, connection->peer, error);
    }
    return respond_status(connection, status, "");
}

/* The media type of the file at PATH: its name's last suffix says it, in upper or lower case. */
static const char *media_type(const char *path)
{
    static const struct {
        const char *suffix;
        const char *type;
    } known[] = {
        {".html", "text/html; charset=utf-8"},
        {".htm", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".json", "application/json"},
        {".xml", "application/xml"},
        {".pdf", "application/pdf"},
        {".wasm", "application/wasm"},
        {".gz", "application/gzip"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".svg", "image/svg+xml"},
    };
    /* BEGIN SOLUTION */
    const char *slash = strrchr(path, '/');
    const char *suffix = strrchr(slash == NULL ? path : slash, '.'); /* a directory may have a dot, too */
    for (size_t i = 0; suffix != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(suffix, known[i].suffix) == 0) {
            return known[i].type;
        }
    }
    return "application/octet-stream";
    /* END SOLUTION */
    /* STARTER:
    (void)path; // strrchr(3), strcasecmp(3); and application/octet-stream for what is not known
    return known[0].type;
    */
}

/* A file as it was when it was opened. All of an answer is made from this one look at it. */
struct resource {
    int file;           /* its descriptor, which belongs to whoever opened it; -1: a page made just now */
    off_t size;         /* in bytes */
    time_t modified;    /* never later than the answer's date (RFC 9110, section 8.8.2.1) */
    const char *type;   /* its media type */
    char tag[TAG_TEXT]; /* its strong entity-tag, with the quotes; "": it has neither a tag nor a date */
};

/* Writes the entity-tag of the file that STATUS describes into TAG, of TAG_TEXT bytes: another one for each
 * content. */
static void tag_format(const struct stat *status, char *tag)
{
    /* BEGIN SOLUTION */
    snprintf(tag, TAG_TEXT, "\"%jx-%jx-%jx.%lx\"", (uintmax_t)status->st_ino, (uintmax_t)status->st_size,
             (uintmax_t)status->st_mtim.tv_sec, (unsigned long)status->st_mtim.tv_nsec);
    /* END SOLUTION */
    /* STARTER:
    (void)status; // what of it changes whenever the content does? In double quotes
    tag[0] = '\0';
    */
}

/* Reads the date TEXT, in any of the three forms that were ever in use; NOW places a year of two digits.
 * Returns whether it is one, and sets TIME. */
static bool date_parse(const char *text, time_t now, time_t *time)
{
    /* BEGIN SOLUTION */
    /* strptime(3) speaks the user's language as well, but only in a program that calls setlocale(3). */
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* Sun, 06 Nov 1994 08:49:37 GMT */
        "%a %b %d %H:%M:%S %Y",      /* Sun Nov  6 08:49:37 1994 */
        "%A, %d-%b-%y %H:%M:%S GMT", /* Sunday, 06-Nov-94 08:49:37 GMT */
    };
    for (size_t form = 0; form < 3; form++) {
        struct tm utc = {0};
        struct tm today = {0};
        const char *end = strptime(text, forms[form], &utc);
        if (end == NULL || *end != '\0') {
            continue;
        }
        if (form == 2 && gmtime_r(&now, &today) != NULL) {
            /* This century's year, or the last one's if that is more than 50 years ahead. */
            utc.tm_year = today.tm_year / 100 * 100 + utc.tm_year % 100;
            utc.tm_year -= utc.tm_year > today.tm_year + 50 ? 100 : 0;
        }
        *time = timegm(&utc);
        return true;
    }
    return false;
    /* END SOLUTION */
    /* STARTER:
    (void)text; // strptime(3), timegm(3)
    (void)now;
    *time = 0;
    return false;
    */
}

/* Is TAG in LIST, which is "*" or entity-tags with commas between them? With STRONG, those that are marked as
 * weak, W/"…", do not count (RFC 9110, section 8.8.3.2). */
static bool tag_in_list(const char *tag, const char *list, bool strong)
{
    /* BEGIN SOLUTION */
    if (strcmp(list, "*") == 0) {
        return true;
    }
    for (const char *at = list + strspn(list, ", \t"); *at != '\0'; at += strspn(at, ", \t")) {
        const bool weak = strncmp(at, "W/", 2) == 0;
        at += weak ? 2 : 0;
        const char *close = *at == '"' ? strchr(at + 1, '"') : NULL; /* a comma may be part of a tag */
        if (close == NULL) {
            return false;
        }
        const size_t length = (size_t)(close + 1 - at);
        if (!(weak && strong) && length == strlen(tag) && memcmp(at, tag, length) == 0) {
            return true;
        }
        at = close + 1;
    }
    return false;
    /* END SOLUTION */
    /* STARTER:
    (void)tag; // W/"a", "b,c"
    (void)list;
    (void)strong;
    return false;
    */
}

/* What a date in a request says about a file. */
enum change {
    UNCHANGED,
    CHANGED,     /* after that date */
    CANNOT_TELL, /* there is no such field, or it is no date, or there is nothing to compare it with */
};

/* Says whether RESOURCE has been modified after the date in the request's field NAME. */
static enum change change_since(const struct connection *connection, const struct resource *resource,
                                const char *name)
{
    char text[HEAD_LIMIT];
    time_t date = 0;
    if (resource->tag[0] == '\0' || !request_field(connection, name, text) ||
        !date_parse(text, connection->now, &date)) {
        return CANNOT_TELL;
    }
    return resource->modified > date ? CHANGED : UNCHANGED;
}

/* Evaluates the request's conditions for RESOURCE, in the order of RFC 9110, section 13.2.2. Returns 0 if
 * they hold, otherwise the status of the answer that takes the content's place. */
static int precondition_status(const struct connection *connection, const struct resource *resource)
{
    char list[HEAD_LIMIT];
    if (request_field(connection, "If-Match", list)) {
        if (!tag_in_list(resource->tag, list, true)) {
            return 412;
        }
    } else if (change_since(connection, resource, "If-Unmodified-Since") == CHANGED) {
        return 412;
    }
    /* BEGIN SOLUTION */
    if (request_field(connection, "If-None-Match", list)) {
        return tag_in_list(resource->tag, list, false) ? 304 : 0; /* the date is not even looked at */
    }
    return change_since(connection, resource, "If-Modified-Since") == UNCHANGED ? 304 : 0;
    /* END SOLUTION */
    /* STARTER:
    return 0; // and If-None-Match, and If-Modified-Since?
    */
}

/* Part of a file: the offsets of its first byte and of its last one, as in Content-Range. */
struct range {
    off_t first;
    off_t last;
};

/* The parts of a file that are to be sent, in this order. No two of them overlap or touch. */
struct ranges {
    size_t count;
    struct range at[RANGES_LIMIT];
};

/* What a Range field comes to. */
enum selection {
    WHOLE_FILE, /* as if it were not there */
    PARTS,
    NOTHING, /* of the file is in the ranges that were asked for: 416 */
};

/* Reads a number at *AT, and moves *AT behind it. One that is too large becomes the largest there is. Returns
 * whether there is one. */
static bool offset_parse(const char **at, off_t *offset)
{
    const size_t length = strspn(*at, "0123456789");
    size_t number = 0;
    const bool found = slice_number((struct slice){*at, length}, 10, &number);
    *offset = number > INT64_MAX ? INT64_MAX : (off_t)number;
    *at += length;
    return found;
}

/* Reads a range of a file of SIZE bytes at *AT, first-last, first- or -suffix, and moves *AT behind it.
 * Returns false if it is none. A range that is wholly behind the file's end, or empty, has its first byte
 * after its last one. */
static bool range_parse(const char **at, off_t size, struct range *range)
{
    /* BEGIN SOLUTION */
    off_t number = 0;
    range->last = size - 1;
    if (**at == '-') {
        (*at)++;
        const bool found = offset_parse(at, &number);
        range->first = number < size ? size - number : 0; /* the last so many bytes, or all */
        return found;
    }
    if (!offset_parse(at, &range->first) || **at != '-') {
        return false;
    }
    (*at)++;
    if (!offset_parse(at, &number)) {
        return true;
    }
    range->last = number < size ? number : size - 1;
    return number >= range->first;
    /* END SOLUTION */
    /* STARTER:
    range->last = size - 1; // RFC 9110, section 14.1.2: bytes count from 0
    return offset_parse(at, &range->first);
    */
}

/* Adds RANGE to RANGES, where there is room for it: in place of those that overlap or touch it, as one with
 * them, or else at the end. */
static void ranges_add(struct ranges *ranges, struct range range)
{
    /* BEGIN SOLUTION */
    size_t place = ranges->count;
    for (size_t i = ranges->count; i-- > 0;) {
        const struct range other = ranges->at[i];
        if (other.first > range.last + 1 || range.first > other.last + 1) {
            continue;
        }
        range.first = other.first < range.first ? other.first : range.first;
        range.last = other.last > range.last ? other.last : range.last;
        ranges->count--;
        memmove(&ranges->at[i], &ranges->at[i + 1], (ranges->count - i) * sizeof range);
        place = i;
    }
    memmove(&ranges->at[place + 1], &ranges->at[place], (ranges->count - place) * sizeof range);
    ranges->at[place] = range;
    ranges->count++;
    /* END SOLUTION */
    /* STARTER:
    ranges->at[ranges->count++] = range; // a thousand times the whole file is a thousand files
    */
}

/* Reads the value of a Range field, for a file of SIZE bytes, into RANGES. */
static enum selection ranges_parse(const char *value, off_t size, struct ranges *ranges)
{
    /* BEGIN SOLUTION */
    static const char unit[] = "bytes=";
    size_t named = 0;
    ranges->count = 0;
    if (strncasecmp(value, unit, sizeof unit - 1) != 0) {
        return WHOLE_FILE;
    }
    const char *at = value + sizeof unit - 1;
    for (at += strspn(at, ", \t"); *at != '\0'; at += strspn(at, ", \t")) {
        struct range range;
        if (named++ == RANGES_LIMIT || !range_parse(&at, size, &range)) {
            return WHOLE_FILE;
        }
        if (*at != '\0' && !is_one_of(*at, ", \t")) {
            return WHOLE_FILE;
        }
        if (range.first <= range.last) {
            ranges_add(ranges, range);
        }
    }
    if (named == 0) {
        return WHOLE_FILE;
    }
    return ranges->count > 0 ? PARTS : NOTHING;
    /* END SOLUTION */
    /* STARTER:
    ranges->count = 0; // bytes=0-99,200- and so on; what is none of these is as good as nothing
    const char *at = value;
    struct range range;
    if (range_parse(&at, size, &range)) {
        ranges_add(ranges, range);
    }
    return WHOLE_FILE;
    */
}

/* Does the request's If-Range, if there is one, say that the peer's part is of the RESOURCE as it is now? */
static bool if_range_holds(const struct connection *connection, const struct resource *resource)
{
    char value[HEAD_LIMIT];
    if (!request_field(connection, "If-Range", value)) {
        return true;
    }
    /* BEGIN SOLUTION */
    time_t date = 0;
    if (date_parse(value, connection->now, &date)) {
        /* Only when a second is over can nothing more happen to the file in it (section 8.8.2.2). */
        return date == resource->modified && date < connection->now;
    }
    return strcmp(value, resource->tag) == 0; /* which is strong: a weak one, W/"…", is never the same */
    /* END SOLUTION */
    /* STARTER:
    (void)resource; // a date, or one entity-tag: RFC 9110, section 13.1.5
    return false;
    */
}

/* Decides which parts of RESOURCE the request is to be answered with. */
static enum selection select_ranges(const struct connection *connection, const struct resource *resource,
                                    struct ranges *ranges)
{
    /* BEGIN SOLUTION */
    char value[HEAD_LIMIT];
    if (!slice_is(connection->parser.request.method, "GET") || resource->size == 0 ||
        !request_field(connection, "Range", value) || !if_range_holds(connection, resource)) {
        return WHOLE_FILE;
    }
    return ranges_parse(value, resource->size, ranges);
    /* END SOLUTION */
    /* STARTER:
    char value[HEAD_LIMIT]; // RFC 9110, section 14.2: for which method? And if If-Range does not hold?
    return request_field(connection, "Range", value) && if_range_holds(connection, resource)
               ? ranges_parse(value, resource->size, ranges)
               : WHOLE_FILE;
    */
}

/* Sends RANGE of FILE. Returns false if the peer is gone or takes nothing for too long, or if the file has
 * become too short: what was promised cannot be kept then, and the connection has to end. */
static bool send_range(const struct connection *connection, int file, struct range range)
{
    /* BEGIN SOLUTION */
    for (off_t at = range.first; at <= range.last;) {
        ssize_t n = sendfile(connection->descriptor, file, &at, (size_t)(range.last + 1 - at));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return give_up(connection->peer, "takes nothing for too long"); /* SO_SNDTIMEO */
        }
        if (n < 0) {
            return report("sendfile", connection->peer, errno);
        }
        if (n == 0) {
            return give_up(connection->peer, "the file has become shorter while it was sent");
        }
    }
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)file; // sendfile(2) moves the offset that it is given
    (void)range;
    return give_up(connection->peer, "send_range is not written yet");
    */
}

/* Writing to a peer that is gone raises SIGPIPE. send(2) has MSG_NOSIGNAL against it; sendfile(2) has not. */
static void survive_broken_pipes(void)
{
    /* BEGIN SOLUTION */
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) < 0) {
        die("sigaction", "SIGPIPE", errno);
    }
    /* END SOLUTION */
    /* STARTER: // sigaction(2) */
}

/* Writes the fields by which a peer can ask about RESOURCE again into FIELDS, of FIELDS_ROOM bytes. Returns
 * how many bytes they are. */
static size_t validators_format(const struct resource *resource, char *fields)
{
    char date[DATE_TEXT];
    return (size_t)snprintf(fields, FIELDS_ROOM, "Accept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n",
                            resource->tag, date_format(resource->modified, date));
}

/* Sends the one RANGE of RESOURCE that was asked for (RFC 9110, section 15.3.7.1). */
static bool respond_part(const struct connection *connection, const struct resource *resource,
                         struct range range)
{
    char fields[FIELDS_ROOM];
    const size_t used = validators_format(resource, fields);
    snprintf(fields + used, sizeof fields - used, "Content-Range: bytes %jd-%jd/%jd\r\n",
             (intmax_t)range.first, (intmax_t)range.last, (intmax_t)resource->size);
    const struct response response = {206, fields, resource->type, range.last + 1 - range.first};
    return send_head(connection, &response) && send_range(connection, resource->file, range);
}

/* Writes a boundary that nobody can have put into a file beforehand into TEXT, of BOUNDARY_TEXT bytes.
 * Returns false if the kernel has no random numbers. */
static bool boundary_make(char *text)
{
    unsigned char bytes[(BOUNDARY_TEXT - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        return report("getrandom", "boundary", errno);
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    return true;
}

/* Writes what stands before RANGE of RESOURCE in a multipart content into TEXT, of PART_HEAD bytes. Returns
 * how many bytes that is. */
static size_t part_head(const struct resource *resource, struct range range, const char *boundary, char *text)
{
    return (size_t)snprintf(
        text, PART_HEAD, "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %jd-%jd/%jd\r\n\r\n", boundary,
        resource->type, (intmax_t)range.first, (intmax_t)range.last, (intmax_t)resource->size);
}

/* Sends RANGES of RESOURCE with BOUNDARY between them; END stands behind the last one. */
static bool send_parts(const struct connection *connection, const struct resource *resource,
                       const struct ranges *ranges, const char *boundary, const char *end)
{
    char head[PART_HEAD];
    for (size_t i = 0; i < ranges->count; i++) {
        const size_t length = part_head(resource, ranges->at[i], boundary, head);
        if (!send_all(connection, head, length, MSG_MORE) ||
            !send_range(connection, resource->file, ranges->at[i])) {
            return false;
        }
    }
    return send_all(connection, end, strlen(end), 0);
}

/* Sends several RANGES of RESOURCE as the parts of one content (RFC 9110, sections 14.6 and 15.3.7.2). */
static bool respond_parts(const struct connection *connection, const struct resource *resource,
                          const struct ranges *ranges)
{
    char boundary[BOUNDARY_TEXT];
    if (!boundary_make(boundary)) {
        return respond_status(connection, 500, "");
    }
    char type[BOUNDARY_TEXT + 40];
    char end[BOUNDARY_TEXT + 8];
    char fields[FIELDS_ROOM];
    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", boundary);
    snprintf(end, sizeof end, "\r\n--%s--\r\n", boundary);
    validators_format(resource, fields);
    struct response response = {206, fields, type, (off_t)strlen(end)};
    /* BEGIN SOLUTION */
    for (size_t i = 0; i < ranges->count; i++) {
        const struct range range = ranges->at[i];
        char head[PART_HEAD];
        response.length += (off_t)part_head(resource, range, boundary, head) + range.last + 1 - range.first;
    }
    /* END SOLUTION */
    /* STARTER: // how long is all of it? */
    return send_head(connection, &response) && send_parts(connection, resource, ranges, boundary, end);
}

/* Sends all of RESOURCE, or the head of that to HEAD. */
static bool respond_whole(const struct connection *connection, const struct resource *resource)
{
    char fields[FIELDS_ROOM];
    validators_format(resource, fields);
    const struct response response = {200, fields, resource->type, resource->size};
    const struct range all = {0, resource->size - 1};
    return send_head(connection, &response) &&
           (asks_head(connection) || send_range(connection, resource->file, all));
}

/* Answers that of all the ranges that were asked for RESOURCE has nothing (RFC 9110, section 15.5.17). */
static bool respond_unsatisfiable(const struct connection *connection, const struct resource *resource)
{
    char fields[FIELDS_ROOM];
    snprintf(fields, sizeof fields, "Accept-Ranges: bytes\r\nContent-Range: bytes */%jd\r\n",
             (intmax_t)resource->size);
    return respond_status(connection, 416, fields);
}

/* Answers that the peer has RESOURCE already (RFC 9110, section 15.4.5). */
static bool respond_not_modified(const struct connection *connection, const struct resource *resource)
{
    /* BEGIN SOLUTION */
    char fields[FIELDS_ROOM] = "";
    if (resource->tag[0] != '\0') {
        snprintf(fields, sizeof fields, "ETag: %s\r\n", resource->tag);
    }
    const struct response response = {304, fields, NULL, 0};
    return send_head(connection, &response);
    /* END SOLUTION */
    /* STARTER:
    (void)resource; // a head, the ETag in it, and neither a type nor a length
    return respond_status(connection, 304, "");
    */
}

/* Answers with RESOURCE, or with what its conditions and ranges make of it. */
static bool respond_resource(const struct connection *connection, const struct resource *resource)
{
    struct ranges ranges;
    switch (select_ranges(connection, resource, &ranges)) {
    case NOTHING:
        return respond_unsatisfiable(connection, resource);
    case PARTS:
        return ranges.count == 1 ? respond_part(connection, resource, ranges.at[0])
                                 : respond_parts(connection, resource, &ranges);
    default:
        return respond_whole(connection, resource);
    }
}

/* Answers in place of RESOURCE if the request's conditions want that, and sets ANSWERED. Returns false if the
 * peer is gone. */
static bool respond_condition(const struct connection *connection, const struct resource *resource,
                              bool *answered)
{
    const int status = precondition_status(connection, resource);
    *answered = status != 0;
    if (status == 304) {
        return respond_not_modified(connection, resource);
    }
    return status == 0 || respond_status(connection, status, "");
}

/* Answers with the regular FILE at PATH that STATUS describes. */
static bool respond_file(const struct connection *connection, const char *path, int file,
                         const struct stat *status)
{
    const time_t modified = status->st_mtim.tv_sec;
    struct resource resource = {
        .file = file,
        .size = status->st_size,
        .modified = modified < connection->now ? modified : connection->now,
        .type = media_type(path),
    };
    tag_format(status, resource.tag);
    bool answered = false;
    const bool sent = respond_condition(connection, &resource, &answered);
    return answered ? sent : respond_resource(connection, &resource);
}

/* Writes PATH into TEXT as part of a URL, each byte that is not unreserved there (RFC 3986, section 2.3) as
 * %XX, and returns TEXT. It needs room for three times as much as PATH. */
static const char *url_encode(const char *path, char *text)
{
    char *end = text;
    for (; *path != '\0'; path++) {
        /* BEGIN SOLUTION */
        if (!is_alphanumeric(*path) && !is_one_of(*path, "-._~/")) {
            end += sprintf(end, "%%%02X", (unsigned char)*path);
            continue;
        }
        /* END SOLUTION */
        /* STARTER: // a name may have a ? in it, or a %, or a quotation mark */
        *end++ = *path;
    }
    *end = '\0';
    return text;
}

/* Answers that the directory PATH is to be asked for with a slash at its end, as the names in its page are
 * relative to that. */
static bool respond_redirect(const struct connection *connection, const char *path)
{
    /* BEGIN SOLUTION */
    char encoded[URL_ROOM];
    char fields[URL_ROOM + 16];
    /* One slash before it, whatever was asked for: what is behind two of them is another server's name. */
    snprintf(fields, sizeof fields, "Location: /%s/\r\n", url_encode(path, encoded));
    return respond_status(connection, 301, fields);
    /* END SOLUTION */
    /* STARTER:
    (void)path; // 301, and a Location
    return respond_status(connection, 404, "");
    */
}

/* Writes TEXT to PAGE for people to read: whatever is in it, none of it is taken for HTML. */
static void print_escaped(FILE *page, const char *text)
{
    for (; *text != '\0'; text++) {
        /* BEGIN SOLUTION */
        if (is_one_of(*text, "&<>\"'")) {
            fprintf(page, "&#%d;", *text);
            continue;
        }
        /* END SOLUTION */
        /* STARTER: // a file may be called <script> */
        fputc(*text, page);
    }
}

/* For scandirat(3): takes what is not hidden, and sorts names by their bytes. */
static int is_listed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **one, const struct dirent **other)
{
    return strcmp((*one)->d_name, (*other)->d_name);
}

/* Writes the page that lists ENTRIES, COUNT of them, of the directory PATH. */
static void print_listing(FILE *page, const char *path, struct dirent *const *entries, int count)
{
    /* BEGIN SOLUTION */
    char encoded[URL_ROOM];
    fputs("<!doctype html>\n<meta charset=\"utf-8\">\n<title>/", page);
    print_escaped(page, path);
    fputs("</title>\n<ul>\n", page);
    for (int i = 0; i < count; i++) {
        const char *slash = entries[i]->d_type == DT_DIR ? "/" : "";
        fprintf(page, "<li><a href=\"%s%s\">", url_encode(entries[i]->d_name, encoded), slash);
        print_escaped(page, entries[i]->d_name);
        fprintf(page, "%s</a>\n", slash);
    }
    fputs("</ul>\n", page);
    /* END SOLUTION */
    /* STARTER:
    char encoded[URL_ROOM]; // <a href="NAME">NAME</a>: two languages, two kinds of escapes
    for (int i = 0; i < count; i++) {
        fputs(url_encode(entries[i]->d_name, encoded), page);
        print_escaped(page, path);
    }
    */
}

/* Makes the page that lists DIRECTORY, which is at PATH. Returns 0 and the page in TEXT, LENGTH bytes that
 * the caller frees, or -errno. */
static int listing_make(int directory, const char *path, char **text, size_t *length)
{
    struct dirent **entries = NULL;
    const int count = scandirat(directory, ".", &entries, is_listed, by_name);
    if (count < 0) {
        return -errno;
    }
    int result = 0;
    FILE *page = open_memstream(text, length);
    if (page == NULL) {
        result = -errno;
        goto free_entries;
    }
    print_listing(page, path, entries, count);
    if (fclose(page) != 0) {
        result = -ENOMEM; /* nothing else can go wrong in memory */
        free(*text);
    }
free_entries:
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    return result;
}

/* Answers with a page that lists DIRECTORY, which is at PATH. */
static bool respond_listing(const struct connection *connection, const char *path, int directory)
{
    static const struct resource none = {.file = -1}; /* a page made just now: no tag, no date, no ranges */
    bool answered = false;
    bool sent = respond_condition(connection, &none, &answered);
    if (answered) {
        return sent;
    }
    char *page = NULL;
    size_t length = 0;
    int result = listing_make(directory, path, &page, &length);
    if (result < 0) {
        return respond_error(connection, "scandirat", -result);
    }
    const struct response response = {200, "", "text/html; charset=utf-8", (off_t)length};
    sent = respond(connection, &response, page);
    free(page);
    return sent;
}

/* Answers with the directory PATH: with its index.html, or with a list of what is in it. */
static bool respond_directory(const struct connection *connection, const char *path, int directory)
{
    const size_t length = strlen(path);
    if (length > 0 && path[length - 1] != '/') {
        return respond_redirect(connection, path);
    }
    char index[PATH_ROOM + sizeof "index.html"];
    snprintf(index, sizeof index, "%sindex.html", path);
    int file = open_beneath(connection->root, index);
    if (file == -ENOENT) {
        return respond_listing(connection, path, directory);
    }
    if (file < 0) {
        return respond_error(connection, "openat2", -file);
    }
    struct stat status;
    bool sent = false;
    if (fstat(file, &status) < 0) {
        sent = respond_error(connection, "fstat", errno);
    } else if (S_ISREG(status.st_mode)) {
        sent = respond_file(connection, index, file, &status);
    } else {
        sent = respond_status(connection, 403, "");
    }
    close(file); /* it was only read: there is nothing that could be lost here */
    return sent;
}

/* Answers with FILE, of whatever kind it is, which is at PATH. */
static bool respond_opened(const struct connection *connection, const char *path, int file)
{
    struct stat status;
    if (fstat(file, &status) < 0) {
        return respond_error(connection, "fstat", errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return respond_directory(connection, path, file);
    }
    if (S_ISREG(status.st_mode)) {
        return respond_file(connection, path, file, &status);
    }
    return respond_status(connection, 403, ""); /* a FIFO, a device: it has no length, and may have effects */
}

/* A method that is defined somewhere, so that 405 is the word for it and not 501 (RFC 9110, section 9.1). */
static bool is_known(struct slice method)
{
    static const char *const known[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_is(method, known[i])) {
            return true;
        }
    }
    return false;
}

/* Answers a request that is whole. Returns false if the peer is gone, or the answer could not be finished. */
static bool answer(const struct connection *connection)
{
    const struct request *request = &connection->parser.request;
    if (!slice_is(request->method, "GET") && !slice_is(request->method, "HEAD")) {
        return is_known(request->method) ? respond_status(connection, 405, "Allow: GET, HEAD\r\n")
                                         : respond_status(connection, 501, "");
    }
    char path[PATH_ROOM];
    int status = path_decode(request->path, path);
    if (status != 0 || path_is_hidden(path)) {
        return respond_status(connection, status != 0 ? status : 404, "");
    }
    int file = open_beneath(connection->root, path);
    if (file < 0) {
        return respond_error(connection, "openat2", -file);
    }
    bool sent = respond_opened(connection, path, file);
    close(file);
    return sent;
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
static void converse(struct connection *connection)
{
    for (;;) {
        int verdict = read_request(connection);
        if (verdict == GONE) {
            return;
        }
        const bool closes = verdict != DONE || connection->parser.request.closes;
        connection->parser.request.closes = closes;
        connection->now = time(NULL);
        const bool sent = verdict == DONE ? answer(connection) : respond_status(connection, verdict, "");
        if (!sent) {
            return;
        }
        if (closes) {
            drain(connection);
            return;
        }
        connection_next(connection);
    }
}

/* Has one whole conversation, and closes DESCRIPTOR in the end, however the conversation went. */
static void serve_peer(int descriptor, const char *peer, int root, const struct timeval *timeout)
{
    struct connection connection; /* a MiB: what is not used is not touched, hence not zeroed either */
    connection.descriptor = descriptor;
    connection.peer = peer;
    connection.root = root;
    connection.parser = (struct parser){.state = REQUEST_LINE};
    connection.used = 0;
    if (set_options(descriptor, peer, timeout)) {
        converse(&connection);
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
    survive_broken_pipes();
    int root = open(options.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        die("open", options.root, errno);
    }
    int listener = listener_open(&address);
    announce(listener);
    for (;;) {
        union address peer = {.any = {0}};
        int connection = accept_peer(listener, &peer);
        char text[ADDRESS_TEXT];
        if (connection >= 0) {
            serve_peer(connection, address_format(&peer, text, sizeof text), root, &options.timeout);
        } else if (concerns_one_peer(-connection)) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
