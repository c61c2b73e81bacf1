#include "url.h"

/* BEGIN SOLUTION */
#include <arpa/inet.h>
/* END SOLUTION */
/* STARTER: */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *number_parse(const char *text, int base, uint64_t *value)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = text;
    *value = 0;
    for (; *at != '\0'; at++) {
        const char *digit = memchr(digits, tolower((unsigned char)*at), (size_t)base);
        if (digit == NULL) {
            break;
        }
        if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
            __builtin_add_overflow(*value, (uint64_t)(digit - digits), value)) {
            return NULL;
        }
    }
    return at == text ? NULL : at;
}

/* BEGIN SOLUTION */
/* Reads the port behind a host: a colon and digits, or only a colon, or nothing, which both mean 80. */
static const char *port_parse(struct url *url, const char *text)
{
    uint64_t port = 80;
    if (text[0] == ':' && text[1] != '\0') {
        const char *end = number_parse(text + 1, 10, &port);
        if (end == NULL || *end != '\0' || port < 1 || port > UINT16_MAX) {
            return "the port is not a number from 1 to 65535";
        }
    }
    url->port = (uint16_t)port;
    return NULL;
}

/* Reads what stands between the slashes and the path: HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static const char *authority_parse(struct url *url, const char *text, size_t length)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    if (memchr(text, '@', length) != NULL) {
        return "a URL with a user name in it is refused"; /* RFC 9110, section 4.2.4 */
    }
    url->is_ipv6 = length > 0 && text[0] == '[';
    const char *host = url->is_ipv6 ? text + 1 : text;
    const char *host_end = memchr(text, url->is_ipv6 ? ']' : ':', length);
    const char *end = text + length;
    if (host_end == NULL && url->is_ipv6) {
        return "an address in brackets needs both of them";
    }
    host_end = host_end == NULL ? end : host_end;
    if (host_end == host || host_end - host > HOST_LIMIT) {
        return "there is no host in it, or too much of one";
    }
    snprintf(url->host, sizeof url->host, "%.*s", (int)(host_end - host), host);
    struct in6_addr address;
    if (url->is_ipv6 ? inet_pton(AF_INET6, url->host, &address) != 1
                     : url->host[strspn(url->host, plain)] != '\0') {
        return "the host is neither a name nor an address";
    }
    char port[8];
    host_end += url->is_ipv6;
    if ((host_end < end && *host_end != ':') || (size_t)(end - host_end) >= sizeof port) {
        return "what follows the host is no port";
    }
    snprintf(port, sizeof port, "%.*s", (int)(end - host_end), host_end);
    return port_parse(url, port);
}

/* END SOLUTION */
/* STARTER: */
const char *url_parse(struct url *url, const char *text)
{
    /* BEGIN SOLUTION */
    static const char scheme[] = "http://";
    if (strlen(text) > URL_LIMIT) {
        return "the URL is too long";
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') { /* a line feed would begin a field of its own */
            return "a blank, a control character or a byte beyond ASCII has to be percent-encoded";
        }
    }
    if (strncasecmp(text, "https:", 6) == 0) {
        return "https is not supported, only http";
    }
    if (strncasecmp(text, scheme, sizeof scheme - 1) != 0) {
        return "not an http URL";
    }
    text += sizeof scheme - 1;
    size_t length = strcspn(text, "/?#");
    const char *why = authority_parse(url, text, length);
    text += length;
    snprintf(url->target, sizeof url->target, "%s%.*s", *text == '/' ? "" : "/", (int)strcspn(text, "#"),
             text);
    return why;
    /* END SOLUTION */
    /* STARTER:
    memset(url, 0, sizeof *url);
    (void)text; // scheme, host, port, path and query: RFC 3986, section 3
    return "url_parse is not written yet";
    */
}

const char *url_authority(const struct url *url, char *text, size_t size)
{
    char port[8] = "";
    if (url->port != 80) {
        snprintf(port, sizeof port, ":%u", url->port);
    }
    snprintf(text, size, url->is_ipv6 ? "[%s]%s" : "%s%s", url->host, port);
    return text;
}

/* BEGIN SOLUTION */
/* Removes the segments "." and ".." from a path, in place; a query is left alone (RFC 3986, section 5.2.4).
 */
static void remove_dots(char *target)
{
    char *const query = target + strcspn(target, "?");
    char *to = target;
    for (char *from = target; from < query;) {
        const size_t length = 1 + strcspn(from + 1, "/?"); /* a slash, and the segment after it */
        const bool is_dot = length == 2 && from[1] == '.';
        const bool is_dots = length == 3 && from[1] == '.' && from[2] == '.';
        while (is_dots && to > target && *--to != '/') {
        }
        if (!is_dot && !is_dots) {
            memmove(to, from, length);
            to += length;
        } else if (from + length == query) {
            *to++ = '/';
        }
        from += length;
    }
    memmove(to, query, strlen(query) + 1);
}

/* END SOLUTION */
/* STARTER: */
const char *url_resolve(struct url *url, const struct url *base, const char *location)
{
    /* BEGIN SOLUTION */
    char authority[HOST_LIMIT + 10];
    char text[2 * URL_LIMIT];
    const size_t path = strcspn(base->target, "?");
    size_t kept = 0; /* of the base's target */
    const char *colon = location + strcspn(location, ":/?#");
    if (*colon == ':') {
        snprintf(text, sizeof text, "%s", location);
    } else if (strncmp(location, "//", 2) == 0) {
        snprintf(text, sizeof text, "http:%s", location);
    } else {
        if (location[0] == '\0' || location[0] == '#') {
            kept = strlen(base->target);
        } else if (location[0] == '?') {
            kept = path;
        } else if (location[0] != '/') {
            for (kept = path; base->target[kept - 1] != '/';) { /* its first byte is one */
                kept--;
            }
        }
        snprintf(text, sizeof text, "http://%s%.*s%s", url_authority(base, authority, sizeof authority),
                 (int)kept, base->target, location);
    }
    const char *why = url_parse(url, text);
    if (strchr("?#", location[0]) == NULL) { /* they leave the path as it is; strchr(3) finds a NUL, too */
        remove_dots(url->target);
    }
    return why;
    /* END SOLUTION */
    /* STARTER:
    (void)base;
    return url_parse(url, location); // that is enough for an absolute URL, and for no other
    */
}
