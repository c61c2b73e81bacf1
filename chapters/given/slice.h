/* slice: part of somebody else's bytes, and what its bytes are.
 *
 * Nothing here allocates, copies, or needs a NUL at the end. From chapter 03 on it is given. */
#ifndef SLICE_H
#define SLICE_H

#include <stdbool.h>
#include <stddef.h>

/* Part of somebody else's bytes, without a NUL at its end. */
struct slice {
    const char *start;
    size_t length;
};

/* Is SLICE the same, byte for byte, as TEXT? */
bool slice_is(struct slice slice, const char *text);

/* As slice_is, for what is compared without case: field names, codings, options. */
bool slice_is_nocase(struct slice slice, const char *text);

/* Returns the part of SLICE from AT on. */
struct slice slice_from(struct slice slice, size_t at);

/* Takes what is before the first SEPARATOR from REST, and the separator. Returns false, with all of REST in
 * PIECE and REST as it was, if there is none. */
bool slice_cut(struct slice *rest, char separator, struct slice *piece);

/* A space or a tab: what RFC 9110, section 5.6.3, calls white space. */
bool is_blank(char byte);

/* Returns SLICE without the spaces and tabs at its end. */
struct slice slice_trim_end(struct slice slice);

/* Returns SLICE without the spaces and tabs around it. */
struct slice slice_trim(struct slice slice);

/* isdigit(3), isalnum(3) and their kin depend on the locale, and want to be called with an unsigned char. */
bool is_digit(char byte);
bool is_alphanumeric(char byte);

/* Is BYTE one of the characters of SET? A NUL is none of any. */
bool is_one_of(char byte, const char *set);

/* A token character (RFC 9110, section 5.6.2). */
bool is_token(char byte);

/* A character of a field's value: no control but the tab (RFC 9110, section 5.5). Bytes from 0x80 on are. */
bool is_text(char byte);

/* Are all bytes of SLICE of one kind? */
bool slice_all(struct slice slice, bool (*kind)(char));

/* Returns all of TEXT as a slice. */
struct slice slice_of(const char *text);

#endif
