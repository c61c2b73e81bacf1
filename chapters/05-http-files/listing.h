/* listing: the page that shows what is in a directory. */
#ifndef LISTING_H
#define LISTING_H

#include <stddef.h>

/* Makes the page that lists DIRECTORY, which is at PATH. Returns 0 and the page in TEXT, LENGTH bytes that
 * the caller frees, or -errno. */
int listing_make(int directory, const char *path, char **text, size_t *length);

#endif
