/* path: from a request's target to an open file below the root, and back into a URL. */
#ifndef PATH_H
#define PATH_H

#include <limits.h>
#include <stdbool.h>

#include "request.h"
#include "slice.h"

enum {
    PATH_ROOM = HEAD_LIMIT,  /* room for a decoded path */
    URL_ROOM = 3 * PATH_MAX, /* room for what open_beneath could open, encoded */
};

/* Turns TARGET, the path of a request's target, into PATH, a path below the root, which has no slash before
 * it and room for PATH_ROOM bytes. Returns 0, or the status of the answer that refuses it. */
int path_decode(struct slice target, char *path);

/* Is one of the names in PATH that of a dot file? They are nobody's business: .git, .env, .htpasswd. */
bool path_is_hidden(const char *path);

/* Opens PATH below the directory ROOT for reading, and nothing that is not below it. Never waits.
 * Returns a descriptor, which the caller closes, or -errno. */
int open_beneath(int root, const char *path);

/* The status that tells a peer that its file could not be opened because of ERROR. */
int status_of_error(int error);

/* Writes PATH into TEXT as part of a URL: slashes, and what is unreserved there (RFC 3986, section 2.3), as
 * they are, each other byte as %XX. Returns TEXT, which needs room for three times as much as PATH. */
const char *url_encode(const char *path, char *text);

#endif
