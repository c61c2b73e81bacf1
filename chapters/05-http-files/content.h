/* content: the bytes of a file in an answer, all of them or parts. */
#ifndef CONTENT_H
#define CONTENT_H

#include <stdbool.h>

#include "conditions.h"
#include "connection.h"

/* The media type of the file at PATH: its name's last suffix says it, in upper or lower case. */
const char *media_type(const char *path);

/* Answers with RESOURCE, or with what the request's ranges make of it. Returns false if the peer is gone, or
 * if not all could be sent that was promised. */
bool respond_resource(const struct connection *connection, const struct resource *resource);

#endif
