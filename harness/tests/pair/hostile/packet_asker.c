/* Has no business with packets in chapter 01: says whether it may open a packet socket nevertheless. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    perror("socket");
    return fd >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
