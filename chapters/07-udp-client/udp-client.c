/* udp-client: sends messages to a UDP server that echoes them, again if need be, and says what has become of
 * them, as ping does.
 *
 * The lesson is in README.md beside this file.
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "client.h"
#include "report.h"
#include "target.h"

const char program_name[] = "udp-client";

struct options {
    uint32_t count; /* messages */
    size_t size;
    unsigned tries;
    struct timeval timeout;
    struct target target;
};

/* Reads a number from LEAST to MOST, of decimal digits alone. */
static unsigned long parse_number(const char *text, const char *what, unsigned long least, unsigned long most)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least || number > most) {
        usage_error(what, text);
    }
    return number;
}

static void parse_target(struct target *target, int argc, char **argv)
{
    if (optind + 1 != argc) {
        usage_error("one target is needed", optind < argc ? argv[optind + 1] : "");
    }
    const char *why = target_parse(target, argv[optind]);
    if (why != NULL) {
        usage_error(why, argv[optind]);
    }
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "udp-client";
    static const struct option known[] = {
        {"count", required_argument, NULL, 'c'},   {"size", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'}, {"tries", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct options options = {.count = 4, .size = 64, .tries = 3, .timeout = {.tv_sec = 2}};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options.count = (uint32_t)parse_number(optarg, "not a number from 0 to 1000000", 0, 1000000);
            break;
        case 's':
            options.size = parse_number(optarg, "not a size from 16 to 65507", HEADER, LARGEST);
            break;
        case 't':
            options.timeout = parse_timeout(optarg);
            break;
        case 'r':
            options.tries = (unsigned)parse_number(optarg, "not a number from 1 to 8", 1, TRIES_LIMIT);
            break;
        case 'h':
            puts(
                "usage: udp-client [--count N] [--size BYTES] [--timeout SECONDS] [--tries N] udp:HOST:PORT");
            exit(EXIT_SUCCESS);
        default: /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    parse_target(&options.target, argc, argv);
    return options;
}

/* Prints why the program ends without all answers. Returns STATUS. */
static int fail(int status, const char *server, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_name, server, why);
    return status;
}

/* Asks at one address after the other, in the order of the resolver, until one does not refuse before it has
 * answered anything. Returns as client_ask_all does. */
static int ask_somewhere(struct client *client, const struct options *options,
                         const struct addrinfo *addresses)
{
    int result = -EADDRNOTAVAIL;
    /* BEGIN SOLUTION */
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        const int connected = client_connect(client, address);
        if (connected < 0 && client->statistics.messages > 0) {
            continue; /* that another one refused is more worth telling */
        }
        client_begin(client, address);
        result = connected;
        if (connected == 0) {
            result = client_ask_all(client, options->count);
            close(client->fd);
        }
        if (result == 0 || client->statistics.answered > 0) {
            break;
        }
    }
    return result;
    /* END SOLUTION */
    /* STARTER:
    client_begin(client, addresses);
    result = client_connect(client, addresses); // and if this one refuses, and there is another?
    return result < 0 ? result : client_ask_all(client, options->count);
    */
}

/* Asks, prints the summary. Returns the status to exit with. */
static int run(struct client *client, const struct options *options)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *addresses = NULL;
    int error = getaddrinfo(options->target.host, options->target.port, &hints, &addresses);
    if (error != 0) {
        return fail(EXIT_UNREACHABLE, options->target.host, gai_strerror(error));
    }
    int result = ask_somewhere(client, options, addresses);
    freeaddrinfo(addresses);
    error = statistics_print(&client->statistics);
    if (error < 0) {
        report("write", "standard output", -error);
        return EXIT_FAILURE;
    }
    /* BEGIN SOLUTION */
    if (result < 0) {
        return fail(EXIT_UNREACHABLE, client->server, strerror(-result));
    }
    if (client->statistics.lost > 0) {
        return fail(EXIT_TIMED_OUT, client->server, "i/o timeout");
    }
    return EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    return fail(EXIT_FAILURE, client->server, strerror(-result)); // 0, 3 or 4?
    */
}

int main(int argc, char **argv)
{
    const struct options options = parse_options(argc, argv);
    static struct client client;
    client.size = options.size;
    client.tries = options.tries;
    client.timeout_ns = (int64_t)options.timeout.tv_sec * 1000000000 + options.timeout.tv_usec * 1000;
    if (getrandom(&client.session, sizeof client.session, 0) != sizeof client.session) {
        die("getrandom", "session", errno);
    }
    return run(&client, &options);
}
