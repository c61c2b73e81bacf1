#include "url.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int hex_value(char digit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = digit == '\0' ? NULL : strchr(digits, digit);
    return at == NULL ? -1 : (int)((at - digits) % 16);
}

/* Writes TEXT, LENGTH bytes of a URL, into PLAIN of SIZE bytes with each %XX as the byte it stands for.
 * Returns false if it does not fit, or one of them is malformed or a NUL. */
static bool percent_decode(const char *text, size_t length, char *plain, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < length && used + 1 < size; i++) {
        plain[used] = text[i];
        if (text[i] == '%') {
            const int high = i + 2 < length ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < length ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                return false;
            }
            plain[used] = (char)(16 * high + low);
            i += 2;
        }
        used++;
        if (i + 1 == length) {
            plain[used] = '\0';
            return true;
        }
    }
    return false;
}

/* Makes the address of a transport with ports from what stands between the slashes. */
static const char *authority_parse(struct url *url, const char *prefix, const char *text, int length)
{
    const char *bracket = memchr(text, ']', (size_t)length);
    const char *from = bracket == NULL ? text : bracket;
    const char *colon = memchr(from, ':', (size_t)(text + length - from));
    const char *port = colon == NULL ? ":80" : "";
    const int written = snprintf(url->address, sizeof url->address, "%s%.*s%s", prefix, length, text, port);
    if (written >= (int)sizeof url->address || memchr(text, '@', (size_t)length) != NULL) {
        return "the host is not an address";
    }
    snprintf(url->host, sizeof url->host, "%.*s", length, text);
    return NULL;
}

/* Would TEXT, in a message, make more than one line, or do something to a terminal? */
static bool has_controls(const char *text)
{
    while (*text != '\0' && (unsigned char)*text >= ' ' && *text != 127) {
        text++;
    }
    return *text != '\0';
}

static const char *path_parse(struct url *url, const char *text, int length)
{
    char path[ENDPOINT_TEXT];
    if (!percent_decode(text, (size_t)length, path, sizeof path) || has_controls(path)) {
        return "the host is not the path of a socket, with each slash as %2F, and no control characters";
    }
    snprintf(url->address, sizeof url->address, "unix:%.*s", (int)(sizeof url->address - sizeof "unix:"),
             path);
    snprintf(url->host, sizeof url->host, "localhost"); /* a path is no host: RFC 9110, section 7.2 */
    return NULL;
}

const char *url_parse(struct url *url, const char *text)
{
    static const char *const schemes[][2] = {
        {"http://", "tcp:"}, {"http+vsock://", "vsock:"}, {"http+unix://", "unix:"}};
    if (strlen(text) > URL_LIMIT) {
        return "the URL is too long";
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') { /* a line feed would begin a field of its own */
            return "a blank, a control character or a byte beyond ASCII has to be percent-encoded";
        }
    }
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        const size_t scheme = strlen(schemes[i][0]);
        if (strncasecmp(text, schemes[i][0], scheme) != 0) {
            continue;
        }
        text += scheme;
        const int host = (int)strcspn(text, "/?#");
        const int target = (int)strcspn(text + host, "#");
        snprintf(url->target, sizeof url->target, "%s%.*s", text[host] == '/' ? "" : "/", target,
                 text + host);
        if (host == 0) {
            return "there is no host in it";
        }
        return strcmp(schemes[i][1], "unix:") == 0 ? path_parse(url, text, host)
                                                   : authority_parse(url, schemes[i][1], text, host);
    }
    return "not an http, http+vsock or http+unix URL";
}
