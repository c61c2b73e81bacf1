/* unix:PATH: sockets that have names in the file system (unix(7)). */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conn.h"

enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) };

static int unix_parse(struct endpoint *endpoint, const char *text)
{
    /* BEGIN SOLUTION */
    const char *path = text + strlen("unix:");
    const size_t length = strlen(path);
    if (length == 0) {
        return -EINVAL;
    }
    if (length >= sizeof endpoint->path.sun_path) { /* a path cut short would be another one */
        return -ENAMETOOLONG;
    }
    endpoint->path.sun_family = AF_UNIX;
    memcpy(endpoint->path.sun_path, path, length + 1);
    endpoint->length = (socklen_t)(PATH_AT + length + 1);
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // sun_family, sun_path, and how long both are together: unix(7)
    return text[0] == '\0' ? -EINVAL : -ENOSYS;
    */
}

static void unix_format(const struct endpoint *endpoint, char *text)
{
    /* BEGIN SOLUTION */
    if (endpoint->length <= PATH_AT) { /* who has dialled has no name, unless it has bound one */
        snprintf(text, ENDPOINT_TEXT, "unix:");
        return;
    }
    const int length = (int)strnlen(endpoint->path.sun_path, endpoint->length - PATH_AT);
    snprintf(text, ENDPOINT_TEXT, "unix:%.*s", length, endpoint->path.sun_path);
    /* END SOLUTION */
    /* STARTER:
    snprintf(text, ENDPOINT_TEXT, "unix:"); // the path, of which there is as much as endpoint->length says
    (void)endpoint;
    */
}

static int unix_dial(const struct endpoint *endpoint, int64_t deadline)
{
    /* BEGIN SOLUTION */
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -errno;
    }
    int error = 0;
    do { /* who was stopped and goes on has less time left */
        struct timeval left;
        error = time_left(deadline, &left);
        if (error == 0 && (setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left) < 0 ||
                           connect(descriptor, &endpoint->any, endpoint->length) < 0)) {
            error = errno == EAGAIN ? -ETIMEDOUT : -errno;
        }
    } while (error == -EINTR);
    if (error < 0) {
        close(descriptor);
        return error;
    }
    return descriptor;
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // a connect(2) that sleeps, as long as SO_SNDTIMEO says: time_left
    return deadline == 0 ? -EINVAL : -ENOSYS;
    */
}

/* Removes the socket at ENDPOINT if nobody listens there any more: a server that was killed has left it.
 * Other files, and sockets with somebody behind them, stay. */
static void remove_stale(const struct endpoint *endpoint)
{
    /* BEGIN SOLUTION */
    struct stat found;
    const char *path = endpoint->path.sun_path;
    if (lstat(path, &found) < 0 || !S_ISSOCK(found.st_mode)) {
        return;
    }
    int probe = unix_dial(endpoint, now_ms() + 500); /* who is there and busy is there */
    if (probe >= 0) {
        close(probe);
    } else if (probe == -ECONNREFUSED) {
        unlink(path); /* if that fails bind(2) will say so */
    }
    /* END SOLUTION */
    /* STARTER:
    struct stat found; // a socket that refuses connections: lstat(2), unix_dial, unlink(2)
    (void)lstat(endpoint->path.sun_path, &found);
    */
}

static int unix_listen(struct endpoint *endpoint, const char **call)
{
    /* BEGIN SOLUTION */
    remove_stale(endpoint);
    *call = "socket";
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        return -errno;
    }
    *call = "bind";
    int result = bind(listener, &endpoint->any, endpoint->length);
    if (result == 0) {
        *call = "listen";
        result = listen(listener, SOMAXCONN);
    }
    if (result < 0) {
        result = -errno;
        close(listener);
        return result;
    }
    return listener;
    /* END SOLUTION */
    /* STARTER:
    remove_stale(endpoint); // socket(2), bind(2), listen(2)
    *call = "unix_listen";
    return -ENOSYS;
    */
}

const struct transport transport_unix = {
    .prefix = "unix:",
    .parse = unix_parse,
    .format = unix_format,
    .listen = unix_listen,
    .dial = unix_dial,
};
