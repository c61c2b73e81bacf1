/* launcher: waits to become the program under test, then gives up its rights and does.
 *
 *   launcher ORDERS ANSWER [CEILING]
 *
 * First it gives up the capabilities that are not in CEILING, a mask in hexadecimal, for all that it becomes;
 * it stays root, out of reach of every program under test. Then it says one byte on descriptor ANSWER, and
 * waits.
 *
 * It reads its orders from descriptor ORDERS, up to the end: strings, each with its NUL, first the file, the
 * directory to be in, the user's number (empty: no right is given up), the capabilities to keep (a mask), how
 * many arguments there are, then the arguments, then the environment. If it cannot become the program it says
 * the error's number on ANSWER; if it can, execve(2) closes that.
 *
 * A process that an interpreter has forked could do all this itself. But execve(2) has to take down all of
 * the interpreter's memory, which in an emulated machine costs more than the rest of a start. And what is
 * done before the wait is done ahead of need, and not recorded by whoever records the program's system calls.
 */
#define _GNU_SOURCE /* setresuid(2), setgroups(2) */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ORDERS_MAX = 256 * 1024, /* bytes; the kernel takes 128 KiB for one argument */
    STRINGS_MAX = 4096,      /* arguments and environment, and the NULL behind each */
};

struct orders {
    const char *path;
    const char *directory;
    const char *user;
    uint64_t capabilities;
    char **arguments;
    char **environment;
};

/* Reads DESCRIPTOR to its end into BUFFER of SIZE bytes. Returns how many came, or -errno. */
static ssize_t read_all(int descriptor, char *buffer, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t n = read(descriptor, buffer + used, size - used);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            return (ssize_t)used;
        }
        used += (size_t)n;
    }
    return -E2BIG;
}

/* Returns the string at *AT and moves *AT behind it; NULL if it does not end before END. */
static char *next_string(char **at, char *end)
{
    char *string = *at;
    char *nul = memchr(string, '\0', (size_t)(end - string));
    if (nul == NULL) {
        return NULL;
    }
    *at = nul + 1;
    return string;
}

/* Makes ORDERS of SIZE bytes of TEXT, which they point into; STRINGS holds the two arrays. Returns 0 or
 * -errno. */
static int orders_parse(struct orders *orders, char *text, size_t size, char *strings[STRINGS_MAX])
{
    char *at = text;
    char *end = text + size;
    orders->path = next_string(&at, end);
    orders->directory = next_string(&at, end);
    orders->user = next_string(&at, end);
    const char *capabilities = next_string(&at, end);
    const char *count = next_string(&at, end);
    if (count == NULL) { /* as none of those before it, then, or this one */
        return -EINVAL;
    }
    orders->capabilities = strtoull(capabilities, NULL, 16);
    const size_t arguments = strtoul(count, NULL, 10);
    size_t used = 0;
    orders->arguments = strings;
    for (size_t i = 0; at < end; i++) {
        if (i == arguments) {
            strings[used++] = NULL;
        }
        if (used + 2 >= STRINGS_MAX || (strings[used++] = next_string(&at, end)) == NULL) {
            return -E2BIG;
        }
    }
    if (used <= arguments) { /* no environment */
        strings[used++] = NULL;
    }
    strings[used] = NULL;
    orders->environment = strings + arguments + 1;
    return 0;
}

/* Sets what is permitted, effective and inheritable to MASK (capabilities(7)). Returns 0 or -errno. */
static int set_capabilities(uint64_t mask)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
        const uint32_t bits = (uint32_t)(mask >> (32 * word));
        data[word] =
            (struct __user_cap_data_struct){.effective = bits, .permitted = bits, .inheritable = bits};
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Sees to it that no program which this process becomes or starts, set-user-ID or not, has other capabilities
 * than those of MASK. Returns 0 or -errno. */
static int set_ceiling(uint64_t mask)
{
    for (int capability = 0; capability < 64; capability++) {
        const bool kept = (mask >> capability & 1) != 0;
        if (!kept && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL) {
            return -errno; /* EINVAL: this kernel has no such capability */
        }
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Becomes USER, with the capabilities of MASK and no other right. Returns 0 or -errno. */
static int give_up_rights(uid_t user, uint64_t mask)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
        return -errno;
    }
    if (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0) {
        return -errno;
    }
    const int error = set_capabilities(mask);
    if (error < 0) {
        return error;
    }
    for (int capability = 0; capability < 64; capability++) {
        const bool kept = (mask >> capability & 1) != 0;
        if (kept && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) {
            return -errno;
        }
    }
    return 0;
}

/* Becomes what ORDERS say. Returns -errno, or not at all. */
static int become(const struct orders *orders)
{
    if (chdir(orders->directory) < 0) {
        return -errno;
    }
    if (orders->user[0] != '\0') {
        const int error = give_up_rights((uid_t)strtoul(orders->user, NULL, 10), orders->capabilities);
        if (error < 0) {
            return error;
        }
    }
    execve(orders->path, orders->arguments, orders->environment);
    return -errno;
}

int main(int argc, char **argv)
{
    static char text[ORDERS_MAX];
    static char *strings[STRINGS_MAX];
    if (argc < 3 || argc > 4) {
        fputs("usage: launcher ORDERS ANSWER [CEILING]\n", stderr);
        return 2;
    }
    if (argc == 4 && set_ceiling(strtoull(argv[3], NULL, 16)) < 0) {
        return 1;
    }
    const int source = (int)strtol(argv[1], NULL, 10);
    const int answer = (int)strtol(argv[2], NULL, 10);
    if (fcntl(source, F_SETFD, FD_CLOEXEC) < 0 || fcntl(answer, F_SETFD, FD_CLOEXEC) < 0 ||
        write(answer, "", 1) < 0) {
        return 1;
    }
    ssize_t size = read_all(source, text, sizeof text);
    if (size == 0) {
        return 0; /* nobody wants it */
    }
    struct orders orders = {.path = NULL};
    int error = size < 0 ? (int)size : orders_parse(&orders, text, (size_t)size, strings);
    if (error == 0) {
        error = become(&orders);
    }
    return dprintf(answer, "%d", -error) < 0 ? 1 : 127;
}
