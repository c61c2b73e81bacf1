#include "conditions.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "date.h"
#include "slice.h"

bool request_field(const struct connection *connection, const char *name, char *value)
{
    struct slice fields = connection->parser.request.fields;
    struct slice found_name;
    size_t used = 0;
    bool found = false;
    for (struct slice found_value; field_next(&fields, &found_name, &found_value);) {
        if (slice_is_nocase(found_name, name)) {
            used += (size_t)snprintf(value + used, HEAD_LIMIT - used, "%s%.*s", found ? ", " : "",
                                     (int)found_value.length, found_value.start);
            found = true;
        }
    }
    return found;
}

void tag_format(const struct stat *status, char *tag)
{
    /* BEGIN SOLUTION */
    snprintf(tag, TAG_TEXT, "\"%jx-%jx-%jx.%lx\"", (uintmax_t)status->st_ino, (uintmax_t)status->st_size,
             (uintmax_t)status->st_mtim.tv_sec, (unsigned long)status->st_mtim.tv_nsec);
    /* END SOLUTION */
    /* STARTER:
    (void)status; // what of it changes whenever the content does? In double quotes
    tag[0] = '\0';
    */
}

/* Is TAG in LIST, which is "*" or entity-tags with commas between them? With STRONG, those that are marked as
 * weak, W/"…", do not count (RFC 9110, section 8.8.3.2). */
static bool tag_in_list(const char *tag, const char *list, bool strong)
{
    /* BEGIN SOLUTION */
    if (strcmp(list, "*") == 0) {
        return true;
    }
    for (const char *at = list + strspn(list, ", \t"); *at != '\0'; at += strspn(at, ", \t")) {
        const bool weak = strncmp(at, "W/", 2) == 0;
        at += weak ? 2 : 0;
        const char *close = *at == '"' ? strchr(at + 1, '"') : NULL; /* a comma may be part of a tag */
        if (close == NULL) {
            return false;
        }
        const size_t length = (size_t)(close + 1 - at);
        if (!(weak && strong) && length == strlen(tag) && memcmp(at, tag, length) == 0) {
            return true;
        }
        at = close + 1;
    }
    return false;
    /* END SOLUTION */
    /* STARTER:
    (void)tag; // W/"a", "b,c"
    (void)list;
    (void)strong;
    return false;
    */
}

/* What a date in a request says about a file. */
enum change {
    UNCHANGED,
    CHANGED,     /* after that date */
    CANNOT_TELL, /* there is no such field, or it is no date, or there is nothing to compare it with */
};

/* Says whether RESOURCE has been modified after the date in the request's field NAME. */
static enum change change_since(const struct connection *connection, const struct resource *resource,
                                const char *name)
{
    char text[HEAD_LIMIT];
    time_t date = 0;
    if (resource->tag[0] == '\0' || !request_field(connection, name, text) ||
        !date_parse(text, connection->now, &date)) {
        return CANNOT_TELL;
    }
    return resource->modified > date ? CHANGED : UNCHANGED;
}

int precondition_status(const struct connection *connection, const struct resource *resource)
{
    char list[HEAD_LIMIT];
    if (request_field(connection, "If-Match", list)) {
        if (!tag_in_list(resource->tag, list, true)) {
            return 412;
        }
    } else if (change_since(connection, resource, "If-Unmodified-Since") == CHANGED) {
        return 412;
    }
    /* BEGIN SOLUTION */
    if (request_field(connection, "If-None-Match", list)) {
        return tag_in_list(resource->tag, list, false) ? 304 : 0; /* the date is not even looked at */
    }
    return change_since(connection, resource, "If-Modified-Since") == UNCHANGED ? 304 : 0;
    /* END SOLUTION */
    /* STARTER:
    return 0; // and If-None-Match, and If-Modified-Since?
    */
}
