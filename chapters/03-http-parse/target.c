#include "target.h"

#include <arpa/inet.h>
#include <string.h>

bool is_target(char byte)
{
    return byte > ' ' && byte < 0x7f && byte != '#';
}

/* A character of a registered name (RFC 3986, section 3.2.2); behind a percent sign are two hexadecimal
 * digits. */
static bool is_in_name(char byte)
{
    return is_alphanumeric(byte) || is_one_of(byte, "-._~%!$&'()*+,;=");
}

/* BEGIN SOLUTION */
static bool is_name(struct slice host)
{
    for (size_t i = 0; i < host.length; i++) {
        size_t byte = 0;
        const bool is_encoded =
            i + 2 < host.length && slice_number((struct slice){host.start + i + 1, 2}, 16, &byte);
        if (!is_in_name(host.start[i]) || (host.start[i] == '%' && !is_encoded)) {
            return false;
        }
    }
    return true;
}

/* Is HOST, which stood in brackets, an IPv6 address? Others may be invented (RFC 3986, section 3.2.2). */
static bool is_address(struct slice host)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct in6_addr address;
    if (host.length >= sizeof text || !slice_all(host, is_text)) {
        return false;
    }
    memcpy(text, host.start, host.length);
    return inet_pton(AF_INET6, text, &address) == 1;
}
/* END SOLUTION */
/* STARTER: // a name is one thing, an address in brackets another: inet_pton(3) */

bool host_split(struct slice value, struct slice *host, struct slice *port)
{
    /* BEGIN SOLUTION */
    const bool bracketed = value.length > 0 && value.start[0] == '[';
    if (bracketed) {
        value = slice_from(value, 1);
        if (!slice_cut(&value, ']', host) || (value.length > 0 && value.start[0] != ':')) {
            return false;
        }
        *port = slice_from(value, value.length > 0 ? 1 : 0);
    } else {
        *port = slice_cut(&value, ':', host) ? value : slice_from(value, value.length);
    }
    return (bracketed ? is_address(*host) : is_name(*host)) && slice_all(*port, is_digit);
    /* END SOLUTION */
    /* STARTER:
    *host = value;
    *port = slice_from(value, value.length); // and what is behind a colon? Where are the brackets?
    return slice_all(value, is_in_name);
    */
}

/* BEGIN SOLUTION */
static bool is_in_scheme(char byte)
{
    return is_alphanumeric(byte) || is_one_of(byte, "+-.");
}

/* A letter first, then more of them, digits, and a few others (RFC 3986, section 3.1). */
static bool scheme_valid(struct slice scheme)
{
    return scheme.length > 0 && is_alphanumeric(scheme.start[0]) && !is_digit(scheme.start[0]) &&
           slice_all(scheme, is_in_scheme);
}
/* END SOLUTION */
/* STARTER: // RFC 3986, section 3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */

/* Makes of an absolute target, http://host:port/path?query, its PATH (RFC 9112, section 3.2.2; RFC 9110,
 * sections 4.2 and 7.4). */
static int take_absolute_target(struct slice rest, bool asks_options, struct slice *path)
{
    /* BEGIN SOLUTION */
    struct slice scheme;
    if (!slice_cut(&rest, ':', &scheme) || !scheme_valid(scheme) || rest.length < 2 ||
        memcmp(rest.start, "//", 2) != 0) {
        return 400;
    }
    rest = slice_from(rest, 2);
    struct slice authority = {rest.start, 0};
    while (authority.length < rest.length && !is_one_of(rest.start[authority.length], "/?")) {
        authority.length++;
    }
    struct slice host;
    struct slice port;
    if (!host_split(authority, &host, &port) || host.length == 0) {
        return 400;
    }
    if (!slice_is_nocase(scheme, "http")) {
        return 421; /* https wants a connection that is secured, and others are not served here at all */
    }
    *path = slice_from(rest, authority.length);
    if (path->length == 0) {
        *path = slice_of(asks_options ? "*" : "/");
    } else if (path->start[0] == '?') {
        *path = slice_of("/");
    }
    return DONE;
    /* END SOLUTION */
    /* STARTER:
    (void)asks_options;
    *path = rest; // scheme "://" authority [ path ] [ "?" query ]
    return 400;
    */
}

int take_target(struct request *request)
{
    struct slice path = request->target;
    const bool asks_options = slice_is(request->method, "OPTIONS");
    int verdict = DONE;
    /* BEGIN SOLUTION */
    if (slice_is(request->method, "CONNECT")) { /* its target is host:port, and no path */
        struct slice host;
        struct slice port;
        verdict = host_split(path, &host, &port) && host.length > 0 && port.length > 0 ? DONE : 400;
    } else if (slice_is(path, "*")) {
        verdict = asks_options ? DONE : 400;
    } else if (path.start[0] != '/') {
        verdict = take_absolute_target(path, asks_options, &path);
    }
    /* END SOLUTION */
    /* STARTER:
    if (path.start[0] != '/') { // what may it begin with besides?
        verdict = take_absolute_target(path, asks_options, &path);
    }
    */
    slice_cut(&path, '?', &request->path); /* what is before the question mark, or all of it */
    return verdict;
}
