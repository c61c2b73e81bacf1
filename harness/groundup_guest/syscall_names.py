"""Names for the numbers in system calls: what strace(1) would print for the calls that network programs make.

Values are those of Linux on x86-64 (linux/socket.h, asm-generic/*); most are taken from the interpreter's own modules.
"""

import errno
import os
import signal
import socket


def _from_module(module: object, prefix: str) -> dict[int, str]:
    """Return the names in `module` that begin with `prefix`, by value; the shortest name wins."""
    found: dict[int, str] = {}
    for name in sorted(dir(module), key=lambda name: (-len(name), name), reverse=False):
        if name.startswith(prefix):
            found[int(getattr(module, name))] = name
    return found


FAMILIES = {
    0: "AF_UNSPEC",
    1: "AF_UNIX",
    2: "AF_INET",
    10: "AF_INET6",
    16: "AF_NETLINK",
    17: "AF_PACKET",
    40: "AF_VSOCK",
}
TYPES = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET"}
TYPE_FLAGS = {0o4000: "SOCK_NONBLOCK", 0o2000000: "SOCK_CLOEXEC"}
PROTOCOLS = {0: "IPPROTO_IP", 1: "IPPROTO_ICMP", 6: "IPPROTO_TCP", 17: "IPPROTO_UDP", 58: "IPPROTO_ICMPV6"}
SHUTDOWNS = {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"}
SIGNALS = {int(number): number.name for number in signal.Signals}
ERRNOS = dict(errno.errorcode)
MESSAGE_FLAGS = {
    1: "MSG_OOB",
    2: "MSG_PEEK",
    4: "MSG_DONTROUTE",
    0x20: "MSG_TRUNC",
    0x40: "MSG_DONTWAIT",
    0x100: "MSG_WAITALL",
    0x4000: "MSG_NOSIGNAL",
    0x8000: "MSG_MORE",
}
OPEN_MODES = {0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR"}
OPEN_FLAGS = {
    os.O_CREAT: "O_CREAT",
    os.O_EXCL: "O_EXCL",
    os.O_TRUNC: "O_TRUNC",
    os.O_APPEND: "O_APPEND",
    os.O_NONBLOCK: "O_NONBLOCK",
    os.O_CLOEXEC: "O_CLOEXEC",
    os.O_DIRECTORY: "O_DIRECTORY",
    os.O_NOFOLLOW: "O_NOFOLLOW",
}
AT_FLAGS = {0x100: "AT_SYMLINK_NOFOLLOW", 0x1000: "AT_EMPTY_PATH"}
FCNTLS = {0: "F_DUPFD", 1: "F_GETFD", 2: "F_SETFD", 3: "F_GETFL", 4: "F_SETFL", 1030: "F_DUPFD_CLOEXEC"}
EPOLL_OPERATIONS = {1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD"}
LEVELS = {0: "SOL_IP", 1: "SOL_SOCKET", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6", 263: "SOL_PACKET"}
SIGNAL_MASKS = {0: "SIG_BLOCK", 1: "SIG_UNBLOCK", 2: "SIG_SETMASK"}
OPTIONS = {
    0: {1: "IP_TOS", 2: "IP_TTL", 8: "IP_PKTINFO", 10: "IP_MTU_DISCOVER", 11: "IP_RECVERR"},
    1: {
        **_from_module(socket, "SO_"),
        2: "SO_REUSEADDR",
        3: "SO_TYPE",
        4: "SO_ERROR",
        7: "SO_SNDBUF",
        8: "SO_RCVBUF",
        9: "SO_KEEPALIVE",
        13: "SO_LINGER",
        15: "SO_REUSEPORT",
        20: "SO_RCVTIMEO",
        21: "SO_SNDTIMEO",
        26: "SO_ATTACH_FILTER",
    },
    6: _from_module(socket, "TCP_"),
    41: {26: "IPV6_V6ONLY", 49: "IPV6_RECVPKTINFO", 50: "IPV6_PKTINFO"},
}


def flags(value: int, names: dict[int, str]) -> str:
    """Return `value` as names joined by `|`, what has no name in hexadecimal, 0 as `0`."""
    parts = [name for bit, name in names.items() if value & bit == bit]
    for bit in names:
        value &= ~bit
    if value or not parts:
        parts.append(hex(value) if value else "0")
    return "|".join(parts)
