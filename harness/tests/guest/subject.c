/* A server to be tested by the harness's own tests: answers one line with "hello\n", one client after the other.
 * `--mistake NAME` makes it do one thing wrong. Not an example of anything but that. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;
static const char *mistake = "";

static bool makes(const char *name)
{
    return strcmp(mistake, name) == 0;
}

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void die(const char *call)
{
    fprintf(stderr, "subject: %s: %s\n", call, strerror(errno));
    exit(1);
}

static void serve(int peer)
{
    char line[4096];
    size_t used = 0;
    while (used < sizeof line && !memchr(line, '\n', used) && !stopping) {
        ssize_t n = read(peer, line + used, sizeof line - used);
        if (n <= 0)
            break;
        used += (size_t)n;
        if (makes("answers-early"))
            break;
    }
    if (makes("spins"))
        for (;;)
            continue;
    if (makes("silent"))
        pause();
    if (makes("dies"))
        raise(SIGSEGV);
    if (makes("aborts-connection"))
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    char answer[64] = "hello\n";
    if (makes("wrong-bytes"))
        strcpy(answer, "hallo\n");
    if (makes("not-found"))
        strcpy(answer, "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n");
    size_t length = strlen(answer) + (makes("nul") ? 1 : 0) - (makes("short") ? 2 : 0);
    if (makes("whole-buffer") || makes("more-data"))
        length = sizeof answer;
    if (makes("more-data"))
        strcpy(answer + length - 5, "data");
    if (used && write(peer, answer, length) < 0 && makes("exits-on-error"))
        exit(3);
    if (makes("zombie") && (fork() == 0 || fork() == 0))
        _exit(0);
    if (makes("leaks") || makes("stays-open"))
        return;
    close(peer);
}

static void daemonise(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            for (;;)
                pause();
        _exit(0);
    }
    wait(NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        mistake = argv[2];
    if (argc == 2) {
        fprintf(stderr, "subject: unknown option %s\n", argv[1]);
        return 2;
    }
    if (makes("exits"))
        return 1;
    if (makes("fake-ready")) {
        printf("listening on tcp:127.0.0.1:1\n");
        fflush(stdout);
        pause();
    }
    struct sigaction action = { .sa_handler = makes("ignores-sigterm") ? SIG_IGN : on_signal };
    sigaction(SIGTERM, &action, NULL);
    if (makes("daemonises"))
        daemonise();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0)
        die("bind");
    if (!makes("never-listens") && listen(listener, 16) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf(makes("odd-line") ? "ready on port %d\n" : "listening on tcp:0.0.0.0:%d\n", ntohs(address.sin_port));
    if (!makes("never-flushes"))
        fflush(stdout);
    while (makes("floods"))
        printf("all work and no play makes a long line of output that nobody wants to read\n");
    while (!stopping) {
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer >= 0)
            serve(peer);
        else if (errno != EINTR)
            die("accept4");
    }
    return makes("bad-exit") ? 7 : 0;
}
