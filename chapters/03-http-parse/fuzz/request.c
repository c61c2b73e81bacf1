/* Fuzzes the parser of requests: what a connection brings is understood in the same way however it is cut,
 * nothing is looked at that has not come, and what is accepted can be told from the outside to be fit for it.
 *
 * An input is what a peer sends in one connection. There is no separate input for the cuts: that a seed can
 * be read, and written by hand, is worth more. */
#include <sanitizer/asan_interface.h>
#include <strings.h>

#include "fuzz.h"

#define main http_parse_main
/* Functions in them are static. */
#include "../http-parse.c" // NOLINT(bugprone-suspicious-include)
#include "../request.c"    // NOLINT(bugprone-suspicious-include)
#undef main

/* Bytes behind those that have come that may not be touched. It costs time for each piece. */
enum { MARGIN = 64 };

/* What came of a conversation: two of the same bytes have to be equal in all of this. */
struct summary {
    uint64_t digest; /* of everything that was understood */
    size_t consumed; /* bytes of the requests that were whole */
    unsigned requests;
    int verdict; /* on what is behind them */
};

/* Lengths too: of "ab" and "c" must come something else than of "a" and "bc". */
static uint64_t digest_slice(uint64_t digest, struct slice slice)
{
    digest = digest_add(digest, (const char *)&slice.length, sizeof slice.length);
    return digest_add(digest, slice.start, slice.length);
}

static uint64_t digest_request(uint64_t digest, const struct request *request)
{
    const struct slice slices[] = {request->method, request->target, request->path, request->fields,
                                   request->body};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        digest = digest_slice(digest, slices[i]);
    }
    const char flags[] = {(char)request->minor, (char)request->closes, (char)request->awaits_continue};
    return digest_add(digest, flags, sizeof flags);
}

/* Does SLICE lie in the SIZE bytes that start at START? */
static bool lies_in(struct slice slice, const char *start, size_t size)
{
    return slice.length == 0 || (slice.start >= start && slice.start + slice.length <= start + size);
}

static unsigned fields_called(struct slice fields, const char *wanted)
{
    unsigned count = 0;
    struct slice name;
    for (struct slice value; field_next(&fields, &name, &value);) {
        count += slice_is_nocase(name, wanted);
    }
    return count;
}

/* Each line of its own: what the parser's own functions make of it does not count here. */
static void require_field_lines(struct slice fields)
{
    while (fields.length > 0) {
        const char *feed = memchr(fields.start, '\n', fields.length);
        require(feed != NULL && feed - fields.start >= 3 && feed[-1] == '\r', "a field line ends in CRLF");
        const size_t length = (size_t)(feed - 1 - fields.start);
        require(fields.start[0] != ' ' && fields.start[0] != '\t', "a line is not folded");
        require(memchr(fields.start, '\r', length) == NULL, "no carriage return stands alone");
        require(memchr(fields.start, '\0', length) == NULL, "no NUL is in a field");
        const char *colon = memchr(fields.start, ':', length);
        require(colon != NULL && colon > fields.start, "a field line has a name and a colon");
        require(colon[-1] != ' ' && colon[-1] != '\t', "no white space is between name and colon");
        fields = slice_from(fields, length + 2);
    }
}

/* Says FIELDS that there is one coding, and is that chunked? */
static bool is_chunked_once(struct slice fields)
{
    unsigned codings = 0;
    unsigned chunked = 0;
    struct slice name;
    struct slice coding;
    for (struct slice value; field_next(&fields, &name, &value);) {
        while (slice_is_nocase(name, "transfer-encoding") && list_next(&value, &coding)) {
            codings++;
            chunked += slice_is_nocase(coding, "chunked");
        }
    }
    return codings == 1 && chunked == 1;
}

/* RFC 9112, sections 3.2 and 6.3: what two readers of a request could understand differently is refused. */
static void require_one_framing(const struct request *request)
{
    const unsigned lengths = fields_called(request->fields, "content-length");
    const unsigned codings = fields_called(request->fields, "transfer-encoding");
    require(lengths <= 1, "a request has one Content-Length at most");
    require(lengths == 0 || codings == 0, "a request has one framing");
    require(request->minor > 0 || codings == 0, "HTTP/1.0 has no codings");
    require(codings == 0 || is_chunked_once(request->fields), "no coding but chunked, once");
    require(lengths > 0 || codings > 0 || request->body.length == 0, "a body is announced");
    const unsigned hosts = fields_called(request->fields, "host");
    require(hosts == 1 || (request->minor == 0 && hosts == 0), "HTTP/1.1 has one Host");
}

/* RFC 9112, section 3.2: which form TARGET has, as far as its first and its last bytes tell. */
static void require_form(const struct request *request)
{
    static const char scheme[] = "http://";
    const struct slice target = request->target;
    if (slice_is(request->method, "CONNECT")) {
        require(memchr(target.start, ':', target.length) != NULL,
                "a host and a port have a colon between them");
        require(isdigit((unsigned char)target.start[target.length - 1]), "CONNECT has a port");
    } else if (target.start[0] != '/' && !slice_is(target, "*")) {
        require(target.length > strlen(scheme) && strncasecmp(target.start, scheme, strlen(scheme)) == 0,
                "a whole URI begins with its scheme");
    }
}

static void require_fit(const struct connection *connection)
{
    const struct parser *parser = &connection->parser;
    const struct request *request = &parser->request;
    require(parser->at <= connection->used && parser->kept <= parser->at, "no more is taken than was there");
    const struct slice slices[] = {request->method, request->target, request->fields, request->body};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        require(lies_in(slices[i], connection->bytes, parser->at), "a slice lies in what was taken");
    }
    require(request->method.length > 0 && slice_all(request->method, is_token), "a method is a token");
    require(request->target.length > 0 && slice_all(request->target, is_target), "a target is visible");
    require(request->path.length > 0 || slice_is(request->method, "CONNECT"), "a target has a path");
    require(request->body.length <= BODY_LIMIT, "a body is within its limit");
    require_form(request);
    require_field_lines(request->fields);
    require_one_framing(request);
}

/* Written down anew, an accepted request is the bytes that it was made of: so none of them went unseen. */
static void require_same_bytes(const struct request *request, const char *sent, size_t consumed)
{
    while (consumed >= 2 && memcmp(sent, "\r\n", 2) == 0) { /* empty lines before a request */
        sent += 2;
        consumed -= 2;
    }
    char line[HEAD_LIMIT + 1];
    const int length =
        snprintf(line, sizeof line, "%.*s %.*s HTTP/1.%d\r\n", (int)request->method.length,
                 request->method.start, (int)request->target.length, request->target.start, request->minor);
    const size_t head = (size_t)length + request->fields.length + 2;
    require(length > 0 && head <= HEAD_LIMIT && head <= consumed, "a head is within its limit");
    require(memcmp(sent, line, (size_t)length) == 0, "a request line is what was sent");
    require(memcmp(sent + length, request->fields.start, request->fields.length) == 0,
            "fields are what was sent");
    require(memcmp(sent + head - 2, "\r\n", 2) == 0, "an empty line ends the head");
    if (fields_called(request->fields, "transfer-encoding") > 0) {
        require_chunks(request->body.start, request->body.length, sent + head, consumed - head);
    } else {
        require(head + request->body.length == consumed, "head and body are all that was taken");
        require(memcmp(sent + head, request->body.start, request->body.length) == 0,
                "a body is what was sent");
    }
}

/* Brings SIZE bytes as connection_read does, into a buffer of which no more may be looked at. */
static void bring(struct connection *connection, const char *data, size_t size)
{
    connection->used = parser_compact(&connection->parser, connection->bytes, connection->used);
    require(connection->used < sizeof connection->bytes, "there is room as long as the parser wants more");
    char *place = connection->bytes + connection->used;
    ASAN_UNPOISON_MEMORY_REGION(place, size);
    memcpy(place, data, size);
    connection->used += size;
    ASAN_POISON_MEMORY_REGION(place + size, MARGIN);
}

/* Has the parser look at DATA, cut by CUT, one request after the other. */
static struct summary converse_with(const char *data, size_t size, cut_function *cut)
{
    static struct connection connection;
    ASAN_UNPOISON_MEMORY_REGION(connection.bytes, sizeof connection.bytes);
    connection.parser = (struct parser){.state = REQUEST_LINE};
    connection.used = 0;
    struct summary summary = {.digest = 0};
    size_t come = 0;
    for (;;) {
        summary.verdict = parser_feed(&connection.parser, connection.bytes, connection.used);
        if (summary.verdict == MORE && come < size) {
            size_t piece = cut(data + come, size - come);
            piece = piece < READ_SIZE ? piece : READ_SIZE;
            bring(&connection, data + come, piece);
            come += piece;
            continue;
        }
        if (summary.verdict != DONE) {
            return summary;
        }
        const size_t left = connection.used - connection.parser.at;
        const size_t end = come - left;
        require_fit(&connection);
        require_same_bytes(&connection.parser.request, data + summary.consumed, end - summary.consumed);
        summary.digest = digest_request(summary.digest, &connection.parser.request);
        summary.consumed = end;
        summary.requests++;
        if (connection.parser.request.closes) {
            return summary;
        }
        ASAN_UNPOISON_MEMORY_REGION(connection.bytes, sizeof connection.bytes);
        connection_next(&connection);
        ASAN_POISON_MEMORY_REGION(connection.bytes + connection.used, MARGIN);
    }
}

static void require_same(const struct summary *one, const struct summary *other)
{
    require(one->verdict == other->verdict, "the verdict does not depend on cuts");
    require(one->requests == other->requests, "the number of requests does not depend on cuts");
    require(one->consumed == other->consumed, "where requests end does not depend on cuts");
    require(one->digest == other->digest, "what a request says does not depend on cuts");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    const struct summary whole = converse_with(bytes, size, cut_nowhere);
    require(whole.verdict <= DONE || reason(whole.verdict)[0] != '\0',
            "a refusal has a status that is known");
    const struct summary single = converse_with(bytes, size, cut_everywhere);
    require_same(&whole, &single);
    const struct summary pieces = converse_with(bytes, size, cut_by_content);
    require_same(&whole, &pieces);
    return 0;
}
