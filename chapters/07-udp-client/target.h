/* target: whom to ask, as it was written: udp:HOST:PORT or udp:[V6]:PORT. */
#ifndef TARGET_H
#define TARGET_H

enum {
    HOST_LIMIT = 256, /* bytes of a host, NUL included; a name in the DNS has 253 at most (RFC 1035) */
    PORT_LIMIT = 6,   /* "65535" and the NUL */
};

struct target {
    char host[HOST_LIMIT]; /* a name, or a numeric address without brackets */
    char port[PORT_LIMIT]; /* decimal digits */
};

/* Takes TEXT apart. Returns NULL, or what is wrong with it. */
const char *target_parse(struct target *target, const char *text);

#endif
