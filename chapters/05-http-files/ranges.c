#include "ranges.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "date.h"
#include "slice.h"

/* Reads a number at *AT, and moves *AT behind it. One that is too large becomes the largest there is. Returns
 * whether there is one. */
static bool offset_parse(const char **at, off_t *offset)
{
    const size_t length = strspn(*at, "0123456789");
    size_t number = 0;
    const bool found = slice_number((struct slice){*at, length}, 10, &number);
    *offset = number > INT64_MAX ? INT64_MAX : (off_t)number; /* SIZE_MAX: it did not fit */
    *at += length;
    return found;
}

/* Reads a range of a file of SIZE bytes at *AT, first-last, first- or -suffix, and moves *AT behind it.
 * Returns false if it is none. A range that is wholly behind the file's end, or empty, has its first byte
 * after its last one. */
static bool range_parse(const char **at, off_t size, struct range *range)
{
    /* BEGIN SOLUTION */
    off_t number = 0;
    range->last = size - 1;
    if (**at == '-') {
        (*at)++;
        const bool found = offset_parse(at, &number);
        range->first = number < size ? size - number : 0; /* the last so many bytes, or all */
        return found;
    }
    if (!offset_parse(at, &range->first) || **at != '-') {
        return false;
    }
    (*at)++;
    if (!offset_parse(at, &number)) {
        return true;
    }
    range->last = number < size ? number : size - 1;
    return number >= range->first;
    /* END SOLUTION */
    /* STARTER:
    range->last = size - 1; // RFC 9110, section 14.1.2: bytes count from 0
    return offset_parse(at, &range->first);
    */
}

/* Adds RANGE to RANGES, where there is room for it: in place of those that overlap or touch it, as one with
 * them, or else at the end. */
static void ranges_add(struct ranges *ranges, struct range range)
{
    /* BEGIN SOLUTION */
    size_t place = ranges->count;
    for (size_t i = ranges->count; i-- > 0;) {
        const struct range other = ranges->at[i];
        if (other.first > range.last + 1 || range.first > other.last + 1) {
            continue;
        }
        range.first = other.first < range.first ? other.first : range.first;
        range.last = other.last > range.last ? other.last : range.last;
        ranges->count--;
        memmove(&ranges->at[i], &ranges->at[i + 1], (ranges->count - i) * sizeof range);
        place = i;
    }
    memmove(&ranges->at[place + 1], &ranges->at[place], (ranges->count - place) * sizeof range);
    ranges->at[place] = range;
    ranges->count++;
    /* END SOLUTION */
    /* STARTER:
    ranges->at[ranges->count++] = range; // a thousand times the whole file is a thousand files
    */
}

enum selection ranges_parse(const char *value, off_t size, struct ranges *ranges)
{
    /* BEGIN SOLUTION */
    static const char unit[] = "bytes=";
    size_t named = 0;
    ranges->count = 0;
    if (strncasecmp(value, unit, sizeof unit - 1) != 0) {
        return WHOLE_FILE;
    }
    const char *at = value + sizeof unit - 1;
    for (at += strspn(at, ", \t"); *at != '\0'; at += strspn(at, ", \t")) {
        struct range range;
        if (named++ == RANGES_LIMIT || !range_parse(&at, size, &range)) {
            return WHOLE_FILE;
        }
        if (*at != '\0' && !is_one_of(*at, ", \t")) {
            return WHOLE_FILE;
        }
        if (range.first <= range.last) {
            ranges_add(ranges, range);
        }
    }
    if (named == 0) {
        return WHOLE_FILE;
    }
    return ranges->count > 0 ? PARTS : NOTHING;
    /* END SOLUTION */
    /* STARTER:
    ranges->count = 0; // bytes=0-99,200- and so on; what is none of these is as good as nothing
    const char *at = value;
    struct range range;
    if (range_parse(&at, size, &range)) {
        ranges_add(ranges, range);
    }
    return WHOLE_FILE;
    */
}

/* Does the request's If-Range, if there is one, say that the peer's part is of the RESOURCE as it is now? */
static bool if_range_holds(const struct connection *connection, const struct resource *resource)
{
    char value[HEAD_LIMIT];
    if (!request_field(connection, "If-Range", value)) {
        return true;
    }
    /* BEGIN SOLUTION */
    time_t date = 0;
    if (date_parse(value, connection->now, &date)) {
        /* Until its second is over the file may change once more under the same date. Whether the peer's part
         * was taken after that, the peer alone can know (section 8.8.2.2). */
        return date == resource->modified && date < connection->now;
    }
    return strcmp(value, resource->tag) == 0; /* which is strong: a weak one, W/"…", is never the same */
    /* END SOLUTION */
    /* STARTER:
    (void)resource; // a date, or one entity-tag: RFC 9110, section 13.1.5
    return false;
    */
}

enum selection select_ranges(const struct connection *connection, const struct resource *resource,
                             struct ranges *ranges)
{
    /* BEGIN SOLUTION */
    char value[HEAD_LIMIT];
    if (!slice_is(connection->parser.request.method, "GET") || resource->size == 0 ||
        !request_field(connection, "Range", value) || !if_range_holds(connection, resource)) {
        return WHOLE_FILE;
    }
    return ranges_parse(value, resource->size, ranges);
    /* END SOLUTION */
    /* STARTER:
    char value[HEAD_LIMIT]; // RFC 9110, section 14.2: for which method? And if If-Range does not hold?
    return request_field(connection, "Range", value) && if_range_holds(connection, resource)
               ? ranges_parse(value, resource->size, ranges)
               : WHOLE_FILE;
    */
}
