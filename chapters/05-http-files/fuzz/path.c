/* Fuzzes what becomes of a name between URL, path and page: decoded, encoded, hidden or not, escaped.
 *
 * An input is the path of a request's target, as the parser of requests lets it through. */
#define _GNU_SOURCE /* scandirat(3) */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its functions are static. */
#include "../listing.c" // NOLINT(bugprone-suspicious-include)
#include "../path.h"
#include "fuzz.h"
#include "report.h"
#include "slice.h"
#include "target.h"

const char program_name[] = "fuzz-path";

/* In memory of SIZE bytes and no more, so that what is done beside it is seen. */
static char *room(size_t size)
{
    char *memory = malloc(size);
    require(memory != NULL, "there is memory");
    return memory;
}

/* How many bytes TARGET stands for: three for each percent sign, but for the slashes before it. */
static size_t decoded_length(struct slice target)
{
    size_t length = 0;
    size_t at = 0;
    while (at < target.length && target.start[at] == '/') {
        at++;
    }
    for (; at < target.length; at += target.start[at] == '%' ? 3 : 1) {
        length++;
    }
    return length;
}

/* A URL that this server writes leads back to the file that it was written for. */
static void require_round_trip(const char *path)
{
    const size_t size = 3 * strlen(path) + 1;
    char *url = room(size);
    url_encode(path, url);
    const struct slice target = {url, strlen(url)};
    require(slice_all(target, is_target) && strpbrk(url, "?\"&<>'") == NULL, "a URL is fit for a page");
    char *again = room(target.length + 1);
    require(path_decode(target, again) == 0, "a URL that was written here is understood");
    require(strcmp(again, path) == 0, "and means the same path");
    free(again);
    free(url);
}

/* Looks at PATH in another way than path_is_hidden does: at what is behind each slash and dot. */
static bool has_dot_file(const char *path)
{
    for (const char *at = path; (at = strchr(at, '.')) != NULL; at++) {
        const bool begins = at == path || at[-1] == '/';
        const bool here = at[1] == '\0' || at[1] == '/';
        const bool parent = at[1] == '.' && (at[2] == '\0' || at[2] == '/');
        if (begins && !here && !parent) {
            return true;
        }
    }
    return false;
}

/* Whatever a file is called, it adds no tag and no entity to a page, and the quotation marks stay closed. */
static void require_harmless(const char *path)
{
    char *page = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&page, &length);
    require(stream != NULL, "there is memory");
    print_escaped(stream, path);
    require(fclose(stream) == 0, "there is memory");
    require(strpbrk(page, "<>\"'") == NULL, "nothing in a name is taken for HTML");
    for (const char *at = page; (at = strchr(at, '&')) != NULL; at++) {
        require(at[1] == '#', "nothing in a name is taken for an entity");
    }
    free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const struct slice target = {(const char *)data, length};
    if (length >= HEAD_LIMIT || !slice_all(target, is_target) || memchr(data, '?', length) != NULL) {
        return 0; /* not what the parser of requests makes of one */
    }
    char *path = room(length + 1);
    const int status = path_decode(target, path);
    require(status == 0 || status == 400 || status == 404, "a refusal has its status");
    if (status == 0) {
        require(strlen(path) == decoded_length(target),
                "each byte of a target becomes one of the path, or a third");
        require(path[0] != '/', "a path begins below the root");
        require(path_is_hidden(path) == has_dot_file(path), "dot files are hidden, and nothing else");
        require_round_trip(path);
        require_harmless(path);
    }
    free(path);
    return 0;
}
