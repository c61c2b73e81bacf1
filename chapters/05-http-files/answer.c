#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conditions.h"
#include "content.h"
#include "listing.h"
#include "path.h"
#include "report.h"
#include "request.h"
#include "response.h"
#include "slice.h"

/* Answers that CALL failed with ERROR on what the request asks for. */
static bool respond_error(const struct connection *connection, const char *call, int error)
{
    const int status = status_of_error(error);
    if (status == 500) {
        report(call, connection->peer, error);
    }
    return respond_status(connection, status, "");
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

/* Answers with FILE, which is at PATH, and as STATUS describes it no directory. */
static bool respond_file(const struct connection *connection, const char *path, int file,
                         const struct stat *status)
{
    if (!S_ISREG(status->st_mode)) {
        /* A FIFO, a device: it has no length. What opening it does has been done by now. */
        return respond_status(connection, 403, "");
    }
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

/* Answers with FILE, the index.html of a directory, which is at PATH. */
static bool respond_index(const struct connection *connection, const char *path, int file)
{
    struct stat status;
    if (fstat(file, &status) < 0) {
        return respond_error(connection, "fstat", errno);
    }
    return respond_file(connection, path, file, &status);
}

/* Answers with the directory PATH: with its index.html, or with a list of what is in it. */
static bool respond_directory(const struct connection *connection, int root, const char *path, int directory)
{
    const size_t length = strlen(path);
    if (length > 0 && path[length - 1] != '/') {
        return respond_redirect(connection, path);
    }
    char index[PATH_ROOM + sizeof "index.html"];
    snprintf(index, sizeof index, "%sindex.html", path);
    int file = open_beneath(root, index);
    if (file == -ENOENT) {
        return respond_listing(connection, path, directory);
    }
    if (file < 0) {
        return respond_error(connection, "openat2", -file);
    }
    bool sent = respond_index(connection, index, file);
    close(file); /* it was only read: there is nothing that could be lost here */
    return sent;
}

/* Answers with FILE, of whatever kind it is, which is at PATH. */
static bool respond_opened(const struct connection *connection, int root, const char *path, int file)
{
    struct stat status;
    if (fstat(file, &status) < 0) {
        return respond_error(connection, "fstat", errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return respond_directory(connection, root, path, file);
    }
    return respond_file(connection, path, file, &status);
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
static bool answer(const struct connection *connection, int root)
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
    int file = open_beneath(root, path);
    if (file < 0) {
        return respond_error(connection, "openat2", -file);
    }
    bool sent = respond_opened(connection, root, path, file);
    close(file);
    return sent;
}

void converse(struct connection *connection, int root)
{
    for (;;) {
        int verdict = read_request(connection);
        if (verdict == GONE) {
            return;
        }
        const bool closes = verdict != DONE || connection->parser.request.closes;
        connection->parser.request.closes = closes;
        connection->now = time(NULL);
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
