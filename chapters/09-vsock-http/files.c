#include "files.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conditions.h"
#include "date.h"
#include "path.h"
#include "ranges.h"
#include "report.h"
#include "response.h"

enum { PIECE = 65536 }; /* bytes of a file that are read and written at once */

/* The media type of the file at PATH, by its name's last suffix. */
static const char *media_type(const char *path)
{
    static const char *const known[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".json", "application/json"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
    };
    const char *slash = strrchr(path, '/');
    const char *suffix = strrchr(slash == NULL ? path : slash, '.');
    for (size_t i = 0; suffix != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(suffix, known[i][0]) == 0) {
            return known[i][1];
        }
    }
    return "application/octet-stream";
}

/* Sends RANGE of FILE. Not by sendfile(2): a connection need not be a descriptor. */
static bool send_range(const struct connection *connection, int file, struct range range)
{
    char piece[PIECE];
    for (off_t at = range.first; at <= range.last;) {
        const off_t left = range.last + 1 - at;
        ssize_t n = pread(file, piece, left < PIECE ? (size_t)left : PIECE, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return report("pread", connection->peer, errno);
        }
        if (n == 0) {
            return give_up(connection->peer, "the file has become shorter while it was sent");
        }
        at += n;
        if (!send_all(connection, piece, (size_t)n, at <= range.last ? MSG_MORE : 0)) {
            return false;
        }
    }
    return true;
}

/* Writes the fields by which a peer can ask about RESOURCE again. Returns how many bytes they are. */
static size_t validators_format(const struct resource *resource, char *fields)
{
    char date[DATE_TEXT];
    return (size_t)snprintf(fields, FIELDS_ROOM, "Accept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n",
                            resource->tag, date_format(resource->modified, date));
}

static bool respond_unsatisfiable(const struct connection *connection, const struct resource *resource)
{
    char fields[FIELDS_ROOM];
    snprintf(fields, sizeof fields, "Accept-Ranges: bytes\r\nContent-Range: bytes */%jd\r\n",
             (intmax_t)resource->size);
    return respond_status(connection, 416, fields);
}

static bool respond_not_modified(const struct connection *connection, const struct resource *resource)
{
    char fields[FIELDS_ROOM];
    snprintf(fields, sizeof fields, "ETag: %s\r\n", resource->tag);
    const struct response response = {304, fields, NULL, 0};
    return send_head(connection, &response);
}

/* Sends RANGE of RESOURCE with STATUS, 200 or 206; the head alone to HEAD. */
static bool respond_range(const struct connection *connection, const struct resource *resource, int status,
                          struct range range)
{
    char fields[FIELDS_ROOM];
    const size_t used = validators_format(resource, fields);
    if (status == 206) {
        snprintf(fields + used, sizeof fields - used, "Content-Range: bytes %jd-%jd/%jd\r\n",
                 (intmax_t)range.first, (intmax_t)range.last, (intmax_t)resource->size);
    }
    const struct response response = {status, fields, resource->type, range.last + 1 - range.first};
    return send_head(connection, &response) &&
           (asks_head(connection) || send_range(connection, resource->file, range));
}

/* Answers with RESOURCE, or with what its conditions and its range make of it. Of several ranges all of the
 * file is sent, which RFC 9110, section 14.2, leaves to the server. */
static bool respond_resource(const struct connection *connection, const struct resource *resource)
{
    const int status = precondition_status(connection, resource);
    if (status != 0) {
        return status == 304 ? respond_not_modified(connection, resource)
                             : respond_status(connection, status, "");
    }
    struct ranges ranges;
    enum selection selection = select_ranges(connection, resource, &ranges);
    if (selection == NOTHING) {
        return respond_unsatisfiable(connection, resource);
    }
    if (selection == PARTS && ranges.count == 1) {
        return respond_range(connection, resource, 206, ranges.at[0]);
    }
    return respond_range(connection, resource, 200, (struct range){0, resource->size - 1});
}

static bool respond_opened(const struct connection *connection, const char *path, int file)
{
    struct stat status;
    if (fstat(file, &status) < 0) {
        report("fstat", connection->peer, errno);
        return respond_status(connection, 500, "");
    }
    if (!S_ISREG(status.st_mode)) {
        return respond_status(connection, S_ISDIR(status.st_mode) ? 404 : 403, "");
    }
    const time_t modified = status.st_mtim.tv_sec;
    struct resource resource = {
        .file = file,
        .size = status.st_size,
        .modified = modified < connection->now ? modified : connection->now,
        .type = media_type(path),
    };
    tag_format(&status, resource.tag);
    return respond_resource(connection, &resource);
}

/* Answers a request that is whole. Returns false if the peer is gone, or the answer could not be finished. */
static bool answer(const struct connection *connection, int root)
{
    const struct request *request = &connection->parser.request;
    char path[PATH_ROOM + sizeof "index.html"];
    if (!slice_is(request->method, "GET") && !slice_is(request->method, "HEAD")) {
        return respond_status(connection, 405, "Allow: GET, HEAD\r\n");
    }
    int status = path_decode(request->path, path);
    if (status != 0 || path_is_hidden(path)) {
        return respond_status(connection, status != 0 ? status : 404, "");
    }
    const size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/') {
        memcpy(path + length, "index.html", sizeof "index.html");
    }
    int file = open_beneath(root, path);
    if (file < 0) {
        return respond_status(connection, status_of_error(-file), "");
    }
    bool sent = respond_opened(connection, path, file);
    close(file); /* it was only read: there is nothing that could be lost here */
    return sent;
}

static void log_request(const struct connection *connection)
{
    const struct request *request = &connection->parser.request;
    char local[ENDPOINT_TEXT];
    fprintf(stderr, "%s %s %.*s %.*s\n", connection->peer, conn_local(connection->conn, local),
            (int)request->method.length, request->method.start, (int)request->target.length,
            request->target.start);
}

void converse(struct connection *connection, int root, bool log)
{
    for (;;) {
        int verdict = read_request(connection);
        if (verdict == GONE) {
            return;
        }
        const bool closes = verdict != DONE || connection->parser.request.closes;
        connection->parser.request.closes = closes;
        connection->now = time(NULL);
        if (log && verdict == DONE) {
            log_request(connection);
        }
        const bool sent =
            verdict == DONE ? answer(connection, root) : respond_status(connection, verdict, "");
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
