/* conditions: what a request says about the file that it asks for (RFC 9110, section 13). */
#ifndef CONDITIONS_H
#define CONDITIONS_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "connection.h"

enum { TAG_TEXT = 80 }; /* room for an entity-tag */

/* A file as it was when it was opened. All of an answer is made from this one look at it. */
struct resource {
    int file;           /* its descriptor, which belongs to whoever opened it; -1: a page made just now */
    off_t size;         /* in bytes */
    time_t modified;    /* never later than the answer's date (RFC 9110, section 8.8.2.1) */
    const char *type;   /* its media type */
    char tag[TAG_TEXT]; /* its strong entity-tag, with the quotes; "": it has neither a tag nor a date */
};

/* Writes the entity-tag of the file that STATUS describes into TAG, of TAG_TEXT bytes: another one for each
 * content. */
void tag_format(const struct stat *status, char *tag);

/* Puts the value of the request's field NAME into VALUE, of HEAD_LIMIT bytes; those of several such fields
 * with commas between them (RFC 9110, section 5.3). Returns false if there is none. */
bool request_field(const struct connection *connection, const char *name, char *value);

/* Evaluates the request's conditions for RESOURCE, in the order of RFC 9110, section 13.2.2. Returns 0 if
 * they hold, otherwise the status of the answer that takes the content's place. */
int precondition_status(const struct connection *connection, const struct resource *resource);

#endif
