/* http-client: asks an HTTP/1.1 server for one resource, writes it to standard output or into a file, and
 * says with its exit status what has become of it. What is not whole is never taken for whole.
 *
 * The lesson is in README.md beside this file.
 */

#define _GNU_SOURCE /* O_TMPFILE */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "body.h"
#include "connection.h"
#include "fail.h"
#include "response.h"
#include "url.h"

enum {
    REDIRECT_LIMIT = 5, /* redirects that are followed, one after another */
};

struct options {
    const char *url;
    const char *file;   /* NULL: standard output */
    bool include_head;  /* write the head before the body */
    int64_t timeout_ms; /* how long to wait for the head, and for each PROGRESS_BYTES of body */
};

/* Reads a number of seconds as chapter 02 does. Returns milliseconds. */
static int64_t parse_timeout(const char *text)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    const bool plain = text[strspn(text, "0123456789.")] == '\0';
    if (!plain || end == text || *end != '\0' || seconds < 0.001 || seconds > 86400.0) {
        usage_error("not a number of seconds from 0.001 to 86400", text);
    }
    return (int64_t)(seconds * 1000.0);
}

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "http-client";
    static const struct option known[] = {
        {"include", no_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.timeout_ms = 10000};
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "io:", known, NULL)) != -1;) {
        switch (option) {
        case 'i':
            options.include_head = true;
            break;
        case 'o':
            options.file = optarg;
            break;
        case 't':
            options.timeout_ms = parse_timeout(optarg);
            break;
        case 'h':
            puts("usage: http-client [-i|--include] [-o|--output FILE] [--timeout SECONDS] URL");
            exit(EXIT_SUCCESS);
        default: /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (optind + 1 != argc) {
        usage_error("one URL is needed", optind < argc ? argv[optind + 1] : "");
    }
    options.url = argv[optind];
    return options;
}

/* Sends the request for URL. Returns EXIT_SUCCESS or the status to exit with. */
static int request_send(struct connection *connection, const struct url *url)
{
    char authority[HOST_LIMIT + 10];
    char request[URL_LIMIT + 1024];
    /* BEGIN SOLUTION */
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\n"
                          "Host: %s\r\n"
                          "User-Agent: groundup-http-client/1\r\n"
                          "Accept: */*\r\n"
                          "Connection: close\r\n"
                          "\r\n",
                          url->target, url_authority(url, authority, sizeof authority));
    int error = connection_send(connection, request, (size_t)length);
    /* END SOLUTION */
    /* STARTER:
    // the request line, Host, User-Agent, Accept, Connection: close, the blank line
    int length = snprintf(request, sizeof request, "%s", url_authority(url, authority, sizeof authority));
    int error = connection_send(connection, request, (size_t)length);
    */
    return error < 0 ? fail_broken(connection, "send", error) : EXIT_SUCCESS;
}

/* Does the response send the client elsewhere (RFC 9110, section 15.4)? */
static bool is_redirect(const struct response *response)
{
    /* BEGIN SOLUTION */
    switch (response->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return response->location != NULL;
    default:
        return false;
    }
    /* END SOLUTION */
    /* STARTER:
    return response->location != NULL && response->status == 0;
    */
}

/* Writes the final response, whose head is at bytes[begin], to OUTPUT. Returns EXIT_SUCCESS if it was whole
 * and its status is under 400, else the status to exit with. */
static int response_deliver(struct connection *connection, const struct response *response,
                            const struct options *options, const struct output *output)
{
    enum framing framing = FRAMING_NONE;
    const char *why = framing_of(response, &framing);
    if (why != NULL) {
        return fail_malformed(connection, why);
    }
    int status = EXIT_SUCCESS;
    if (options->include_head) {
        status = output_write(output, connection->bytes + connection->begin, response->head_length);
    }
    connection->begin += response->head_length;
    if (status == EXIT_SUCCESS) {
        status = body_receive(connection, framing, response->length, output);
    }
    if (status != EXIT_SUCCESS || response->status < 400) {
        return status;
    }
    char text[32];
    snprintf(text, sizeof text, "the status is %d", response->status);
    return fail(EXIT_STATUS, connection->host, text);
}

/* Has one conversation, about URL. If the answer is a redirect, sets NEXT to where it leads and REDIRECTED to
 * true. Returns EXIT_SUCCESS or the status to exit with. */
static int exchange(const struct url *url, const struct options *options, const struct output *output,
                    struct url *next, bool *redirected)
{
    struct connection connection = {.fd = -1, .host = url->host, .timeout_ms = options->timeout_ms};
    struct response response = {0};
    int status = connection_open(&connection, url);
    if (status != EXIT_SUCCESS) {
        return status;
    }
    status = request_send(&connection, url);
    if (status == EXIT_SUCCESS) {
        status = response_receive(&connection, &response);
    }
    *redirected = status == EXIT_SUCCESS && is_redirect(&response);
    if (*redirected) {
        const char *why = url_resolve(next, url, response.location);
        status = why == NULL ? EXIT_SUCCESS : fail(EXIT_RESPONSE, "redirect", why);
    } else if (status == EXIT_SUCCESS) {
        status = response_deliver(&connection, &response, options, output);
    }
    close(connection.fd); /* it was only read from: nothing can be lost by an error here */
    return status;
}

/* Asks for URL, and for what it redirects to. Returns as exchange does. */
static int fetch(struct url *url, const struct options *options, const struct output *output)
{
    /* BEGIN SOLUTION */
    for (int redirects = 0; redirects <= REDIRECT_LIMIT; redirects++) {
        struct url next = {0};
        bool redirected = false;
        int status = exchange(url, options, output, &next, &redirected);
        if (status != EXIT_SUCCESS || !redirected) {
            return status;
        }
        *url = next;
    }
    return fail(EXIT_REDIRECTS, url->host, "too many redirects");
    /* END SOLUTION */
    /* STARTER:
    struct url next = {0};
    bool redirected = false;
    return exchange(url, options, output, &next, &redirected);
    */
}

/* BEGIN SOLUTION */
/* Returns how much of PATH says the directory, with the slash behind it. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* END SOLUTION */
/* STARTER: */
/* Opens what the body is to be written to: standard output, or a file that has no name yet in the directory
 * of PATH (O_TMPFILE in open(2)). What is there and no regular file, such as /dev/null, is written to as it
 * is. Returns EXIT_SUCCESS or the status to exit with. */
static int output_open(struct output *output, const char *path)
{
    *output = (struct output){.fd = STDOUT_FILENO};
    if (path == NULL) {
        return EXIT_SUCCESS;
    }
    /* BEGIN SOLUTION */
    struct stat found = {.st_mode = S_IFREG};
    if (stat(path, &found) < 0 && errno != ENOENT) {
        return fail_call(EXIT_FAILURE, "stat", path, errno);
    }
    if (!S_ISREG(found.st_mode)) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC);
        return output->fd < 0 ? fail_call(EXIT_FAILURE, "open", path, errno) : EXIT_SUCCESS;
    }
    char *directory = NULL;
    if (asprintf(&directory, "%.*s.", (int)directory_length(path), path) < 0) {
        return fail_call(EXIT_FAILURE, "asprintf", path, ENOMEM);
    }
    output->path = path;
    output->fd = open(directory, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
    int status = output->fd < 0 ? fail_call(EXIT_FAILURE, "open", directory, errno) : EXIT_SUCCESS;
    free(directory);
    return status;
    /* END SOLUTION */
    /* STARTER:
    output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); // and if the rest does not come?
    return output->fd < 0 ? fail_call(EXIT_FAILURE, "open", path, errno) : EXIT_SUCCESS;
    */
}

/* BEGIN SOLUTION */
/* Gives the file that can be reached as NAMELESS the name of one that is there. linkat(2) replaces nothing,
 * and rename(2) gives no first name, so both are needed; between them no signal may leave the first name
 * behind. */
static int output_replace(const struct output *output, const char *nameless)
{
    char *beside = NULL;
    if (asprintf(&beside, "%.*s.http-client.%ld", (int)directory_length(output->path), output->path,
                 (long)getpid()) < 0) {
        return fail_call(EXIT_FAILURE, "asprintf", output->path, ENOMEM);
    }
    sigset_t deadly;
    sigset_t before;
    sigemptyset(&deadly);
    sigaddset(&deadly, SIGTERM);
    sigaddset(&deadly, SIGINT);
    sigprocmask(SIG_BLOCK, &deadly, &before);
    int status = EXIT_SUCCESS;
    if (linkat(AT_FDCWD, nameless, AT_FDCWD, beside, AT_SYMLINK_FOLLOW) < 0) {
        status = fail_call(EXIT_FAILURE, "linkat", beside, errno);
    } else if (rename(beside, output->path) < 0) {
        status = fail_call(EXIT_FAILURE, "rename", output->path, errno);
        unlink(beside);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(beside);
    return status;
}

/* END SOLUTION */
/* STARTER: */
/* Gives the file, which is whole now, its name; a file that has this name already is replaced in the same
 * moment. */
static int output_commit(const struct output *output)
{
    /* BEGIN SOLUTION */
    char nameless[64];
    snprintf(nameless, sizeof nameless, "/proc/self/fd/%d", output->fd);
    if (output->path == NULL || linkat(AT_FDCWD, nameless, AT_FDCWD, output->path, AT_SYMLINK_FOLLOW) == 0) {
        return EXIT_SUCCESS;
    }
    return errno == EEXIST ? output_replace(output, nameless)
                           : fail_call(EXIT_FAILURE, "linkat", output->path, errno);
    /* END SOLUTION */
    /* STARTER:
    (void)output; // linkat(2), and rename(2) where there is such a file already
    return EXIT_SUCCESS;
    */
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    struct url url = {0};
    const char *why = url_parse(&url, options.url);
    if (why != NULL) {
        return fail(EXIT_USAGE, "URL", why); /* which is not repeated: it may hold a line feed, or worse */
    }
    struct output output;
    int status = output_open(&output, options.file);
    if (status == EXIT_SUCCESS) {
        status = fetch(&url, &options, &output);
    }
    if (status == EXIT_SUCCESS || status == EXIT_STATUS) {
        int committed = output_commit(&output);
        const char *name = options.file == NULL ? "output" : options.file;
        if (committed == EXIT_SUCCESS && close(output.fd) < 0) { /* NFS reports some errors only now */
            committed = fail_call(EXIT_FAILURE, "close", name, errno);
        }
        status = committed == EXIT_SUCCESS ? status : committed;
    }
    return status;
}
