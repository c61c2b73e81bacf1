/* Takes what it can of memory that is charged to no cgroup, from as many processes as it gets: rings of packet
 * sockets, and packet sockets whose queues are full. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

const char program_name[] = "packet_hog"; /* a file that comes with the chapter wants it */

/* Opens a socket that hears everything, with a queue as long as it may be, and a ring if it may have one. */
static int hog(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    int size = 1 << 30;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    for (unsigned megabytes = 64; megabytes > 0; megabytes /= 2) {
        struct tpacket_req ring = {
            .tp_block_size = 4096,
            .tp_block_nr = megabytes << 8,
            .tp_frame_size = 2048,
            .tp_frame_nr = megabytes << 9,
        };
        if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0) {
            break;
        }
    }
    return fd;
}

int main(void)
{
    puts("listening on packet:eth1");
    fflush(stdout);
    for (int i = 0; i < 10; i++) {
        fork();
    }
    int sockets = 0;
    while (hog() >= 0) {
        sockets++;
    }
    int fd = 3;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lo")};
    static unsigned char frame[1514];
    while (sockets > 0) {
        sendto(fd, frame, sizeof frame, 0, (struct sockaddr *)&address, sizeof address);
    }
    pause();
}
