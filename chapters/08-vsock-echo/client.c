#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

enum { PIECE = 65536 }; /* bytes to read, send and receive at once */

/* A conversation: what was read from INPUT and not been sent yet is bytes[begin] to bytes[end - 1]. */
struct exchange {
    int input;
    int connection;
    const char *peer;
    bool input_ended;
    bool peer_ended;
    uint64_t sent;
    uint64_t received;
    size_t begin, end;
    char bytes[PIECE];
};

/* Writes all SIZE bytes of DATA to standard output. Returns EXIT_SUCCESS or the status to exit with. */
static int output_write(const char *data, size_t size)
{
    for (size_t written = 0; written < size;) {
        ssize_t n = write(STDOUT_FILENO, data + written, size - written);
        if (n < 0 && errno != EINTR) {
            report("write", "standard output", errno);
            return EXIT_FAILURE;
        }
        written += n < 0 ? 0 : (size_t)n;
    }
    return EXIT_SUCCESS;
}

/* Reads the next piece of input; at its end tells the peer that no more will come. Returns EXIT_SUCCESS or
 * the status to exit with. */
static int input_read(struct exchange *exchange)
{
    /* BEGIN SOLUTION */
    ssize_t n = read(exchange->input, exchange->bytes, sizeof exchange->bytes);
    if (n < 0 && errno != EINTR) {
        report("read", "input", errno);
        return EXIT_FAILURE;
    }
    exchange->begin = 0;
    exchange->end = n < 0 ? 0 : (size_t)n;
    exchange->input_ended = n == 0;
    if (n == 0 && shutdown(exchange->connection, SHUT_WR) < 0 && errno != ENOTCONN) {
        report("shutdown", exchange->peer, errno); /* ENOTCONN: the peer is gone, which recv(2) will tell */
        return EXIT_BROKEN;
    }
    return EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    exchange->input_ended = true; // read(2); and at its end, shutdown(2)
    return EXIT_SUCCESS;
    */
}

/* Sends as much as the peer has given credit for, without waiting. Returns as input_read. */
static int send_some(struct exchange *exchange)
{
    /* BEGIN SOLUTION */
    ssize_t n = send(exchange->connection, exchange->bytes + exchange->begin, exchange->end - exchange->begin,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        report("send", exchange->peer, errno);
        return EXIT_BROKEN;
    }
    exchange->begin += n < 0 ? 0 : (size_t)n;
    exchange->sent += n < 0 ? 0 : (uint64_t)n;
    return EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    exchange->begin = exchange->end; // send(2) with MSG_DONTWAIT: it takes what there is room for
    return EXIT_SUCCESS;
    */
}

/* Receives what has come back, and writes it out. Returns as input_read. */
static int receive_some(struct exchange *exchange)
{
    /* BEGIN SOLUTION */
    char bytes[PIECE];
    ssize_t n = recv(exchange->connection, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return EXIT_SUCCESS;
    }
    if (n < 0) {
        report("recv", exchange->peer, errno);
        return EXIT_BROKEN;
    }
    exchange->peer_ended = n == 0;
    exchange->received += (uint64_t)n;
    return output_write(bytes, (size_t)n);
    /* END SOLUTION */
    /* STARTER:
    exchange->peer_ended = true; // recv(2) with MSG_DONTWAIT
    return output_write("", 0);
    */
}

/* Does whatever can be done without waiting. Returns as input_read; -1 if TIMEOUT has passed and nothing
 * could. */
static int step(struct exchange *exchange, int timeout_ms)
{
    /* BEGIN SOLUTION */
    const bool pending = exchange->begin < exchange->end;
    const bool waits_for_input = !pending && !exchange->input_ended;
    const bool owed = pending || exchange->input_ended || exchange->received < exchange->sent;
    struct pollfd polled[2] = {
        {.fd = exchange->connection, .events = (short)(POLLIN | (pending ? POLLOUT : 0))},
        {.fd = waits_for_input ? exchange->input : -1, .events = POLLIN},
    };
    int ready = poll(polled, 2, owed ? timeout_ms : -1);
    if (ready < 0 && errno != EINTR) {
        report("poll", exchange->peer, errno);
        return EXIT_FAILURE;
    }
    if (ready <= 0) {
        return ready == 0 ? -1 : EXIT_SUCCESS;
    }
    int status = EXIT_SUCCESS;
    if ((polled[0].revents & ~POLLOUT) != 0) { /* POLLHUP and POLLERR as well: the read says what it is */
        status = receive_some(exchange);
    }
    if (status == EXIT_SUCCESS && !exchange->peer_ended && (polled[0].revents & POLLOUT) != 0) {
        status = send_some(exchange);
    }
    if (status == EXIT_SUCCESS && polled[1].revents != 0) {
        status = input_read(exchange);
    }
    return status;
    /* END SOLUTION */
    /* STARTER:
    (void)timeout_ms; // poll(2): what is there to read, room to send, or time that is up?
    int status = input_read(exchange);
    if (status == EXIT_SUCCESS) {
        status = send_some(exchange);
    }
    return status == EXIT_SUCCESS ? receive_some(exchange) : status;
    */
}

/* Sends and receives until the peer ends its stream. Returns the status to exit with. */
static int exchange_run(struct exchange *exchange, int timeout_ms)
{
    while (!exchange->peer_ended) {
        int status = step(exchange, timeout_ms);
        if (status == -1) {
            give_up(exchange->peer, "silent for too long");
            return EXIT_TIMED_OUT;
        }
        if (status != EXIT_SUCCESS) {
            return status;
        }
    }
    /* BEGIN SOLUTION */
    const bool pending = exchange->begin < exchange->end;
    if (!exchange->input_ended || pending || exchange->received != exchange->sent) {
        char why[128]; /* two numbers of 20 digits, and the words */
        snprintf(why, sizeof why, "the stream ended after %ju bytes, where %s%ju were sent",
                 (uintmax_t)exchange->received, exchange->input_ended && !pending ? "" : "more than ",
                 (uintmax_t)exchange->sent);
        give_up(exchange->peer, why);
        return EXIT_BROKEN;
    }
    return EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    return EXIT_SUCCESS; // is that all? recv(2) returns 0 at the end, and after a reset as well
    */
}

/* Says why there is no connection to PEER. Returns the status to exit with. */
static int fail_dial(const char *peer, int error)
{
    report("connect", peer, error);
    /* BEGIN SOLUTION */
    switch (error) {
    case ETIMEDOUT:
        return EXIT_TIMED_OUT;
    case ECONNRESET:
        return EXIT_NOBODY;
    case ENODEV:
        return EXIT_NO_DEVICE;
    default:
        return EXIT_FAILURE;
    }
    /* END SOLUTION */
    /* STARTER:
    return EXIT_FAILURE; // ECONNRESET, ENODEV and ETIMEDOUT are three different things
    */
}

int client_run(const struct sockaddr_vm *address, int input, const struct timeval *timeout)
{
    char peer[VSOCK_TEXT];
    struct exchange exchange = {.input = input, .peer = vsock_format(address, peer)};
    do {
        exchange.connection = vsock_dial(address, timeout);
    } while (exchange.connection == -EINTR); /* it was stopped, and goes on: ask anew */
    if (exchange.connection < 0) {
        return fail_dial(peer, -exchange.connection);
    }
    int status = exchange_run(&exchange, (int)(timeout->tv_sec * 1000 + (timeout->tv_usec + 999) / 1000));
    close(exchange.connection); /* what was to be sent has come back, or is lost already */
    return status;
}
