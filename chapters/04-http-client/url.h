/* url: http URLs, whole and relative (RFC 3986; RFC 9110, section 4.2). */
#ifndef URL_H
#define URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    URL_LIMIT = 8192, /* bytes; RFC 9110, section 4.1, wants at least 8000 */
    HOST_LIMIT = 255, /* bytes of a host's name (RFC 1035, section 2.3.4) */
};

/* An http URL in the parts that are needed to ask for it. */
struct url {
    bool is_ipv6; /* the host is an IPv6 address, which stands in brackets wherever a port may follow */
    uint16_t port;
    char host[HOST_LIMIT + 1];
    char target[URL_LIMIT + 2]; /* path and query, as they were given; begins with a slash */
};

/* Reads the digits of base 10 or 16 that TEXT begins with; no blank, no sign, no 0x. Returns where they end,
 * or NULL if there are none or they are too many for VALUE. */
const char *number_parse(const char *text, int base, uint64_t *value);

/* Takes TEXT, an absolute http URL, to pieces. Returns NULL, or what is wrong with it. */
const char *url_parse(struct url *url, const char *text);

/* Writes the host, and the port if it is not 80, into TEXT: what the Host field says. */
const char *url_authority(const struct url *url, char *text, size_t size);

/* Finds out which URL a Location in the answer of BASE means, which may leave out what is the same (RFC 3986,
 * section 5.2.2). Returns NULL, or what is wrong with it. */
const char *url_resolve(struct url *url, const struct url *base, const char *location);

#endif
