#define _GNU_SOURCE /* strptime(3), timegm(3) */
#include "date.h"

#include <stdio.h>

#include "slice.h"

static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

const char *date_format(time_t time, char *text)
{
    struct tm utc;
    if (gmtime_r(&time, &utc) == NULL) {
        text[0] = '\0'; /* a year that does not fit an int */
        return text;
    }
    /* Not strftime(3), whose %a and %b speak the user's language. */
    snprintf(text, DATE_TEXT, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[utc.tm_wday], utc.tm_mday,
             months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return text;
}

/* BEGIN SOLUTION */
static bool is_letter(char byte)
{
    return is_alphanumeric(byte) && !is_digit(byte);
}

/* Does BYTE stand where SHAPE says? There 0 is a digit, _ a digit or a space, a is a letter, the rest itself.
 */
static bool fits(char byte, char shape)
{
    switch (shape) {
    case '0':
        return is_digit(byte);
    case '_':
        return is_digit(byte) || byte == ' ';
    case 'a':
        return is_letter(byte);
    default:
        return byte == shape;
    }
}

/* Is TEXT of this SHAPE, in which * is any number of letters? */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape != '\0'; shape++) {
        if (*shape == '*') {
            while (is_letter(*text)) {
                text++;
            }
        } else if (!fits(*text++, *shape)) {
            return false;
        }
    }
    return *text == '\0';
}

/* Is the day of DATE, from 1 to 31, one of its month? timegm(3) makes 3 March of 31 February. */
static bool is_in_calendar(const struct tm *date)
{
    struct tm day = {.tm_year = date->tm_year, .tm_mon = date->tm_mon, .tm_mday = date->tm_mday};
    timegm(&day);
    return day.tm_mday == date->tm_mday;
}

/* END SOLUTION */
/* STARTER: */
bool date_parse(const char *text, time_t now, time_t *time)
{
    /* BEGIN SOLUTION */
    /* strptime(3) alone would take "SunNov 6 8:4:37 94" as well. It speaks the user's language, but only in a
     * program that calls setlocale(3). */
    static const char *const shapes[] = {"aaa, 00 aaa 0000 00:00:00 GMT", "aaa aaa _0 00:00:00 0000",
                                         "*, 00-aaa-00 00:00:00 GMT"};
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* Sun, 06 Nov 1994 08:49:37 GMT */
        "%a %b %d %H:%M:%S %Y",      /* Sun Nov  6 08:49:37 1994 */
        "%A, %d-%b-%y %H:%M:%S GMT", /* Sunday, 06-Nov-94 08:49:37 GMT */
    };
    for (size_t form = 0; form < 3; form++) {
        struct tm utc = {0};
        struct tm today = {0};
        const char *end = strptime(text, forms[form], &utc);
        if (end == NULL || *end != '\0' || !has_shape(text, shapes[form])) {
            continue;
        }
        if (form == 2 && gmtime_r(&now, &today) != NULL) {
            /* This century's year, or the last one's if that is more than 50 years ahead. */
            utc.tm_year = today.tm_year / 100 * 100 + utc.tm_year % 100;
            utc.tm_year -= utc.tm_year > today.tm_year + 50 ? 100 : 0;
        }
        if (!is_in_calendar(&utc)) {
            return false;
        }
        *time = timegm(&utc);
        return true;
    }
    return false;
    /* END SOLUTION */
    /* STARTER:
    (void)text; // strptime(3) and timegm(3) take more than there is
    (void)now;
    *time = 0;
    return false;
    */
}
