#define _GNU_SOURCE /* syscall(2) */
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN_ATTEMPTS = 8 };

int path_decode(struct slice target, char *path)
{
    /* BEGIN SOLUTION */
    while (target.length > 0 && target.start[0] == '/') {
        target = slice_from(target, 1);
    }
    while (target.length > 0) {
        size_t byte = (unsigned char)target.start[0];
        const size_t taken = byte == '%' ? 3 : 1;
        if (taken > target.length) {
            return 400;
        }
        if (byte == '%' && !slice_number((struct slice){target.start + 1, 2}, 16, &byte)) {
            return 400; /* no two hexadecimal digits */
        }
        if (byte == '\0') {
            return 400; /* the end of the path, to every call that takes one, but not to this request */
        }
        if (byte == '/' && taken == 3) {
            return 404; /* a slash within a name: no file has one */
        }
        *path++ = (char)byte; /* and it is not looked at again: %2541 means the three letters %41 */
        target = slice_from(target, taken);
    }
    *path = '\0';
    return 0;
    /* END SOLUTION */
    /* STARTER:
    (void)target; // without the slashes before it; each %XX is the byte with that number (slice_number)
    path[0] = '\0';
    return 404;
    */
}

bool path_is_hidden(const char *path)
{
    while (*path != '\0') {
        const size_t length = strcspn(path, "/");
        const bool directory = length <= 2 && strspn(path, ".") == length; /* "." and "..": the kernel's */
        if (path[0] == '.' && !directory) {
            return true;
        }
        path += length;
        path += strspn(path, "/");
    }
    return false;
}

int open_beneath(int root, const char *path)
{
    /* BEGIN SOLUTION */
    const struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, /* to open a FIFO is to wait for its writer */
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        long file = syscall(SYS_openat2, root, path[0] == '\0' ? "." : path, &how, sizeof how);
        if (file >= 0) {
            return (int)file;
        }
        if (errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
    }
    return -EAGAIN; /* somebody renames directories, again and again, while ".." is being followed */
    /* END SOLUTION */
    /* STARTER:
    (void)root; // openat2(2), by syscall(2), as the C library has no function for it
    (void)path;
    return -ENOENT;
    */
}

int status_of_error(int error)
{
    /* BEGIN SOLUTION */
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV: /* it leads out of the root, where there is nothing for a peer */
        return 404;
    case EACCES:
    case EPERM:
    case ENXIO:  /* a socket */
    case ENODEV: /* a device that is not there */
    case EBUSY:  /* a device that somebody else has */
        return 403;
    default:
        return 500;
    }
    /* END SOLUTION */
    /* STARTER:
    return error == ENOENT ? 404 : 500; // which of them are the peer's mistake, and which are ours?
    */
}

const char *url_encode(const char *path, char *text)
{
    char *end = text;
    for (; *path != '\0'; path++) {
        /* BEGIN SOLUTION */
        if (!is_alphanumeric(*path) && !is_one_of(*path, "-._~/")) {
            end += sprintf(end, "%%%02X", (unsigned char)*path);
            continue;
        }
        /* END SOLUTION */
        /* STARTER: // a name may have a ? in it, or a %, or a quotation mark */
        *end++ = *path;
    }
    *end = '\0';
    return text;
}
