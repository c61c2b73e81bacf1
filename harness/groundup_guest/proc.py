"""What /proc says about processes and sockets (proc(5)). Plain `os` calls: under emulation each system call counts."""

import contextlib
import ctypes
import os
import re
import socket
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

O_CLOEXEC = 0o2000000
SYS_PIDFD_GETFD = 438  # asm-generic/unistd.h
SOL_PACKET, PACKET_STATISTICS = 263, 6  # linux/socket.h, linux/if_packet.h
READ_SIZE = 1 << 16

TCP_STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT"),
    *("LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
"""Names for the `st` column of /proc/net/tcp, by number (include/net/tcp_states.h)."""

TARGET = 100
"""How much of what a descriptor refers to is told: a path may have 4 kB, and an answer has a limit."""
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def read(path: str) -> bytes:
    """Return a whole file of /proc. Raises FileNotFoundError or ProcessLookupError when its process has gone.

    The kernel hands out such files line by line, as many as fit a page (fs/seq_file.c): after much less than a page
    there is no more, and asking for it is a system call saved. No line is that long.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.read(descriptor, READ_SIZE)]
        while len(parts[-1]) > PAGE // 2:
            parts.append(os.read(descriptor, READ_SIZE))
    finally:
        os.close(descriptor)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread in one look: `state` is the letter of proc(5), `run_ns` how long it has been on a CPU."""

    pid: int
    tid: int
    state: str
    run_ns: int


def threads(pid: int) -> list[Thread]:
    """Return the threads of a process; none if it has gone."""
    found: list[Thread] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        number, only = _thread(pid, f"/proc/{pid}")
        if number == 1:
            return [only]
        for tid in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append(_thread(pid, f"/proc/{pid}/task/{tid}")[1])
    return found


def _thread(pid: int, place: str) -> tuple[int, Thread]:
    """Return how many threads the process has, and the one whose directory is `place`."""
    tid, _, rest = read(f"{place}/stat").partition(b" ")
    # The name, second field, may hold spaces and parentheses: what follows the last ")" is safe to split.
    fields = rest.rpartition(b")")[2].split()
    try:
        run_ns = int(read(f"{place}/schedstat").partition(b" ")[0])
    except FileNotFoundError:  # a kernel without CONFIG_SCHED_INFO
        run_ns = (int(fields[11]) + int(fields[12])) * TICK_NS
    return int(fields[17]), Thread(pid, int(tid), fields[0].decode(), run_ns)


def parent(pid: int) -> int:
    """Return the parent's process id, 0 if the process has gone."""
    try:
        return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def children(pid: int) -> list[int]:
    """Return the children of all threads of a process, zombies included."""
    found: list[int] = []
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            found += map(int, read(f"/proc/{pid}/task/{tid}/children").split())
    except ProcessLookupError:
        return found
    except FileNotFoundError:
        if os.path.exists(f"/proc/{pid}/task/{pid}"):  # noqa: PTH110  (no CONFIG_PROC_CHILDREN: the long way round)
            return [other for other in all_processes() if parent(other) == pid]
    return found


def all_processes() -> list[int]:
    """Return the id of every process that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def zombies(pids: list[int]) -> list[int]:
    """Return children of `pids` that have ended and that nobody has waited for."""
    dead = []
    for pid in pids:
        for child in children(pid):
            states = threads(child)
            if states and all(thread.state == "Z" for thread in states):
                dead.append(child)
    return dead


def resident_bytes(pid: int) -> int:
    """Return the memory in use (RSS), in bytes; 0 if the process has gone."""
    try:
        return int(read(f"/proc/{pid}/statm").split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _living(pid: int) -> str:
    """Return the directory in /proc of a process, of another thread of it where the first has ended.

    /proc/PID/fd is empty then, and another thread's is not.
    """
    living = next((thread.tid for thread in threads(pid) if thread.state not in "ZX"), pid)
    return f"/proc/{pid}/task/{living}"


def descriptor_numbers(pid: int) -> list[int]:
    """Return the numbers of the open descriptors, in order; none if the process has gone."""
    try:
        found = os.listdir(f"/proc/{pid}/fd") or os.listdir(f"{_living(pid)}/fd")  # noqa: PTH208
    except (FileNotFoundError, ProcessLookupError):
        return []
    return sorted(map(int, found))


def descriptor(pid: int, number: int) -> dict[str, Any]:
    """Return an open descriptor: its number, what it refers to (empty if it is open no more), and its close-on-exec."""
    place, target, cloexec = _living(pid), "", False
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        target = os.readlink(f"{place}/fd/{number}")[:TARGET]  # noqa: PTH115
        flags = re.search(rb"^flags:\s*([0-7]+)", read(f"{place}/fdinfo/{number}"), re.MULTILINE)
        cloexec = flags is not None and bool(int(flags[1], 8) & O_CLOEXEC)
    return {"fd": number, "target": target, "cloexec": cloexec}


def descriptors(pid: int) -> list[dict[str, Any]]:
    """Return the open descriptors, in order."""
    found = [descriptor(pid, number) for number in descriptor_numbers(pid)]
    return [each for each in found if each["target"]]


def packets_delivered(pid: int, number: int) -> tuple[int, int] | None:
    """Return how many frames a packet socket of another process was given since the last look, and how many it lost.

    What its filter refused is in neither. The kernel counts, however the process reads (PACKET_STATISTICS, packet(7));
    the look itself sets the counters to 0. None if the descriptor is no packet socket, or no more.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        taken = libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    if taken < 0:
        return None
    if not stat.S_ISSOCK(os.fstat(taken).st_mode):
        os.close(taken)
        return None
    with socket.socket(fileno=taken) as twin:
        if twin.family != socket.AF_PACKET:
            return None
        packets, lost = struct.unpack_from("=II", twin.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        return packets, lost


def frames_delivered(pids: Iterable[int]) -> dict[str, Any]:
    """Return what `packets_delivered` says of all packet sockets of these processes together, and how many they are.

    One that several of them hold is among them as often, and its frames once: the first look takes them.
    """
    counts = [packets_delivered(pid, number) for pid in pids for number in descriptor_numbers(pid)]
    found = [each for each in counts if each is not None]
    return {"sockets": len(found), "frames": sum(each[0] for each in found), "lost": sum(each[1] for each in found)}


def _address(text: str) -> tuple[str, int]:
    """Return host and port from the hexadecimal form of /proc/net/*, whose words are in the machine's byte order."""
    host, _, port = text.partition(":")
    raw = struct.pack(f"={len(host) // 8}I", *(int(host[i : i + 8], 16) for i in range(0, len(host), 8)))
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw), int(port, 16)
    return socket.inet_ntop(socket.AF_INET6, raw).removeprefix("::ffff:"), int(port, 16)


@dataclass(frozen=True, slots=True)
class InetSocket:
    """One line of /proc/net/{tcp,udp}{,6}. Queues are in bytes; for a listener `unread` counts waiting connections."""

    kind: str
    local: tuple[str, int]
    remote: tuple[str, int]
    state: str
    unsent: int
    unread: int
    inode: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "kind": self.kind,
            "local": {"host": self.local[0], "port": self.local[1]},
            "remote": {"host": self.remote[0], "port": self.remote[1]},
            "state": self.state,
            "unsent": self.unsent,
            "unread": self.unread,
            "inode": self.inode,
        }


def inet_sockets(*tables: str) -> list[InetSocket]:
    """Return the sockets of `tables`, of which there are tcp, tcp6, udp, udp6."""
    found = []
    for table in tables:
        try:
            lines = read(f"/proc/net/{table}").decode("ascii", "replace").splitlines()[1:]
        except FileNotFoundError:  # IPv6 is off
            continue
        for line in lines:
            fields = line.split()
            number = int(fields[3], 16)
            state = TCP_STATES[number] if table.startswith("tcp") and number < len(TCP_STATES) else ""
            unsent, _, unread = fields[4].partition(":")
            found.append(
                InetSocket(
                    kind=table,
                    local=_address(fields[1]),
                    remote=_address(fields[2]),
                    state=state,
                    unsent=int(unsent, 16),
                    unread=int(unread, 16),
                    inode=int(fields[9]),
                )
            )
    return found


def connection(local_port: int, peer_port: int) -> InetSocket | None:
    """Return this machine's end of the TCP connection between two ports, None if there is none.

    Only lines that carry both ports are parsed: a machine may have thousands.
    """
    local, remote = f":{local_port:04X} ", f":{peer_port:04X} "
    for table in ("tcp6", "tcp"):
        try:
            text = read(f"/proc/net/{table}").decode("ascii", "replace")
        except FileNotFoundError:
            continue
        for line in text.splitlines()[1:]:
            ports = line.split(None, 3)
            if len(ports) == 4 and f"{ports[1]} ".endswith(local) and f"{ports[2]} ".endswith(remote):
                fields = line.split()
                number = int(fields[3], 16)
                unsent, _, unread = fields[4].partition(":")
                return InetSocket(
                    table,
                    _address(fields[1]),
                    _address(fields[2]),
                    TCP_STATES[number] if number < len(TCP_STATES) else "",
                    int(unsent, 16),
                    int(unread, 16),
                    int(fields[9]),
                )
    return None


def packet_sockets() -> dict[int, dict[str, Any]]:
    """Return the packet sockets of this machine by their inodes: EtherType, index of the interface, bytes unread."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for line in read("/proc/net/packet").decode("ascii", "replace").splitlines()[1:]:
            _, _, _, protocol, interface, _, unread, _, inode = line.split()
            found[int(inode)] = {
                "kind": "packet",
                "state": "",
                "protocol": int(protocol, 16),
                "interface": int(interface),
                "unread": int(unread),
                "inode": int(inode),
            }
    return found


def sockets_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the sockets among `found` descriptors are, each with its number as `fd`."""
    inodes = {}
    for descriptor in found:
        if match := re.fullmatch(r"socket:\[(\d+)\]", descriptor["target"]):
            inodes[int(match[1])] = descriptor["fd"]
    if not inodes:
        return []
    known = {entry.inode: entry.as_dict() for entry in inet_sockets("tcp", "tcp6", "udp", "udp6")} | packet_sockets()
    return [{"fd": descriptor, **known[inode]} for inode, descriptor in inodes.items() if inode in known]
