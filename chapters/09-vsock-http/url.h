/* url: which transport, which address, which target. It is given. */
#ifndef URL_H
#define URL_H

#include "conn.h"

enum { URL_LIMIT = 8192 }; /* bytes; RFC 9110, section 4.1, wants at least 8000 */

/* A URL in the parts that are needed to ask for it. */
struct url {
    char address[ENDPOINT_TEXT]; /* as conn_dial takes it */
    char host[ENDPOINT_TEXT];    /* what the Host field says */
    char target[URL_LIMIT + 2];  /* path and query, as they were given; begins with a slash */
};

/* Takes TEXT to pieces: http://HOST[:PORT]/…, HOST being a numeric address; http+vsock://CID[:PORT]/…;
 * http+unix://PATH/…, PATH with each slash as %2F. Without a port it is 80. Returns NULL, or what is wrong.
 */
const char *url_parse(struct url *url, const char *text);

#endif
