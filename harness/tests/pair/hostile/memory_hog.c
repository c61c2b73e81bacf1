/* Takes all the memory there is, and has the kernel fill it at once: page by page a slow machine takes its time. */
#define _GNU_SOURCE /* MAP_POPULATE */
#include <stddef.h>
#include <sys/mman.h>

int main(void)
{
    for (;;) {
        mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    }
}
