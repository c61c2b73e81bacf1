/* vsock:CID:PORT: what chapter 08 taught, behind the interface. */
#include <errno.h>
#include <unistd.h>

#include "conn.h"
#include "vsock.h"

static int vm_parse(struct endpoint *endpoint, const char *text)
{
    /* BEGIN SOLUTION */
    endpoint->length = sizeof endpoint->vm;
    return vsock_parse(&endpoint->vm, text) ? 0 : -EINVAL;
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // vsock.h has vsock_parse
    return text[0] == '\0' ? -EINVAL : -ENOSYS;
    */
}

static void vm_format(const struct endpoint *endpoint, char *text)
{
    vsock_format(&endpoint->vm, text);
}

static int vm_listen(struct endpoint *endpoint, const char **call)
{
    /* BEGIN SOLUTION */
    if (endpoint->vm.svm_port == 0) {
        endpoint->vm.svm_port = VMADDR_PORT_ANY;
    }
    int listener = vsock_listen(&endpoint->vm, SOCK_STREAM, call);
    if (listener < 0) {
        return listener;
    }
    *call = "ioctl";
    int error = vsock_listening_at(listener, &endpoint->vm);
    if (error < 0) {
        close(listener);
        return error;
    }
    return listener;
    /* END SOLUTION */
    /* STARTER:
    *call = "vm_listen"; // vsock_listen, vsock_listening_at; and what is port 0?
    return endpoint->length == 0 ? -EINVAL : -ENOSYS;
    */
}

static int vm_dial(const struct endpoint *endpoint, int64_t deadline)
{
    /* BEGIN SOLUTION */
    int result = 0;
    do { /* who was stopped and goes on has to ask anew */
        struct timeval left;
        result = time_left(deadline, &left);
        if (result == 0) {
            result = vsock_dial(&endpoint->vm, &left);
        }
    } while (result == -EINTR);
    return result;
    /* END SOLUTION */
    /* STARTER:
    (void)endpoint; // vsock_dial wants a length of time, not a moment: time_left
    return deadline == 0 ? -EINVAL : -ENOSYS;
    */
}

const struct transport transport_vsock = {
    .prefix = "vsock:",
    .parse = vm_parse,
    .format = vm_format,
    .listen = vm_listen,
    .dial = vm_dial,
};
