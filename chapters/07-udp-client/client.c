#define _GNU_SOURCE /* ppoll(2) */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

enum { NS_PER_S = 1000000000 };

/* A message that is waited for: which, and when its transmissions went out. */
struct question {
    uint32_t number;
    uint32_t transmissions;
    int64_t sent_at[TRIES_LIMIT];
};

static int64_t now_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now); /* fails for an unknown clock alone */
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

void client_begin(struct client *client, const struct addrinfo *address)
{
    union address server = {.any = {0}};
    memcpy(&server, address->ai_addr, address->ai_addrlen);
    address_format("udp", &server, client->server, sizeof client->server);
    client->statistics = (struct statistics){0};
}

int client_connect(struct client *client, const struct addrinfo *address)
{
    /* BEGIN SOLUTION */
    client->fd = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        if (errno != EAFNOSUPPORT) { /* a machine without IPv6; all else is about this program */
            die("socket", "SOCK_DGRAM", errno);
        }
        return -errno;
    }
    if (connect(client->fd, address->ai_addr, address->ai_addrlen) < 0) {
        int error = errno;
        close(client->fd);
        return -error;
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)address;
    client->fd = -1; // socket(2) with SOCK_DGRAM, connect(2)
    return -ENOSYS;
    */
}

/* Sends QUESTION once more. Returns 0 or -errno. */
static int send_once(struct client *client, struct question *question)
{
    /* BEGIN SOLUTION */
    struct message message = {client->session, question->number, question->transmissions + 1};
    message_write(&message, client->bytes, client->size);
    question->sent_at[question->transmissions++] = now_ns();
    /* Not to sleep: a send that waits for room would use up the time, and know no end of it. */
    if (send(client->fd, client->bytes, client->size, MSG_DONTWAIT) >= 0) {
        client->statistics.sent++;
        return 0;
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        return 0; /* there is no room: lost before the wire, and not after, it will be sent again */
    }
    return -errno; /* perhaps about what was sent earlier: ECONNREFUSED waits for the next call */
    /* END SOLUTION */
    /* STARTER:
    question->sent_at[question->transmissions++] = now_ns(); // message_write, send(2), and count
    return client->fd < 0 ? -ENOSYS : 0;
    */
}

/* BEGIN SOLUTION */
/* Sleeps until there may be something to receive, or an error to fetch. Returns true then, false when UNTIL
 * has come. */
static bool wait_until(int fd, int64_t until)
{
    const int64_t left = until - now_ns();
    if (left <= 0) {
        return false;
    }
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    const struct timespec limit = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
    if (ppoll(&polled, 1, &limit, NULL) < 0 && errno != EINTR) {
        die("ppoll", "socket", errno);
    }
    return true; /* also when the time was up: the next call will say so */
}

/* Looks at the LENGTH bytes that have come. Returns true if they answer QUESTION. */
static bool is_answer(struct client *client, const struct question *question, size_t length)
{
    struct message message;
    if (!message_read(&message, client->bytes, length, client->size) || message.session != client->session ||
        message.number == 0 || message.number > question->number || message.transmission == 0 ||
        message.transmission > client->tries) {
        client->statistics.strange++;
        return false;
    }
    if (message.number < question->number) {
        client->statistics.late++;
        return false;
    }
    if (message.transmission > question->transmissions) {
        client->statistics.strange++; /* an answer to what was not asked yet */
        return false;
    }
    const int64_t took = now_ns() - question->sent_at[message.transmission - 1];
    statistics_answer(&client->statistics, took);
    printf("%zu bytes from %s: message=%u transmission=%u time=%.3f ms\n", length, client->server,
           message.number, message.transmission, (double)took / 1e6);
    return true;
}

/* END SOLUTION */
/* STARTER: */
/* Waits for the answer to QUESTION until UNTIL. Returns 1 when it is there, 0 when the time is up, -errno if
 * the server, or somebody on the way, has said that there will be none, and the kernel has passed it on. */
static int await_answer(struct client *client, const struct question *question, int64_t until)
{
    /* BEGIN SOLUTION */
    while (wait_until(client->fd, until)) {
        ssize_t n = recv(client->fd, client->bytes, sizeof client->bytes, MSG_DONTWAIT);
        if (n >= 0 && is_answer(client, question, (size_t)n)) {
            return 1;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)client; // ppoll(2) until UNTIL, recv(2): an answer, a late one, a stranger's, an error?
    (void)question;
    (void)until;
    return 0;
    */
}

/* Asks one message: sends it, waits, sends it again and waits twice as long. Returns 1 if it was answered, 0
 * if it is given up, or -errno. */
static int ask(struct client *client, uint32_t number)
{
    struct question question = {.number = number};
    /* BEGIN SOLUTION */
    /* Waits of w, 2w, 4w, … : all of them together are (2^tries - 1) w. */
    int64_t wait = client->timeout_ns / ((1 << client->tries) - 1);
    int64_t until = now_ns();
    for (unsigned i = 0; i < client->tries; i++, wait *= 2) {
        int result = send_once(client, &question);
        until += wait;
        if (result == 0) {
            result = await_answer(client, &question, until);
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    int result = send_once(client, &question); // and if it, or its answer, is lost?
    return result < 0 ? result : await_answer(client, &question, now_ns() + client->timeout_ns);
    */
}

int client_ask_all(struct client *client, uint32_t count)
{
    for (uint32_t number = 1; number <= count; number++) {
        client->statistics.messages++;
        int result = ask(client, number);
        if (result < 0) {
            client->statistics.lost++;
            return result;
        }
        if (result == 0) {
            client->statistics.lost++;
            printf("message=%u lost\n", number);
        }
    }
    return 0;
}
