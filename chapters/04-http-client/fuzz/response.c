/* Fuzzes the reader of responses: what is said of them does not depend on how the bytes come, and what is
 * said to be whole is whole.
 *
 * An input is what a server sends before it closes. The client's own loops run, on top of a recv, a poll and
 * a write that move no bytes but those of the input, and a clock that stands still: on no machine is it late.
 * There is no separate input for the cuts: that a seed can be read, and written by hand, is worth more. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

static int input_clock_gettime(clockid_t clock, struct timespec *now);
static int input_poll(struct pollfd *polled, nfds_t count, int timeout);
static ssize_t input_recv(int fd, void *buffer, size_t size, int flags);
static ssize_t input_write(int fd, const void *buffer, size_t size);
static FILE *quiet; /* what the client says of each of a million bad responses goes there */

#define clock_gettime input_clock_gettime
#define main http_client_main
#define poll input_poll
#define recv input_recv
#define write input_write
#undef stderr
#define stderr quiet
/* What is fuzzed, and what it stands on. */
#include "../body.c"        // NOLINT(bugprone-suspicious-include)
#include "../connection.c"  // NOLINT(bugprone-suspicious-include)
#include "../fail.c"        // NOLINT(bugprone-suspicious-include)
#include "../http-client.c" // NOLINT(bugprone-suspicious-include)
#include "../response.c"    // NOLINT(bugprone-suspicious-include)
#undef clock_gettime
#undef main
#undef recv
#undef poll
#undef write
#undef stderr

enum { BODY_ROOM = 1 << 16 }; /* more than the longest input */

/* What is there to come, and what was made of it. One at a time, as a recv has no room for another argument.
 */
static struct {
    const char *data;
    size_t left;
    cut_function *cut;
    char body[BODY_ROOM];
    size_t body_size;
} stream;

/* What came of a response: two of the same bytes have to be equal in all of this. */
struct summary {
    int status; /* to exit with */
    bool redirected;
    bool until_close; /* only the end of the stream says where its body ends */
    uint64_t digest;  /* of the body, or of where it redirects to */
    size_t body_size;
};

static int input_clock_gettime(clockid_t clock, struct timespec *now)
{
    require(clock == CLOCK_MONOTONIC, "nobody sets the clock");
    *now = (struct timespec){.tv_sec = 1};
    return 0;
}

static int input_poll(struct pollfd *polled, nfds_t count, int timeout)
{
    require(count == 1 && timeout > 0, "one waits for one connection, and for some time");
    polled->revents = polled->events;
    return 1;
}

static ssize_t input_recv(int fd, void *buffer, size_t size, int flags)
{
    (void)fd;
    (void)flags;
    require(size > 0, "one asks for bytes only where there is room: 0 would mean the end");
    if (stream.left == 0) {
        return 0;
    }
    const size_t piece = stream.cut(stream.data, stream.left);
    size = piece < size ? piece : size;
    memcpy(buffer, stream.data, size);
    stream.data += size;
    stream.left -= size;
    return (ssize_t)size;
}

static ssize_t input_write(int fd, const void *buffer, size_t size)
{
    (void)fd;
    require(size <= sizeof stream.body - stream.body_size, "no more is written than was sent");
    memcpy(stream.body + stream.body_size, buffer, size);
    stream.body_size += size;
    return (ssize_t)size;
}

/* Returns where the body begins in DATA, which holds a whole head of a final response, and perhaps interim
 * ones before it; sets HEAD to where that head begins. */
static size_t body_start(const char *data, size_t size, size_t *head)
{
    for (size_t at = 0;;) {
        *head = at;
        const char *end = memmem(data + at, size - at, "\r\n\r\n", 4);
        require(end != NULL, "a head ends in an empty line");
        const bool final = data[at + strlen("HTTP/1.1 ")] != '1';
        at = (size_t)(end + 4 - data);
        if (final) {
            return at;
        }
    }
}

/* Every length that is written in the HEAD of SIZE bytes is LENGTH: other readers may look at another one. */
static void require_lengths(const char *head, size_t size, uint64_t length)
{
    static const char name[] = "\nContent-Length:";
    for (const char *at = head; (at = memchr(at, '\n', size - (size_t)(at - head))) != NULL; at++) {
        if (size - (size_t)(at - head) < sizeof name || strncasecmp(at, name, sizeof name - 1) != 0) {
            continue;
        }
        const char *value = at + sizeof name - 1;
        for (value += strspn(value, " \t,"); *value >= '0' && *value <= '9'; value += strspn(value, " \t,")) {
            char *behind = NULL;
            require(strtoull(value, &behind, 10) == length, "there are no two lengths");
            value = behind;
        }
    }
}

/* Compares what was delivered with DATA, what was sent. */
static void require_delivered(const char *data, size_t size, const struct response *response,
                              enum framing framing)
{
    size_t head = 0; /* what an interim response says of lengths means nothing */
    const size_t start = body_start(data, size, &head);
    if (framing == FRAMING_LENGTH) {
        require_lengths(data + head, start - head, response->length);
    }
    if (framing == FRAMING_CHUNKED) {
        require_chunks(stream.body, stream.body_size, data + start, size - start);
    } else {
        require(stream.body_size == size - start, "all that is behind the head is delivered");
        require(memcmp(stream.body, data + start, size - start) == 0, "as it was sent");
    }
}

/* Looks at a final response as the client has: what its head says of the body, and what has become of that.
 */
static void require_framed(const struct response *response, enum framing framing)
{
    const bool none = response->status == 204 || response->status == 304;
    require(none == (framing == FRAMING_NONE), "204 and 304 have no body, and no others");
    require(none || !response->is_coded || !response->has_length, "a body has one framing");
    require(none || !response->is_coded || (response->is_chunked && response->minor > 0),
            "chunks are HTTP/1.1");
    if (framing == FRAMING_LENGTH) {
        require(stream.body_size == response->length, "a body is as long as it was said to be");
    }
    if (framing == FRAMING_NONE) {
        require(stream.body_size == 0, "where there is no body none is written");
    }
}

/* Does with SIZE bytes of DATA, and the end of the stream behind them, what exchange does. */
static struct summary receive(const char *data, size_t size, cut_function *cut)
{
    static const struct url base = {.port = 80, .host = "ground", .target = "/a/b?c"};
    static const struct options options = {.timeout_ms = 1000};
    const struct output output = {.fd = -1};
    struct connection connection = {.fd = -1, .host = base.host, .timeout_ms = options.timeout_ms};
    static struct response response;
    stream.data = data;
    stream.left = size;
    stream.cut = cut;
    stream.body_size = 0;
    connection.deadline = now_ms() + options.timeout_ms;
    struct summary summary = {.status = response_receive(&connection, &response)};
    if (summary.status != EXIT_SUCCESS) {
        return summary;
    }
    require(response.status >= 200 && response.status <= 999, "a status has three digits, and is final");
    summary.redirected = is_redirect(&response);
    if (summary.redirected) {
        struct url next = {0};
        summary.status = url_resolve(&next, &base, response.location) == NULL ? EXIT_SUCCESS : EXIT_RESPONSE;
        summary.digest = digest_add(0, next.target, strlen(next.target));
        summary.digest = digest_add(summary.digest, next.host, strlen(next.host) + 1);
        return summary;
    }
    summary.status = response_deliver(&connection, &response, &options, &output);
    require((summary.status == EXIT_STATUS) <= (response.status >= 400),
            "a status is said to be bad if it is");
    if (summary.status == EXIT_SUCCESS || summary.status == EXIT_STATUS) {
        enum framing framing = FRAMING_NONE;
        require(framing_of(&response, &framing) == NULL, "what was delivered has a framing");
        require_framed(&response, framing);
        require_delivered(data, size, &response, framing);
        summary.until_close = framing == FRAMING_CLOSE;
    }
    summary.body_size = stream.body_size;
    summary.digest = digest_add(0, stream.body, stream.body_size);
    return summary;
}

static bool delivered(const struct summary *summary)
{
    return !summary->redirected && (summary->status == EXIT_SUCCESS || summary->status == EXIT_STATUS);
}

static void require_same(const struct summary *one, const struct summary *other)
{
    require(one->status == other->status, "the exit status does not depend on cuts");
    require(one->redirected == other->redirected, "whether it redirects does not depend on cuts");
    require(one->body_size == other->body_size, "how much is delivered does not depend on cuts");
    require(one->digest == other->digest, "what is delivered does not depend on cuts");
}

/* A response that says where it ends is whole with each of its bytes, and with no others. */
static void require_whole(const char *data, size_t size)
{
    const size_t shorter = digest_add(0, data, size) % size; /* any of them, and always the same */
    const struct summary without_last = receive(data, size - 1, cut_nowhere);
    require(!delivered(&without_last), "what lacks its last byte is not whole");
    const struct summary cut_short = receive(data, shorter, cut_by_content);
    require(!delivered(&cut_short), "what was cut short is not whole");
    char *longer = malloc(size + 2);
    require(longer != NULL, "there is memory");
    memcpy(longer, data, size);
    longer[size] = '!';
    longer[size + 1] = '\0';
    const struct summary with_more = receive(longer, size + 1, cut_nowhere);
    require(!delivered(&with_more), "nothing may follow");
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[BODY_ROOM];
    quiet = quiet == NULL ? fopen("/dev/null", "w") : quiet;
    require(quiet != NULL && size < sizeof bytes, "there is room");
    memcpy(bytes, data, size);
    bytes[size] = '\0'; /* strtoul(3) stops there */
    const struct summary whole = receive(bytes, size, cut_nowhere);
    const struct summary single = receive(bytes, size, cut_everywhere);
    require_same(&whole, &single);
    const struct summary pieces = receive(bytes, size, cut_by_content);
    require_same(&whole, &pieces);
    if (delivered(&whole) && !whole.until_close) {
        require_whole(bytes, size);
    }
    return 0;
}
