#include "vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void vsock_address(struct sockaddr_vm *address, uint32_t cid, uint32_t port)
{
    /* BEGIN SOLUTION */
    memset(address, 0, sizeof *address); /* the kernel insists on zeros in the rest (svm_zero) */
    address->svm_family = AF_VSOCK;
    address->svm_cid = cid;
    address->svm_port = port;
    /* END SOLUTION */
    /* STARTER:
    memset(address, 0, sizeof *address); // vsock(7): svm_family, svm_cid, svm_port
    (void)cid;
    (void)port;
    */
}

const char *vsock_format(const struct sockaddr_vm *address, char *text)
{
    snprintf(text, VSOCK_TEXT, "vsock:%u:%u", address->svm_cid, address->svm_port);
    return text;
}

/* strtoul(3) alone would take " 80", "-1", "80x" and "" as well. */
bool number_parse(const char *text, uint32_t *number)
{
    const size_t digits = strspn(text, "0123456789");
    errno = 0;
    const unsigned long value = strtoul(text, NULL, 10);
    *number = (uint32_t)value;
    return digits > 0 && text[digits] == '\0' && errno == 0 && value <= UINT32_MAX;
}

bool vsock_parse(struct sockaddr_vm *address, const char *text)
{
    char copy[VSOCK_TEXT];
    uint32_t cid = 0;
    uint32_t port = 0;
    if (strncmp(text, "vsock:", 6) != 0 || strlen(text) >= sizeof copy) {
        return false;
    }
    snprintf(copy, sizeof copy, "%s", text + 6);
    char *colon = strchr(copy, ':');
    if (colon == NULL) {
        return false;
    }
    *colon = '\0';
    if (!number_parse(copy, &cid) || !number_parse(colon + 1, &port)) {
        return false;
    }
    vsock_address(address, cid, port);
    return true;
}

int vsock_local_cid(uint32_t *cid)
{
    /* BEGIN SOLUTION */
    int device = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    if (device < 0) {
        return -errno;
    }
    int result = ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, cid) < 0 ? -errno : 0;
    close(device);
    return result;
    /* END SOLUTION */
    /* STARTER:
    (void)cid; // open(2) /dev/vsock, ioctl(2) IOCTL_VM_SOCKETS_GET_LOCAL_CID
    return -ENOSYS;
    */
}

int vsock_listen(const struct sockaddr_vm *address, int kind, const char **call)
{
    /* BEGIN SOLUTION */
    *call = "socket";
    int listener = socket(AF_VSOCK, kind | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        return -errno;
    }
    *call = "bind";
    int result = bind(listener, (const struct sockaddr *)address, sizeof *address);
    if (result == 0) {
        *call = "listen";
        result = listen(listener, SOMAXCONN);
    }
    if (result < 0) {
        result = -errno; /* before close(2) can set another */
        close(listener);
        return result;
    }
    return listener;
    /* END SOLUTION */
    /* STARTER:
    (void)address; // socket(2), bind(2), listen(2), as in chapter 01
    (void)kind;
    *call = "vsock_listen";
    return -ENOSYS;
    */
}

int vsock_listening_at(int listener, struct sockaddr_vm *address)
{
    /* BEGIN SOLUTION */
    socklen_t length = sizeof *address;
    if (getsockname(listener, (struct sockaddr *)address, &length) < 0) {
        return -errno;
    }
    if (address->svm_cid != VMADDR_CID_ANY) {
        return 0;
    }
    uint32_t cid = 0; /* not &address->svm_cid: an ioctl that fails half-way must not leave half an address */
    int result = vsock_local_cid(&cid);
    address->svm_cid = cid;
    return result;
    /* END SOLUTION */
    /* STARTER:
    (void)listener; // getsockname(2), and the machine's own CID in place of VMADDR_CID_ANY
    (void)address;
    return -ENOSYS;
    */
}

int vsock_dial(const struct sockaddr_vm *address, const struct timeval *timeout)
{
    /* BEGIN SOLUTION */
    int connection = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return -errno;
    }
    /* Not SO_SNDTIMEO: a vsock has its own limit for connect(2), of two seconds if none is set. */
    if (setsockopt(connection, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, timeout, sizeof *timeout) < 0 ||
        connect(connection, (const struct sockaddr *)address, sizeof *address) < 0) {
        int result = -errno;
        close(connection);
        return result;
    }
    return connection;
    /* END SOLUTION */
    /* STARTER:
    (void)address; // socket(2), SO_VM_SOCKETS_CONNECT_TIMEOUT, connect(2)
    (void)timeout;
    return -ENOSYS;
    */
}

int set_timeouts(int connection, const struct timeval *timeout)
{
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout) < 0 ||
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, timeout, sizeof *timeout) < 0) {
        return -errno;
    }
    return 0;
}
