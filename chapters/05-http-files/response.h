/* response: status line, fields, and content that is in memory. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <sys/types.h>

#include "connection.h"

enum { FIELDS_ROOM = 512 }; /* room for the fields of a response that tell about a file */

/* What every response begins with. */
struct response {
    int status;
    const char *fields; /* lines besides those that every response has, each with its line end */
    const char *type;   /* the content's media type; NULL: neither a type nor a length is told */
    off_t length;       /* bytes of content */
};

bool asks_head(const struct connection *connection);

/* Sends the head of RESPONSE to the request that was read last. Returns false if the peer is gone. */
bool send_head(const struct connection *connection, const struct response *response);

/* Sends a response whose CONTENT is in memory: the head alone to HEAD. Returns false if the peer is gone. */
bool respond(const struct connection *connection, const struct response *response, const char *content);

/* Sends a response whose content only says its status in words. */
bool respond_status(const struct connection *connection, int status, const char *fields);

#endif
