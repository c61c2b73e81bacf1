/* Fuzzes the readers of what conditions hold: dates, and lists of entity-tags.
 *
 * An input is the value of a field; a second line, if there is one, is the time that it is now. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Its functions are static. */
#include "../conditions.c" // NOLINT(bugprone-suspicious-include)
#include "../date.h"
#include "fuzz.h"
#include "report.h"

const char program_name[] = "fuzz-condition";

enum {
    DEFAULT_NOW = 784111777, /* Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example */
    YEAR = 366 * 86400,
};

/* A date that was understood can be written down, and is the same then; a year of two digits is near. */
static void require_date(const char *text, time_t now)
{
    time_t date = 0;
    if (!date_parse(text, now, &date)) {
        return;
    }
    if (strchr(text, '-') != NULL) {
        require(date <= now + (time_t)51 * YEAR, "a year of two digits is at most 50 years ahead");
        require(date >= now - (time_t)101 * YEAR, "nor is it longer ago than a century");
    }
    char written[DATE_TEXT];
    time_t again = 0;
    date_format(date, written);
    /* The day of the week may be any, and a leap second is the first of the next minute. */
    const bool newest = strlen(text) == strlen(written) && strchr(text, '-') == NULL;
    require(!newest || text[23] == '6' || strcasecmp(text + 3, written + 3) == 0,
            "a date that was understood is in the calendar");
    if (strlen(written) == sizeof "Sun, 06 Nov 1994 08:49:37 GMT" - 1 && date >= -62135596800) {
        require(date_parse(written, now, &again), "a date that was written here is one");
        require(again == date, "and it is the same");
    }
}

/* Nothing is in a list but what is written in it; "*" is for every tag. */
static void require_tags(const char *list)
{
    static const char *const tags[] = {"\"a\"", "\"a,b\"", "\"\"", "\"1f-2a.0\""};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        const bool strong = tag_in_list(tags[i], list, true);
        const bool weak = tag_in_list(tags[i], list, false);
        require(weak || !strong, "what is the same strongly is the same weakly");
        require(!weak || strcmp(list, "*") == 0 || strstr(list, tags[i]) != NULL,
                "a tag is found where it is");
        char more[8 + HEAD_LIMIT];
        snprintf(more, sizeof more, "W/%s,%s", tags[i], list);
        require(tag_in_list(tags[i], more, false), "a tag before all others is found");
        require(tag_in_list(tags[i], more + 2, true), "and strongly if it is not weak");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length >= HEAD_LIMIT) {
        return 0; /* request_field makes no longer ones */
    }
    char *text = strndup((const char *)data, length);
    require(text != NULL, "there is memory");
    time_t now = DEFAULT_NOW;
    char *line = strchr(text, '\n');
    if (line != NULL) {
        *line = '\0';
        now = strtol(line + 1, NULL, 10) & UINT32_MAX;
    }
    /* In memory of its own length, so that a look behind its end is seen. */
    char *value = strdup(text);
    require(value != NULL, "there is memory");
    require_date(value, now);
    require_tags(value);
    free(value);
    free(text);
    return 0;
}
