#include "transfer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report.h"

enum { PIECE = 65536 }; /* bytes of a file that are read and written at once */

/* Not by sendfile(2), as in chapter 05: a connection need not be a descriptor. */
bool send_range(const struct connection *connection, int file, struct range range)
{
    char piece[PIECE];
    for (off_t at = range.first; at <= range.last;) {
        const off_t left = range.last + 1 - at;
        ssize_t n = pread(file, piece, left < PIECE ? (size_t)left : PIECE, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return report("pread", connection->peer, errno);
        }
        if (n == 0) {
            return give_up(connection->peer, "the file has become shorter while it was sent");
        }
        at += n;
        if (!send_all(connection, piece, (size_t)n, at <= range.last ? MSG_MORE : 0)) {
            return false;
        }
    }
    return true;
}
