#include "body.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "fail.h"
#include "url.h"

enum {
    LINE_LIMIT = 1024,     /* bytes of a line between chunks; the contract would permit up to 16384 */
    PROGRESS_BYTES = 4096, /* of body that earn another --timeout */
};

int output_write(const struct output *output, const char *data, size_t size)
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
            return fail_broken(connection, "recv", n);
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
            return fail_broken(connection, "recv", n);
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
    const char *extension = end == NULL ? NULL : end + strspn(end, " \t");
    if (end == NULL || (*end != '\0' && *extension != ';') || *size == UINT64_MAX) {
        return fail_malformed(connection, "a chunk that does not begin with its size");
    }
    return EXIT_SUCCESS;
}

/* Receives CR and LF behind a chunk, and looks at each as it comes: what is wrong is wrong at once. */
static int chunk_end_receive(struct connection *connection)
{
    for (const char *expected = "\r\n"; *expected != '\0'; expected++) {
        ssize_t n = connection->begin < connection->end ? 1 : connection_fill(connection);
        if (n <= 0) {
            return fail_broken(connection, "recv", n);
        }
        if (connection->bytes[connection->begin++] != *expected) {
            return fail_malformed(connection, "a chunk longer than its size");
        }
    }
    return EXIT_SUCCESS;
}

/* Receives the fields after the last chunk, which nobody here asks for, and the blank line after them. */
static int trailers_receive(struct connection *connection)
{
    char line[LINE_LIMIT] = "";
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
        if (status == EXIT_SUCCESS) {
            status = chunk_end_receive(connection);
        }
        if (status != EXIT_SUCCESS) {
            return status;
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
int body_receive(struct connection *connection, enum framing framing, uint64_t length,
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
    const size_t size = framing == FRAMING_NONE ? 0 : connection->end - connection->begin;
    return output_write(output, connection->bytes + connection->begin, size);
    */
}
