#include "connection.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"

enum {
    ATTEMPTS = 8,             /* addresses that are tried at the same time */
    LEAST_HEAD_START_MS = 10, /* before the next address is tried as well (RFC 8305, section 5): no less, */
    MOST_HEAD_START_MS = 250, /* and no more, whatever time there is */
};

int64_t now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now); /* fails for an unknown clock alone */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* BEGIN SOLUTION */
/* Waits until poll(2) has something to say of one of COUNT descriptors. Returns a number above zero then, 0
 * when UNTIL has come, even if there were something to say by now, -errno if poll fails. */
static int wait_until(struct pollfd *polled, int count, int64_t until)
{
    for (;;) {
        const int64_t left = until - now_ms();
        int ready = left > 0 ? poll(polled, (nfds_t)count, (int)left) : 0; /* what is there now is late */
        if (ready >= 0 || errno != EINTR) {
            return ready < 0 ? -errno : ready;
        }
    }
}

/* Connections that are being made, to different addresses of one host. */
struct race {
    int count;
    struct pollfd polled[ATTEMPTS];
    int64_t head_start; /* of each before the next, in milliseconds */
    int64_t turn;       /* when the next address may be tried */
    int error;          /* why the last one failed */
};

/* Returns the head start: a share of the time that is left for each address in the list, and one for the
 * fetch. */
static int64_t head_start(const struct addrinfo *next, int64_t left)
{
    int64_t shares = 1;
    for (; next != NULL; next = next->ai_next) {
        shares++;
    }
    const int64_t share = left / shares;
    return share < LEAST_HEAD_START_MS  ? LEAST_HEAD_START_MS
           : share > MOST_HEAD_START_MS ? MOST_HEAD_START_MS
                                        : share;
}

/* Takes one out, and returns its descriptor; the others stay in the order of their addresses. */
static int race_remove(struct race *race, int at)
{
    const int fd = race->polled[at].fd;
    race->count--;
    memmove(race->polled + at, race->polled + at + 1, (size_t)(race->count - at) * sizeof race->polled[0]);
    return fd;
}

/* Takes out one that has failed, and has the next address tried at once. */
static void race_drop(struct race *race, int at, int error)
{
    close(race_remove(race, at));
    race->error = error;
    race->turn = 0;
}

/* Begins to connect to ADDRESS. */
static void race_enter(struct race *race, const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        race->error = errno;
        return;
    }
    race->polled[race->count++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    race->turn = now_ms() + race->head_start;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
        race_drop(race, race->count - 1, errno);
    }
}

/* Drops those that have failed. Returns the descriptor of the first that is connected, -1 if none is yet. */
static int race_look(struct race *race)
{
    for (int at = 0; at < race->count;) {
        int error = 0;
        socklen_t length = sizeof error;
        if (race->polled[at].revents == 0) {
            at++;
            continue;
        }
        if (getsockopt(race->polled[at].fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) {
            error = errno;
        }
        if (error == 0) {
            return race_remove(race, at);
        }
        race_drop(race, at, error);
    }
    return -1;
}

/* END SOLUTION */
/* STARTER: */
/* Connects to one of the addresses in the list that begins with NEXT: in their order, the next one as soon as
 * the one before has failed, or has not answered for a while. Returns the descriptor, which does not block,
 * or -errno. */
static int connect_any(const struct addrinfo *next, int64_t deadline)
{
    /* BEGIN SOLUTION */
    struct race race = {.head_start = head_start(next, deadline - now_ms()), .error = EADDRNOTAVAIL};
    int winner = -1;
    while (winner < 0 && (next != NULL || race.count > 0)) {
        if (now_ms() >= deadline) {
            race.error = ETIMEDOUT;
            break;
        }
        if (next != NULL && race.count < ATTEMPTS && now_ms() >= race.turn) {
            race_enter(&race, next);
            next = next->ai_next;
            continue;
        }
        const bool more = next != NULL && race.count < ATTEMPTS && race.turn < deadline;
        int ready = wait_until(race.polled, race.count, more ? race.turn : deadline);
        if (ready < 0) {
            race.error = -ready;
            break;
        }
        winner = race_look(&race);
    }
    while (race.count > 0) {
        close(race.polled[--race.count].fd);
    }
    return winner < 0 ? -race.error : winner;
    /* END SOLUTION */
    /* STARTER:
    (void)next; // socket(2) with SOCK_NONBLOCK, connect(2), poll(2), SO_ERROR; then the next address
    (void)deadline;
    return -ENOSYS;
    */
}

/* Finds the addresses of the host, which the caller frees with freeaddrinfo. Returns EXIT_SUCCESS or the
 * status to exit with. */
static int resolve(const struct url *url, struct addrinfo **addresses)
{
    /* BEGIN SOLUTION */
    char port[8];
    snprintf(port, sizeof port, "%u", url->port);
    /* No AI_ADDRCONFIG: an address to which there is no way from here fails at once, and the next is tried.
     */
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int error = getaddrinfo(url->host, port, &hints, addresses);
    if (error == EAI_SYSTEM) {
        return fail_call(EXIT_UNREACHABLE, "getaddrinfo", url->host, errno);
    }
    return error != 0 ? fail(EXIT_UNREACHABLE, url->host, gai_strerror(error)) : EXIT_SUCCESS;
    /* END SOLUTION */
    /* STARTER:
    *addresses = NULL; // getaddrinfo(3), and gai_strerror(3) where it fails
    return fail(EXIT_UNREACHABLE, url->host, "resolve is not written yet");
    */
}

int connection_open(struct connection *connection, const struct url *url)
{
    struct addrinfo *addresses = NULL;
    int status = resolve(url, &addresses);
    if (status != EXIT_SUCCESS) {
        return status;
    }
    connection->deadline = now_ms() + connection->timeout_ms;
    connection->fd = connect_any(addresses, connection->deadline);
    freeaddrinfo(addresses);
    if (connection->fd == -ETIMEDOUT && now_ms() >= connection->deadline) {
        return fail(EXIT_TIMED_OUT, url->host, "no connection in time");
    }
    return connection->fd < 0 ? fail_call(EXIT_UNREACHABLE, "connect", url->host, -connection->fd)
                              : EXIT_SUCCESS;
}

/* BEGIN SOLUTION */
/* Waits until the connection is ready for EVENTS. Returns 0, -ETIMEDOUT at the deadline, -errno if poll
 * fails. */
static int connection_wait(const struct connection *connection, short events)
{
    struct pollfd polled = {.fd = connection->fd, .events = events};
    int ready = wait_until(&polled, 1, connection->deadline);
    return ready > 0 ? 0 : ready < 0 ? ready : -ETIMEDOUT;
}

/* END SOLUTION */
/* STARTER: */
int connection_send(struct connection *connection, const char *data, size_t size)
{
    /* BEGIN SOLUTION */
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(connection->fd, data + sent, size - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) { /* the kernel's buffer is full */
            int error = connection_wait(connection, POLLOUT);
            if (error < 0) {
                return error;
            }
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // as send_all of chapter 02, on a descriptor that does not block: poll(2) after EAGAIN
    (void)data;
    (void)size;
    return -ENOSYS;
    */
}

ssize_t connection_fill(struct connection *connection)
{
    /* BEGIN SOLUTION */
    if (connection->begin == connection->end) {
        connection->begin = connection->end = 0;
    }
    for (;;) {
        int error = connection_wait(connection, POLLIN);
        if (error < 0) {
            return error;
        }
        ssize_t n = recv(connection->fd, connection->bytes + connection->end,
                         sizeof connection->bytes - connection->end, 0);
        if (n >= 0) {
            connection->end += (size_t)n;
            return n;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    /* END SOLUTION */
    /* STARTER:
    (void)connection; // poll(2) until the deadline, then recv(2)
    return -ENOSYS;
    */
}

int fail_broken(const struct connection *connection, const char *call, ssize_t result)
{
    if (result == -ETIMEDOUT) {
        return fail(EXIT_TIMED_OUT, connection->host, "the time is up, and the response is not whole");
    }
    if (result == 0) {
        return fail(EXIT_RESPONSE, connection->host,
                    "the connection was closed before the response was whole");
    }
    return fail_call(EXIT_RESPONSE, call, connection->host, (int)-result);
}

int fail_malformed(const struct connection *connection, const char *why)
{
    char text[128];
    snprintf(text, sizeof text, "malformed response: %s", why);
    return fail(EXIT_RESPONSE, connection->host, text);
}
