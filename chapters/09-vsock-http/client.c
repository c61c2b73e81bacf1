#define _GNU_SOURCE /* memmem(3) */
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "request.h"

enum { RESPONSE_LIMIT = 65536 }; /* bytes of a response's head, and of one piece of its body */

/* A response, of which bytes[0] to bytes[used - 1] are here and not written yet. */
struct response {
    struct conn conn;
    const char *address;
    int64_t timeout_ms;
    int status;
    bool has_length;
    size_t length;
    size_t used;
    char bytes[RESPONSE_LIMIT];
};

static int fail(const struct response *response, int status, const char *why)
{
    give_up(response->address, why);
    return status;
}

/* Reads on, behind what is there, until the read deadline. Returns EXIT_SUCCESS, and in ENDED whether the
 * stream has ended, or the status to exit with. */
static int response_read(struct response *response, bool *ended)
{
    ssize_t n =
        conn_read(&response->conn, response->bytes + response->used, sizeof response->bytes - response->used);
    if (n == -ETIMEDOUT) {
        return fail(response, EXIT_TIMED_OUT, "the response did not come in time");
    }
    if (n < 0) {
        report("recv", response->address, (int)-n);
        return EXIT_RESPONSE;
    }
    *ended = n == 0;
    response->used += (size_t)n;
    return EXIT_SUCCESS;
}

/* Reads the status out of LINE: HTTP/1.1 200 OK. Returns false if it is no status line. */
static bool status_line_parse(struct response *response, struct slice line)
{
    size_t status = 0;
    const bool good = line.length >= 12 && memcmp(line.start, "HTTP/1.", 7) == 0 && is_digit(line.start[7]) &&
                      line.start[8] == ' ' && slice_number((struct slice){line.start + 9, 3}, 10, &status);
    response->status = (int)status;
    return good && (line.length == 12 || line.start[12] == ' ') && status >= 200;
}

/* Looks through the fields for what tells where the body ends. Returns NULL, or what is wrong. */
static const char *fields_parse(struct response *response, struct slice fields)
{
    struct slice name;
    struct slice value;
    while (field_next(&fields, &name, &value)) {
        if (slice_is_nocase(name, "transfer-encoding")) {
            return "a transfer coding, which HTTP/1.0 does not have"; /* RFC 9112, section 6.1 */
        }
        size_t length = 0;
        if (!slice_is_nocase(name, "content-length")) {
            continue;
        }
        if (!slice_number(value, 10, &length) || (response->has_length && length != response->length)) {
            return "a Content-Length that is none, or two that differ";
        }
        response->has_length = true;
        response->length = length;
    }
    return NULL;
}

/* Are there only lines in FIELDS that field_next can read: a token, a colon? */
static bool fields_are_good(struct slice fields)
{
    struct slice line;
    while (slice_cut(&fields, '\n', &line)) {
        struct slice name;
        if (!slice_cut(&line, ':', &name) || name.length == 0 || !slice_all(name, is_token)) {
            return false;
        }
    }
    return fields.length == 0;
}

/* Reads the head, and leaves what is behind it. Returns EXIT_SUCCESS or the status to exit with. */
static int head_receive(struct response *response)
{
    const char *end = NULL;
    response->conn.read_deadline = now_ms() + response->timeout_ms; /* for all of it, however it comes */
    while ((end = memmem(response->bytes, response->used, "\r\n\r\n", 4)) == NULL) {
        bool ended = false;
        if (response->used == sizeof response->bytes) {
            return fail(response, EXIT_RESPONSE, "the head does not end");
        }
        int status = response_read(response, &ended);
        if (status != EXIT_SUCCESS) {
            return status;
        }
        if (ended) {
            return fail(response, EXIT_RESPONSE, "the connection was closed before the head was whole");
        }
    }
    struct slice fields = {response->bytes, (size_t)(end - response->bytes) + 2};
    struct slice line;
    slice_cut(&fields, '\n', &line);
    line.length--; /* the \r */
    const bool good = status_line_parse(response, line) && fields_are_good(fields);
    const char *why = good ? fields_parse(response, fields) : "malformed response";
    if (why != NULL) {
        return fail(response, EXIT_RESPONSE, why);
    }
    response->used -= (size_t)(end + 4 - response->bytes);
    memmove(response->bytes, end + 4, response->used);
    return EXIT_SUCCESS;
}

/* Writes SIZE bytes of what is here to standard output. Returns EXIT_SUCCESS or the status to exit with. */
static int body_write(struct response *response, size_t size)
{
    if (fwrite(response->bytes, 1, size, stdout) != size || fflush(stdout) != 0) {
        report("write", "standard output", errno);
        return EXIT_FAILURE;
    }
    response->used -= size;
    return EXIT_SUCCESS;
}

/* Copies the body to standard output. Only where it says how long it is can it be seen to be whole. */
static int body_receive(struct response *response)
{
    const bool empty = response->status == 204 || response->status == 304;
    size_t left = empty ? 0 : response->has_length ? response->length : SIZE_MAX;
    bool ended = false;
    while (left > 0) {
        response->conn.read_deadline = now_ms() + response->timeout_ms; /* for each piece: it may be long */
        int status = response->used > 0 ? EXIT_SUCCESS : response_read(response, &ended);
        if (status == EXIT_SUCCESS && ended) {
            return left == SIZE_MAX || !response->has_length
                       ? EXIT_SUCCESS
                       : fail(response, EXIT_RESPONSE, "the connection was closed before the body was whole");
        }
        const size_t here = response->used < left ? response->used : left;
        if (status == EXIT_SUCCESS) {
            status = body_write(response, here);
        }
        if (status != EXIT_SUCCESS) {
            return status;
        }
        left -= response->has_length ? here : 0;
    }
    return EXIT_SUCCESS;
}

/* Asks for URL over a connection that is made, and receives the answer. */
static int exchange(struct response *response, const struct url *url)
{
    char request[URL_LIMIT + 512];
    /* Of version 1.0, so that nobody answers in chunks: chapter 04 has a client that reads those. */
    const int length =
        snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", url->target, url->host);
    response->conn.write_deadline = now_ms() + response->timeout_ms;
    int error = conn_write(&response->conn, request, (size_t)length, false);
    if (error < 0 && error != -EPIPE && error != -ECONNRESET) { /* an answer may be there all the same */
        report("send", response->address, -error);
        return error == -ETIMEDOUT ? EXIT_TIMED_OUT : EXIT_RESPONSE;
    }
    int status = head_receive(response);
    if (status == EXIT_SUCCESS) {
        status = body_receive(response);
    }
    return status == EXIT_SUCCESS && response->status >= 400 ? EXIT_STATUS : status;
}

int fetch(const struct url *url, int64_t timeout_ms)
{
    struct response response = {.address = url->address, .timeout_ms = timeout_ms};
    const char *call = "";
    int error = conn_dial(&response.conn, url->address, now_ms() + timeout_ms, &call);
    if (error < 0 && strcmp(call, "parse") == 0) {
        usage_error("not an address that can be dialled", url->address);
    }
    if (error < 0) {
        report(call, url->address, -error);
        return error == -ETIMEDOUT ? EXIT_TIMED_OUT : EXIT_UNREACHABLE;
    }
    int status = exchange(&response, url);
    conn_close(&response.conn); /* it was only read from: nothing can be lost by an error here */
    return status;
}
