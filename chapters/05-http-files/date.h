/* date: times as HTTP writes them (RFC 9110, section 5.6.7). */
#ifndef DATE_H
#define DATE_H

#include <stdbool.h>
#include <time.h>

enum { DATE_TEXT = 32 }; /* room for a date */

/* Writes TIME into TEXT, of DATE_TEXT bytes, like "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7),
 * and returns TEXT. */
const char *date_format(time_t time, char *text);

/* Reads the date TEXT, in any of the three forms that were ever in use; NOW places a year of two digits.
 * Returns whether it is one, and sets TIME. */
bool date_parse(const char *text, time_t now, time_t *time);

#endif
