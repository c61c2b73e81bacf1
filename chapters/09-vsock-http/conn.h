/* conn: a connection, and a listener, whatever they are made of.
 *
 * A program that uses these knows no address family: it has addresses as text, `tcp:HOST:PORT`, `unix:PATH`,
 * `vsock:CID:PORT`. What differs between the families is behind `struct transport`, one for each.
 *
 * Nothing here prints or ends the program: functions that can fail return -errno. The caller owns the memory
 * of every structure; what dial, listen and accept have filled is to be closed. One thread uses a connection.
 */
#ifndef CONN_H
#define CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h> /* before linux/vm_sockets.h, which needs its sa_family_t */
#include <sys/time.h>
#include <sys/types.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

enum {
    ENDPOINT_TEXT = 128, /* room for "unix:", a path (108) and the NUL: the longest of all addresses */
};

/* Any of the addresses, as the kernel reads them. LENGTH is how much of it there is. */
struct endpoint {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
        struct sockaddr_vm vm;
    };
    socklen_t length;
};

/* What is different from one address family to another. */
struct transport {
    const char *prefix; /* of its addresses: "tcp:" */

    /* Reads TEXT, an address with its prefix, into ENDPOINT. Returns 0, -EINVAL if it is none, -ENAMETOOLONG.
     */
    int (*parse)(struct endpoint *endpoint, const char *text);

    /* Writes ENDPOINT into TEXT, of ENDPOINT_TEXT bytes, prefix and all. */
    void (*format)(const struct endpoint *endpoint, char *text);

    /* Opens a socket that listens at ENDPOINT, and sets ENDPOINT to where peers can reach it. Returns the
     * descriptor, or -errno; CALL is what failed. */
    int (*listen)(struct endpoint *endpoint, const char **call);

    /* Opens a socket that is connected to ENDPOINT before DEADLINE. Returns the descriptor, or -errno. */
    int (*dial)(const struct endpoint *endpoint, int64_t deadline);
};

extern const struct transport transport_tcp;
extern const struct transport transport_unix;
extern const struct transport transport_vsock;

/* A connection. A deadline is a moment of now_ms, or 0 for none: what is not done by then fails with
 * -ETIMEDOUT, at once if it has passed already; a later deadline makes the connection usable again. */
struct conn {
    const struct transport *transport;
    int descriptor;
    int64_t read_deadline;
    int64_t write_deadline;
    struct endpoint local;
    struct endpoint remote;
};

struct listener {
    const struct transport *transport;
    int descriptor;
    struct endpoint local; /* where peers can reach it */
};

/* Returns the time in milliseconds, by a clock that nobody sets; never 0. */
int64_t now_ms(void);

/* Connects to ADDRESS before DEADLINE. Returns 0 or -errno; CALL is what failed: "parse" if it is no address,
 * else "connect". */
int conn_dial(struct conn *conn, const char *address, int64_t deadline, const char **call);

/* Reads what there is, at most SIZE bytes; waits until there is something. Returns how much, 0 at the end of
 * the peer's stream, or -errno. (Over vsock, 0 after a reset as well, or -ENOTCONN if conn_close_write came
 * between.) */
ssize_t conn_read(struct conn *conn, void *bytes, size_t size);

/* Writes all of SIZE bytes; MORE says that others follow which may go along with them. Returns 0, or -errno:
 * then some of them may have been written. */
int conn_write(struct conn *conn, const void *bytes, size_t size, bool more);

/* Ends this end's stream; the other direction goes on. Returns 0 or -errno. */
int conn_close_write(struct conn *conn);

/* Ends the connection. Returns 0 or -errno; the connection is closed in any case. */
int conn_close(struct conn *conn);

/* Write the address of this end, and of the other one, into TEXT, of ENDPOINT_TEXT bytes, and return TEXT. */
const char *conn_local(const struct conn *conn, char *text);
const char *conn_remote(const struct conn *conn, char *text);

/* Listens at ADDRESS. Returns 0 or -errno; CALL is what failed, "parse" if it is no address. */
int listener_listen(struct listener *listener, const char *address, const char **call);

/* Takes the next connection; sleeps while there is none. Returns 0 or -errno. */
int listener_accept(struct listener *listener, struct conn *conn);

/* Writes where peers can reach LISTENER into TEXT, of ENDPOINT_TEXT bytes, and returns TEXT. */
const char *listener_address(const struct listener *listener, char *text);

/* For transports: sets LEFT to the time from now to DEADLINE, for calls that want a length; to a day, which
 * is more than any program here waits, if there is no deadline: to the kernel 0 is no time, or for ever.
 * Returns 0, or -ETIMEDOUT if the deadline has passed. */
int time_left(int64_t deadline, struct timeval *left);

/* For transports: connects DESCRIPTOR, of a socket that does not block, to ENDPOINT before DEADLINE. Returns
 * 0 or -errno. */
int connect_until(int descriptor, const struct endpoint *endpoint, int64_t deadline);

#endif
