/* Fuzzes the reader of URLs, and what becomes of a Location.
 *
 * An input is a URL; a second line, if there is one, is the Location in the answer to it. */
#include "../url.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

/* What goes into a request's head can end no line there, and means one host and one resource. */
static void require_fit(const struct url *url)
{
    require(url->port > 0, "a URL has a port");
    require(url->host[0] != '\0' && is_visible(url->host), "a host can be seen");
    require(strpbrk(url->host, "/?#@[]%") == NULL, "a host is a host and nothing else");
    require((strchr(url->host, ':') != NULL) == url->is_ipv6, "only an IPv6 address has colons in it");
    require(url->target[0] == '/' && is_visible(url->target), "a target begins with a slash and can be seen");
    require(strchr(url->target, '#') == NULL, "a fragment is not sent");
    require(strlen(url->target) <= URL_LIMIT, "a target is within its limit");
}

/* The host is what stands between the slashes and the next delimiter, whole. */
static void require_host(const struct url *url, const char *text)
{
    const char *host = text + strlen("http://") + url->is_ipv6;
    const size_t length = strlen(url->host);
    require(strncmp(host, url->host, length) == 0, "a host is where a host belongs");
    require(strchr(url->is_ipv6 ? "]" : ":/?#", host[length]) != NULL, "nothing of a host is left out");
}

static bool same(const struct url *one, const struct url *other)
{
    return one->is_ipv6 == other->is_ipv6 && one->port == other->port &&
           strcmp(one->host, other->host) == 0 && strcmp(one->target, other->target) == 0;
}

/* Written down again, a URL means the same. One without a slash behind its host has become a byte longer. */
static void require_round_trip(const struct url *url)
{
    char authority[HOST_LIMIT + 10];
    char text[URL_LIMIT + HOST_LIMIT + 32];
    const int length = snprintf(text, sizeof text, "http://%s%s",
                                url_authority(url, authority, sizeof authority), url->target);
    if (length > URL_LIMIT) {
        return;
    }
    struct url again = {0};
    require(url_parse(&again, text) == NULL, "a URL that was understood can be written down");
    require(same(url, &again), "and is the same then");
}

/* RFC 3986, section 5.2.4: no segment of a path is left that is a dot or two. */
static bool has_dots(const char *target)
{
    const size_t path = strcspn(target, "?");
    for (size_t at = 0; at < path;) {
        const size_t length = 1 + strcspn(target + at + 1, "/?");
        if ((length == 2 && target[at + 1] == '.') || (length == 3 && memcmp(target + at, "/..", 3) == 0)) {
            return true;
        }
        at += length;
    }
    return false;
}

static void require_redirect(const struct url *base, const char *location)
{
    struct url next = {0};
    if (url_resolve(&next, base, location) != NULL) {
        return;
    }
    require_fit(&next);
    require_round_trip(&next);
    if (strchr("?#", location[0]) != NULL) { /* strchr finds an empty one, too */
        const size_t path = strcspn(base->target, "?");
        require(strcspn(next.target, "?") == path && memcmp(next.target, base->target, path) == 0,
                "without a path in it a URL keeps the base's, as it is");
    } else {
        require(!has_dots(next.target), "no dots are left in a path");
    }
    const bool relative = location[strcspn(location, ":/?#")] != ':' && strncmp(location, "//", 2) != 0;
    if (relative) {
        require(strcmp(next.host, base->host) == 0 && next.port == base->port,
                "a relative URL stays at its host");
    }
    if (location[0] == '/' && location[1] != '/') {
        struct url other = *base;
        struct url same_next = {0};
        strcpy(other.target, "/elsewhere/?query");
        require(url_resolve(&same_next, &other, location) == NULL && same(&next, &same_next),
                "a path from the root does not depend on what was asked for before");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    char *input = strndup((const char *)data, length);
    require(input != NULL, "there is memory");
    char *line = strchr(input, '\n');
    if (line != NULL) {
        *line = '\0';
    }
    /* Each in memory of its own length, so that a look behind its end is seen. */
    char *text = strdup(input);
    char *location = line == NULL ? NULL : strdup(line + 1);
    require(text != NULL, "there is memory");
    struct url url = {0};
    if (url_parse(&url, text) == NULL) {
        require_fit(&url);
        require_host(&url, text);
        require_round_trip(&url);
        if (location != NULL) {
            require_redirect(&url, location);
        }
    }
    free(location);
    free(text);
    free(input);
    return 0;
}
