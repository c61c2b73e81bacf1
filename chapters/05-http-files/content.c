#include "content.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "date.h"
#include "ranges.h"
#include "report.h"
#include "response.h"
#include "transfer.h"

enum {
    BOUNDARY_TEXT = 33, /* room for 128 bits in hexadecimal */
    PART_HEAD = 512,    /* room for what stands before a part */
};

const char *media_type(const char *path)
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

/* Writes the fields by which a peer can ask about RESOURCE again into FIELDS, of FIELDS_ROOM bytes. Returns
 * how many bytes they are. */
static size_t validators_format(const struct resource *resource, char *fields)
{
    char date[DATE_TEXT];
    return (size_t)snprintf(fields, FIELDS_ROOM, "Accept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n",
                            resource->tag, date_format(resource->modified, date));
}

/* Sends the one RANGE of RESOURCE that was asked for (RFC 9110, section 15.3.7.1). HEAD has no ranges:
 * select_ranges sees to that. */
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

bool respond_resource(const struct connection *connection, const struct resource *resource)
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
