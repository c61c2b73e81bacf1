/* Forks without end, in every child as well. */
#include <unistd.h>

int main(void)
{
    for (;;) {
        fork();
    }
}
