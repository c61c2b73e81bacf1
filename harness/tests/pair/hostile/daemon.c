/* Leaves the session and the process group, prints a ready line and lets its parent end with success. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            puts("listening on tcp:[::]:4000");
            fflush(stdout);
            pause();
        }
        _exit(0);
    }
    return 0;
}
