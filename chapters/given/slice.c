#include "slice.h"

#include <string.h>
#include <strings.h>

bool slice_is(struct slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.start, text, slice.length) == 0;
}

bool slice_is_nocase(struct slice slice, const char *text)
{
    return slice.length == strlen(text) && strncasecmp(slice.start, text, slice.length) == 0;
}

struct slice slice_from(struct slice slice, size_t at)
{
    return (struct slice){slice.start + at, slice.length - at};
}

bool slice_cut(struct slice *rest, char separator, struct slice *piece)
{
    *piece = *rest;
    const char *found = rest->length > 0 ? memchr(rest->start, separator, rest->length) : NULL;
    if (found == NULL) {
        return false;
    }
    piece->length = (size_t)(found - rest->start);
    *rest = slice_from(*rest, piece->length + 1);
    return true;
}

bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct slice slice_trim_end(struct slice slice)
{
    while (slice.length > 0 && is_blank(slice.start[slice.length - 1])) {
        slice.length--;
    }
    return slice;
}

struct slice slice_trim(struct slice slice)
{
    while (slice.length > 0 && is_blank(slice.start[0])) {
        slice = slice_from(slice, 1);
    }
    return slice_trim_end(slice);
}

bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

bool is_alphanumeric(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

bool is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

bool is_token(char byte)
{
    return is_alphanumeric(byte) || is_one_of(byte, "!#$%&'*+-.^_`|~");
}

bool is_text(char byte)
{
    return byte == '\t' || ((unsigned char)byte >= ' ' && byte != 0x7f);
}

bool slice_all(struct slice slice, bool (*kind)(char))
{
    for (size_t i = 0; i < slice.length; i++) {
        if (!kind(slice.start[i])) {
            return false;
        }
    }
    return true;
}

struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}
