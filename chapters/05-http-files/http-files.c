/* http-files: a web server for the files below a directory.
 *
 * It opens them with openat2(2), so that no request leads out of the directory, and sends them with
 * sendfile(2), so that they never pass through its memory. What a request says is found out by the parser of
 * chapter 03. One peer at a time, blocking, as before. The lesson is README.md. */
#define _GNU_SOURCE /* O_PATH */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "answer.h"
#include "connection.h"
#include "listener.h"
#include "report.h"
#include "request.h"
#include "signals.h"

const char program_name[] = "http-files";

struct options {
    const char *host;       /* numeric; NULL: every address of this machine, IPv6 and IPv4 */
    uint16_t port;          /* 0: the kernel chooses a free one */
    struct timeval timeout; /* how long to wait for a silent peer */
    const char *root;       /* the directory whose files are served */
};

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "http-files";
    static const struct option known[] = {
        {"bind", required_argument, NULL, 'b'},    {"port", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'}, {"root", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct options options = {.host = NULL, .port = 0, .timeout = {.tv_sec = 10}, .root = "."};
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
        case 'r':
            options.root = optarg;
            break;
        case 'h':
            puts("usage: http-files [--bind HOST] [--port N] [--timeout SECONDS] [--root DIR]");
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

/* Writing to a peer that is gone raises SIGPIPE. send(2) has MSG_NOSIGNAL against it; sendfile(2) has not. */
static void survive_broken_pipes(void)
{
    /* BEGIN SOLUTION */
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) < 0) {
        die("sigaction", "SIGPIPE", errno);
    }
    /* END SOLUTION */
    /* STARTER: // sigaction(2) */
}

/* Has one whole conversation, and closes DESCRIPTOR in the end, however the conversation went. */
static void serve_peer(int descriptor, const char *peer, int root, const struct timeval *timeout)
{
    struct connection connection; /* a MiB: what is not used is not touched, hence not zeroed either */
    connection.descriptor = descriptor;
    connection.peer = peer;
    connection.parser = (struct parser){.state = REQUEST_LINE};
    connection.used = 0;
    if (set_options(descriptor, peer, timeout)) {
        converse(&connection, root);
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
    survive_broken_pipes();
    int root = open(options.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        die("open", options.root, errno);
    }
    int listener = listener_open(&address);
    announce("tcp", listener);
    for (;;) {
        union address peer = {.any = {0}};
        int connection = accept_peer(listener, &peer);
        char text[ADDRESS_TEXT];
        if (connection >= 0) {
            serve_peer(connection, address_format("tcp", &peer, text, sizeof text), root, &options.timeout);
        } else if (concerns_one_peer(-connection)) {
            report("accept4", "a peer", -connection);
        } else {
            die("accept4", "listener", -connection);
        }
    }
}
