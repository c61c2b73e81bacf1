/* vsock-http: chapter 05's server of files, and a client, over whatever carries a stream.
 *
 *   vsock-http [--root DIR] [--log] [--timeout SECONDS] --listen ADDRESS     the server
 *   vsock-http [--timeout SECONDS] URL                                       the client
 *
 * No address family is named in this file. The lesson is README.md. */
#define _GNU_SOURCE /* O_PATH */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "client.h"
#include "conn.h"
#include "connection.h"
#include "listener.h"
#include "report.h"
#include "request.h"
#include "signals.h"
#include "url.h"

const char program_name[] = "vsock-http";

struct options {
    const char *listen; /* NULL: be the client */
    const char *url;
    const char *root;
    bool log;
    int64_t timeout_ms;
};

/* Takes one option into OPTIONS. Returns false if it is none that is known. */
static bool take_option(struct options *options, int option, const char *value)
{
    struct timeval timeout;
    switch (option) {
    case 'l':
        options->listen = value;
        return true;
    case 'r':
        options->root = value;
        return true;
    case 'v':
        options->log = true;
        return true;
    case 't':
        timeout = parse_timeout(value);
        options->timeout_ms = timeout.tv_sec * 1000 + (timeout.tv_usec + 999) / 1000;
        return true;
    default:
        return false;
    }
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "vsock-http";
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'}, {"root", required_argument, NULL, 'r'},
        {"log", no_argument, NULL, 'v'},          {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct options options = {.root = ".", .timeout_ms = 10000};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'h') {
            puts("usage: vsock-http [--root DIR] [--log] [--timeout SECONDS] --listen ADDRESS\n"
                 "       vsock-http [--timeout SECONDS] URL");
            exit(EXIT_SUCCESS);
        }
        if (!take_option(&options, option, optarg)) {
            exit(EXIT_USAGE); /* getopt_long has said what is wrong */
        }
    }
    options.url = argv[optind];
    if ((options.listen == NULL) == (options.url == NULL) || (options.url != NULL && optind + 1 < argc)) {
        usage_error("either --listen ADDRESS or one URL is needed", optind < argc ? argv[argc - 1] : "");
    }
    return options;
}

/* Has one whole conversation, and closes CONN in the end, however the conversation went. */
static void serve_peer(struct conn *conn, int root, const struct options *options)
{
    char peer[ENDPOINT_TEXT];
    struct connection connection; /* a MiB: what is not used is not touched, hence not zeroed either */
    connection.conn = conn;
    connection.peer = conn_remote(conn, peer);
    connection.timeout_ms = options->timeout_ms;
    connection.log = options->log;
    connection.parser = (struct parser){.state = REQUEST_LINE};
    connection.used = 0;
    converse(&connection, root);
    int error = conn_close(conn);
    if (error < 0) {
        report("close", peer, -error);
    }
}

_Noreturn static void serve(const struct options *options)
{
    struct listener listener;
    char text[ENDPOINT_TEXT];
    const char *call = "";
    int root = open(options->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        die("open", options->root, errno);
    }
    int error = listener_listen(&listener, options->listen, &call);
    if (error < 0 && strcmp(call, "parse") == 0) {
        usage_error("not an address to listen at", options->listen);
    }
    if (error < 0) {
        die(call, options->listen, -error);
    }
    printf("listening on %s\n", listener_address(&listener, text));
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
    for (;;) {
        struct conn conn;
        error = listener_accept(&listener, &conn);
        if (error == 0) {
            serve_peer(&conn, root, options);
        } else if (concerns_one_peer(-error)) {
            report("accept4", "a peer", -error);
        } else {
            die("accept4", text, -error);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    if (options.listen != NULL) {
        stop_on_signals();
        serve(&options);
    }
    struct url url;
    const char *why = url_parse(&url, options.url);
    if (why != NULL) {
        usage_error(why, ""); /* which is not repeated: it may hold a line feed, or worse */
    }
    return fetch(&url, options.timeout_ms);
}
