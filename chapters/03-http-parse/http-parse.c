/* http-parse: a server that answers one HTTP/1.1 request after another.
 *
 * It has one peer at a time, and blocks, as that of chapter 02. What a peer means is found out by request.c,
 * when to read and when to answer by connection.c; here is what is answered. The lesson is README.md. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "listener.h"
#include "report.h"
#include "request.h"
#include "signals.h"
#include "slice.h"

enum { RESPONSE_HEAD = HEAD_LIMIT + 512 }; /* room for a head, in which a request's Content-Type may be */

const char program_name[] = "http-parse";

struct options {
    const char *host;       /* numeric; NULL: every address of this machine, IPv6 and IPv4 */
    uint16_t port;          /* 0: the kernel chooses a free one */
    struct timeval timeout; /* how long to wait for a silent peer */
    bool echo;              /* answer every target as /echo */
};

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "http-parse";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'},    {"port", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'}, {"echo", no_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct options options = {.host = NULL, .port = 0, .timeout = {.tv_sec = 10}};
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
        case 'e':
            options.echo = true;
            break;
        case 'h':
            puts("usage: http-parse [--bind HOST] [--port N] [--timeout SECONDS] [--echo]");
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

struct response {
    int status;
    const char *fields; /* lines besides those that every response has */
    struct slice type;  /* of the body */
    struct slice body;
};

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

/* Writes the time NOW into TEXT as RFC 9110, section 5.6.7, wants it, and returns TEXT. Not by strftime(3),
 * which names days and months in the user's language. */
static const char *date_format(time_t now, char *text, size_t size)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL) {
        text[0] = '\0'; /* a year that does not fit an int */
        return text;
    }
    snprintf(text, size, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[utc.tm_wday], utc.tm_mday,
             months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return text;
}

/* Sends RESPONSE to the request that was read last. Returns false if the peer is gone. */
static bool respond(const struct connection *connection, const struct response *response)
{
    const struct request *request = &connection->parser.request;
    char date[64];
    char head[RESPONSE_HEAD];
    int length =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d %s\r\n"
                 "Date: %s\r\n"
                 "%s%s"
                 "Content-Type: %.*s\r\n"
                 "Content-Length: %zu\r\n"
                 "\r\n",
                 response->status, reason(response->status), date_format(connection->now, date, sizeof date),
                 response->fields, request->closes ? "Connection: close\r\n" : "", (int)response->type.length,
                 response->type.start, response->body.length);
    /* BEGIN SOLUTION */
    const bool head_only = response->body.length == 0 || slice_is(request->method, "HEAD");
    return send_all(connection, head, (size_t)length, head_only ? 0 : MSG_MORE) &&
           (head_only || send_all(connection, response->body.start, response->body.length, 0));
    /* END SOLUTION */
    /* STARTER:
    // In one segment, if they fit into one? And HEAD (RFC 9110, section 9.3.2)?
    return send_all(connection, head, (size_t)length, 0) &&
           send_all(connection, response->body.start, response->body.length, 0);
    */
}

/* Sends a response whose body only says its status in words. */
static bool respond_status(const struct connection *connection, int status, const char *fields)
{
    char text[64];
    snprintf(text, sizeof text, "%d %s\n", status, reason(status));
    const struct response response = {status, fields, slice_of("text/plain"), slice_of(text)};
    return respond(connection, &response);
}

static bool respond_page(const struct connection *connection)
{
    static const char page[] = "<!doctype html>\n"
                               "<title>http-parse</title>\n"
                               "<p>hello from the ground up</p>\n";
    const struct response response = {200, "", slice_of("text/html; charset=utf-8"), slice_of(page)};
    return respond(connection, &response);
}

/* Sends the request's own body back, as the kind of content that it was said to be. */
static bool respond_echo(const struct connection *connection)
{
    const struct request *request = &connection->parser.request;
    struct response response = {200, "", slice_of("application/octet-stream"), request->body};
    struct slice fields = request->fields;
    struct slice name;
    for (struct slice value; field_next(&fields, &name, &value);) {
        if (slice_is_nocase(name, "content-type")) {
            response.type = value;
        }
    }
    return respond(connection, &response);
}

/* A method that is defined somewhere, so that 405 is the word for it and not 501 (RFC 9110, section 9.1). */
static bool is_known(struct slice method)
{
    static const char *const known[] = {"POST", "PUT", "DELETE", "TRACE", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_is(method, known[i])) {
            return true;
        }
    }
    return false;
}

/* Answers a request that is whole. Returns false if the peer is gone. */
static bool answer(const struct connection *connection, bool echo)
{
    static const char allow[] = "Allow: GET, HEAD, OPTIONS\r\n";
    const struct request *request = &connection->parser.request;
    const struct slice method = request->method;
    if (slice_is(method, "CONNECT")) {
        return respond_status(connection, 501, "");
    }
    if (echo || slice_is(request->path, "/echo")) {
        return respond_echo(connection);
    }
    if (slice_is(request->path, "*")) {
        return respond_status(connection, 200, allow);
    }
    if (!slice_is(request->path, "/")) {
        return respond_status(connection, 404, "");
    }
    if (slice_is(method, "GET") || slice_is(method, "HEAD")) {
        return respond_page(connection);
    }
    if (slice_is(method, "OPTIONS")) {
        return respond_status(connection, 200, allow);
    }
    return is_known(method) ? respond_status(connection, 405, allow) : respond_status(connection, 501, "");
}

/* Answers one request after another, in their order, until the peer or a request ends that. */
static void converse(struct connection *connection, bool echo)
{
    /* BEGIN SOLUTION */
    for (;;) {
        int verdict = read_request(connection);
        if (verdict == GONE) {
            return;
        }
        const bool closes = verdict != DONE || connection->parser.request.closes;
        connection->parser.request.closes = closes;
        connection->now = time(NULL);
        const bool sent =
            verdict == DONE ? answer(connection, echo) : respond_status(connection, verdict, "");
        if (!sent) {
            return;
        }
        if (closes) {
            drain(connection);
            return;
        }
        connection_next(connection);
    }
    /* END SOLUTION */
    /* STARTER:
    int verdict = read_request(connection); // and then the next one, unless something ends the conversation
    if (verdict == GONE) {
        return;
    }
    connection->now = time(NULL);
    // Is this the last answer? request.closes has respond say so.
    if (verdict == DONE ? answer(connection, echo) : respond_status(connection, verdict, "")) {
        connection_next(connection);
        drain(connection);
    }
    */
}

/* Has one whole conversation, and closes DESCRIPTOR in the end, however the conversation went. */
static void serve_peer(int descriptor, const char *peer, const struct options *options)
{
    struct connection connection; /* a MiB: what is not used is not touched, hence not zeroed either */
    connection.descriptor = descriptor;
    connection.peer = peer;
    connection.parser = (struct parser){.state = REQUEST_LINE};
    connection.used = 0;
    connection.now = 0;
    if (set_options(descriptor, peer, &options->timeout)) {
        converse(&connection, options->echo);
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
    int listener = listener_open(&address);
    announce("tcp", listener);
    for (;;) {
        union address peer = {.any = {0}};
        int connection = accept_peer(listener, &peer);
        char text[ADDRESS_TEXT];
        if (connection >= 0) {
            serve_peer(connection, address_format("tcp", &peer, text, sizeof text), &options);
        } else if (concerns_one_peer(-connection)) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
