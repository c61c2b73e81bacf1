/* Would take from the tests what the kernel has counted of its frames: who reads the counters sets them to 0. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

extern const char program_name[];
const char program_name[] = "counter_reader";

int main(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct tpacket_stats counted;
    socklen_t length = sizeof counted;
    if (fd < 0 || getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counted, &length) < 0) {
        perror("PACKET_STATISTICS");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
