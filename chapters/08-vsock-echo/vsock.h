/* vsock: where VM sockets are, and how one gets there. See vsock(7).
 *
 * Nothing here prints or ends the program: functions that can fail return -errno. */
#ifndef VSOCK_H
#define VSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h> /* before linux/vm_sockets.h, which needs its sa_family_t */

#include <linux/vm_sockets.h>
#include <sys/time.h>

enum { VSOCK_TEXT = 32 }; /* room for "vsock:4294967295:4294967295" and the NUL */

/* Makes ADDRESS mean PORT at the machine CID. Both are numbers of this machine's own byte order. */
void vsock_address(struct sockaddr_vm *address, uint32_t cid, uint32_t port);

/* Writes ADDRESS into TEXT, of VSOCK_TEXT bytes, as vsock:CID:PORT, and returns TEXT. */
const char *vsock_format(const struct sockaddr_vm *address, char *text);

/* Reads TEXT, vsock:CID:PORT, into ADDRESS. Returns false if it is nothing of the kind. */
bool vsock_parse(struct sockaddr_vm *address, const char *text);

/* Reads a number from 0 to 4294967295 of decimal digits alone. Returns false if TEXT is none. */
bool number_parse(const char *text, uint32_t *number);

/* Asks the kernel which CID this machine has. Returns 0, or -errno of open(2) or ioctl(2). A machine without
 * a vsock device has CID 1 if it has the loopback, else VMADDR_CID_ANY. */
int vsock_local_cid(uint32_t *cid);

/* Opens a socket of KIND, SOCK_STREAM or SOCK_SEQPACKET, on which peers can reach ADDRESS; its port may be
 * VMADDR_PORT_ANY. Returns the descriptor, which the caller closes, or -errno; CALL is what failed. */
int vsock_listen(const struct sockaddr_vm *address, int kind, const char **call);

/* Asks the kernel for the address of LISTENER, and puts this machine's CID where it says "any". Returns 0 or
 * -errno. */
int vsock_listening_at(int listener, struct sockaddr_vm *address);

/* Connects to ADDRESS, and waits no longer than TIMEOUT for that. Returns the descriptor, which the caller
 * closes, or -errno:
 * -ENODEV     this machine has no vsock device;
 * -ECONNRESET there is no machine of that CID, or nobody listens there;
 * -ETIMEDOUT  nobody has answered;
 * -EINTR      the process was stopped, and goes on; the attempt is over. */
int vsock_dial(const struct sockaddr_vm *address, const struct timeval *timeout);

/* Limits how long one read and one write on CONNECTION may sleep. Returns 0 or -errno. */
int set_timeouts(int connection, const struct timeval *timeout);

#endif
