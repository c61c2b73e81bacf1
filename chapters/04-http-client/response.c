#include "response.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

#include "url.h"

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
            return fail_broken(connection, "recv", n);
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
    return fail_broken(connection, "recv", connection_fill(connection));
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

int response_receive(struct connection *connection, struct response *response)
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

const char *framing_of(const struct response *response, enum framing *framing)
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
