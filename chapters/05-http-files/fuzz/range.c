/* Fuzzes the reader of Range fields against a plain one, which marks each byte that was asked for.
 *
 * An input is the value of a field; a second line, if there is one, is the size of the file. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its functions are static. */
#include "../ranges.c" // NOLINT(bugprone-suspicious-include)
#include "fuzz.h"
#include "report.h"

const char program_name[] = "fuzz-range";

enum {
    DEFAULT_SIZE = 1000,
    MARKED_SIZE = 4096, /* of larger files the bytes are not marked one by one */
};

/* As the plain reader needs it: a number that is too large for the file is as good as its size. */
static off_t plain_number(const char *text, char **end, off_t size)
{
    const unsigned long long number = strtoull(text, end, 10);
    return number < (unsigned long long)size ? (off_t)number : size;
}

/* Marks the bytes that ELEMENT, one range of a list that was accepted, asks for of a file of SIZE bytes. */
static void mark(const char *element, off_t size, bool *wanted)
{
    char *end = NULL;
    off_t first = 0;
    off_t last = size;
    if (element[0] == '-') {
        first = size - plain_number(element + 1, &end, size);
    } else {
        first = plain_number(element, &end, size);
        require(*end == '-', "a range has a first byte and a dash");
        last = end[1] == '\0' ? size : plain_number(end + 1, &end, size);
    }
    for (off_t at = first; at < size && at <= last; at++) {
        wanted[at] = true;
    }
}

/* What was selected is what VALUE asks for, no byte more and none less. */
static void require_wanted(char *value, off_t size, const struct ranges *ranges)
{
    static bool wanted[MARKED_SIZE];
    memset(wanted, 0, sizeof wanted);
    char *rest = NULL;
    for (char *element = strtok_r(strchr(value, '=') + 1, ", \t", &rest); element != NULL;
         element = strtok_r(NULL, ", \t", &rest)) {
        mark(element, size, wanted);
    }
    for (off_t at = 0; at < size; at++) {
        bool selected = false;
        for (size_t i = 0; i < ranges->count; i++) {
            selected = selected || (at >= ranges->at[i].first && at <= ranges->at[i].last);
        }
        require(selected == wanted[at], "a byte is sent if it was asked for, and only then");
    }
}

static void require_apart(const struct ranges *ranges, off_t size)
{
    require(ranges->count <= RANGES_LIMIT, "there are not too many parts");
    for (size_t i = 0; i < ranges->count; i++) {
        const struct range one = ranges->at[i];
        require(one.first >= 0 && one.first <= one.last && one.last < size, "a part is in the file");
        for (size_t j = 0; j < i; j++) {
            const struct range other = ranges->at[j];
            require(one.first > other.last + 1 || other.first > one.last + 1,
                    "no two parts overlap or touch");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    char *value = strndup((const char *)data, length);
    require(value != NULL, "there is memory");
    off_t size = DEFAULT_SIZE;
    char *line = strchr(value, '\n');
    if (line != NULL) {
        *line = '\0';
        const char *digits = line + 1;
        size = offset_parse(&digits, &size) && size > 0 ? size : DEFAULT_SIZE;
    }
    /* In memory of its own length, so that a look behind its end is seen. */
    char *text = strdup(value);
    require(text != NULL, "there is memory");
    struct ranges ranges;
    const enum selection selection = ranges_parse(text, size, &ranges);
    if (selection != WHOLE_FILE) {
        require((selection == PARTS) == (ranges.count > 0), "there are parts, or there is nothing");
        require_apart(&ranges, size);
        if (size <= MARKED_SIZE) {
            require_wanted(value, size, &ranges);
        }
    }
    free(text);
    free(value);
    return 0;
}
