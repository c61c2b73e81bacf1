/* Fills every directory that it may write to, with large files and then with many. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void fill(const char *directory)
{
    static char block[1 << 16];
    for (int number = 0;; number++) {
        char path[128];
        snprintf(path, sizeof path, "%s/filler-%d", directory, number);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        if (fd < 0) {
            return;
        }
        while (write(fd, block, sizeof block) > 0) {
        }
        close(fd);
    }
}

int main(void)
{
    static const char *const places[] = {".", "/tmp", "/var/tmp", "/dev/shm", "/run", "/home/student"};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        fill(places[i]);
    }
    pause();
}
