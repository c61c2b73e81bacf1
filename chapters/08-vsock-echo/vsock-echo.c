/* vsock-echo: sends back what it is sent, over VM sockets; and the client that sees whether that is true.
 *
 *   vsock-echo [--cid CID] [--port N] [--seqpacket] [--timeout SECONDS]      the server
 *   vsock-echo [--input FILE] [--timeout SECONDS] vsock:CID:PORT             the client
 *
 * The lesson is README.md. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"
#include "report.h"
#include "server.h"
#include "vsock.h"

const char program_name[] = "vsock-echo";

struct options {
    const char *target; /* NULL: be the server */
    const char *input;  /* NULL: standard input */
    uint32_t cid;
    uint32_t port; /* 0: the kernel chooses a free one */
    bool seqpacket;
    bool serves;            /* an option was given that is the server's alone */
    struct timeval timeout; /* how long to wait for a silent peer */
};

static uint32_t parse_number(const char *what, const char *text)
{
    uint32_t number = 0;
    if (!number_parse(text, &number)) {
        usage_error(what, text);
    }
    return number;
}

/* Takes one option into OPTIONS. Returns false if it is none that is known. */
static bool take_option(struct options *options, int option, const char *value)
{
    options->serves |= option == 'c' || option == 'p' || option == 's';
    switch (option) {
    case 'c':
        options->cid = parse_number("not a CID from 0 to 4294967295", value);
        return true;
    case 'p':
        options->port = parse_number("not a port number from 0 to 4294967295", value);
        return true;
    case 's':
        options->seqpacket = true;
        return true;
    case 'i':
        options->input = value;
        return true;
    case 't':
        options->timeout = parse_timeout(value);
        return true;
    default:
        return false;
    }
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "vsock-echo";
    static const struct option known[] = {
        {"cid", required_argument, NULL, 'c'},
        {"port", required_argument, NULL, 'p'},
        {"seqpacket", no_argument, NULL, 's'},
        {"input", required_argument, NULL, 'i'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.cid = VMADDR_CID_ANY, .timeout = {.tv_sec = 10}};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'h') {
            puts("usage: vsock-echo [--cid CID] [--port N] [--seqpacket] [--timeout SECONDS]\n"
                 "       vsock-echo [--input FILE] [--timeout SECONDS] vsock:CID:PORT");
            exit(EXIT_SUCCESS);
        }
        if (!take_option(&options, option, optarg)) {
            exit(EXIT_USAGE); /* getopt_long has said what is wrong */
        }
    }
    options.target = argv[optind];
    if (optind + 1 < argc) {
        usage_error("unexpected argument", argv[optind + 1]);
    }
    if (options.target != NULL && options.serves) {
        usage_error("an option of the server's beside an address to dial", options.target);
    }
    if (options.target == NULL && options.input != NULL) {
        usage_error("no address to dial, but an input", options.input);
    }
    return options;
}

static int run_client(const struct options *options)
{
    struct sockaddr_vm address;
    if (!vsock_parse(&address, options->target)) {
        usage_error("not an address of the form vsock:CID:PORT", options->target);
    }
    int input = STDIN_FILENO;
    if (options->input != NULL && (input = open(options->input, O_RDONLY | O_CLOEXEC)) < 0) {
        die("open", options->input, errno);
    }
    return client_run(&address, input, &options->timeout);
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    if (options.target != NULL) {
        return run_client(&options);
    }
    struct sockaddr_vm address;
    /* BEGIN SOLUTION */
    /* To the kernel 0 is a port like any other, and one of the privileged: "any" is VMADDR_PORT_ANY. */
    vsock_address(&address, options.cid, options.port == 0 ? VMADDR_PORT_ANY : options.port);
    /* END SOLUTION */
    /* STARTER:
    vsock_address(&address, options.cid, options.port); // is port 0 "any" here?
    */
    serve(&address, options.seqpacket, &options.timeout);
}
