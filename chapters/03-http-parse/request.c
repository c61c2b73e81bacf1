#include "request.h"

#include <stdint.h>
#include <string.h>

#include "target.h"

bool slice_number(struct slice digits, unsigned base, size_t *number)
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
    // RFC 9112, section 5: field-name ":" OWS field-value OWS, where OWS is white space or nothing
    const bool has_colon = slice_cut(&line, ':', name);
    *value = line; // what is behind the colon, white space and all
    return has_colon && slice_all(*value, is_text);
    */
}

bool field_next(struct slice *fields, struct slice *name, struct slice *value)
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

/* What one field means for the request. Each of these returns DONE, or the status with which to refuse it. */
static int take_host(struct parser *parser, struct slice value)
{
    struct slice host;
    struct slice port;
    parser->hosts++;
    /* BEGIN SOLUTION */
    return parser->hosts > 1 || !host_split(value, &host, &port) ? 400 : DONE;
    /* END SOLUTION */
    /* STARTER:
    return host_split(value, &host, &port) ? DONE : 400; // and if it is there twice?
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
            parser->unknown = true;
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
            parser->unmet = true;
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
    // RFC 9112, section 3: method SP request-target SP HTTP-version
    if (!slice_cut(&line, ' ', &request->method) || !slice_all(request->method, is_token) ||
        !slice_all(line, is_target)) {
        return 400;
    }
    request->target = line; // and what is behind it
    request->minor = 1;
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
        return parser->unknown ? 501 : DONE;
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
    } else if (verdict == DONE && parser->unmet) {
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
    (void)bytes;  // body.start is set already, body.length is not
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

int parser_feed(struct parser *parser, char *bytes, size_t used)
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

size_t parser_compact(struct parser *parser, char *bytes, size_t used)
{
    memmove(bytes + parser->kept, bytes + parser->at, used - parser->at);
    used -= parser->at - parser->kept;
    parser->at = parser->kept;
    return used;
}
