"""What a program under test may do and use, and how all of it is found and ended.

`Confinement` confines nothing: it is for the package's own tests on a developer's machine, where neither cgroups nor a
second user can be counted on. `GuestConfinement` is the real one, inside a machine that belongs to the harness alone.
Both are used the same way: a `Cell` is made for each program, ahead of need; the process that will be the program is
put into it by `enter`, limits itself by `harden`, and gives up its rights, all but its `Rights`, as it becomes it.
"""

import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from groundup_guest import proc

MEMORY_BYTES = 256 << 20
PROCESSES = 256
DESCRIPTORS = 4096
FILE_BYTES = 64 << 20
USER = 1000

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
CAP_NET_BIND_SERVICE = 10  # linux/capability.h
CAP_NET_RAW = 13
GRANTABLE = {"net_raw": CAP_NET_RAW}
"""What a chapter may ask for its program, by name: see ARCHITECTURE.md, "Trust", for what a program can do with it."""
RAW_MEMORY_BYTES, RAW_PROCESSES, RAW_DESCRIPTORS = 128 << 20, 16, 16
"""The limits of a program that may open packet sockets: so many of them cannot hold the machine's memory."""
FIRST_TO_GO, LAST_TO_GO = 1000, -1000
"""For oom_score_adj: whom the kernel ends when the machine's memory is used up (proc(5))."""
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
SHUT = ("kernel/shmall", "user/max_user_namespaces", "fs/mqueue/queues_max")
"""Limits that are set to 0: what they allow outlives the program, or gives it more rights in a namespace of its own."""

LAUNCHER = Path("/usr/local/lib/groundup/launcher")
"""Where the image has it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a program runs as: a user, whose group has the same number, and capabilities by their numbers."""

    user: int = USER
    capabilities: tuple[int, ...] = (CAP_NET_BIND_SERVICE,)
    """Not CAP_NET_RAW, but where a chapter needs it: a packet socket's memory is charged to no cgroup."""

    def mask(self) -> int:
        """Return the capabilities as the kernel takes them, a bit for each."""
        return sum(1 << capability for capability in self.capabilities)

    def with_granted(self, names: Iterable[str]) -> "Rights":
        """Return these rights and the capabilities of GRANTABLE that are named. Raises KeyError for any other name."""
        return replace(self, capabilities=(*self.capabilities, *(GRANTABLE[name] for name in names)))


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans (PR_SET_CHILD_SUBREAPER), so that none escapes it."""
    libc = ctypes.CDLL(None, use_errno=True)
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, one, zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def refuse_packet_options() -> None:
    """Let this process and all that it becomes or starts use no ring of a packet socket, nor its counters (seccomp(2)).

    A ring is as large as its owner says, is charged to nobody, and is given back only when its socket is closed, which
    may be too late for a machine that has no memory left. The counters (PACKET_STATISTICS) are set to 0 by whoever
    reads them: a test that counts what the kernel delivered could be told anything. EPERM is the answer to both.

    The kernel's own filter machine looks at setsockopt(2) and getsockopt(2), and at nothing else; another
    architecture's calls (int 0x80 on x86-64) are refused, as they have other numbers.
    """
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h: LD|W|ABS, JMP|JEQ|K, JMP|JGE|K, RET|K
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EPERM  # linux/seccomp.h
    x86_64, x32, setsockopt, getsockopt = 0xC000003E, 0x40000000, 54, 55  # linux/audit.h, asm/unistd.h, unistd_64.h
    sol_packet, rx_ring, statistics, tx_ring = 263, 5, 6, 13  # linux/socket.h, linux/if_packet.h
    program = (
        (load, 0, 0, 4),  # the architecture
        (equal, 0, 11, x86_64),
        (load, 0, 0, 0),  # the call's number
        (at_least, 9, 0, x32),
        (equal, 1, 0, setsockopt),
        (equal, 0, 6, getsockopt),
        (load, 0, 0, 24),  # its second argument: the level
        (equal, 0, 4, sol_packet),
        (load, 0, 0, 32),  # its third: the option
        (equal, 3, 0, rx_ring),
        (equal, 2, 0, statistics),
        (equal, 1, 0, tx_ring),
        (answer, 0, 0, allow),
        (answer, 0, 0, refuse),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    mode, zero = ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.c_ulong(0)
    if libc.prctl(PR_SET_SECCOMP, mode, filter_, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


class ProgramError(Exception):
    """A request that makes no sense, such as an unknown handle. One line."""


class Cell:
    """Where one program and all that it starts live. This one confines nothing and follows them by parentage."""

    def __init__(self, known: set[int]) -> None:
        self._pid = 0
        self._known = known
        self._bystanders: set[int] = set()

    def enter(self, pid: int) -> None:
        """Put the (waiting) process into the cell. Called by its parent."""
        self._pid = pid
        self._bystanders = set(proc.children(os.getpid()))

    def leave(self) -> None:
        """Note that the program's own process has been waited for: its number may soon be somebody else's."""
        self._pid = 0

    def expose(self, pid: int, *, tight: bool) -> None:
        """Let the process become the program: the kernel is to end it first when the machine's memory is used up.

        With `tight` its limits are narrowed: it gets a right to take what no cgroup is charged for.
        """

    def harden(self) -> None:
        """Set the child's limits, in the child."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def _adopted(self) -> list[int]:
        """Return the orphans that have become this process's children since the program began."""
        return [pid for pid in proc.children(os.getpid()) if pid not in self._bystanders and pid not in self._known]

    def reap(self) -> None:
        """Wait for the orphans that have ended, so that none stays a zombie."""
        with contextlib.suppress(ChildProcessError):  # there is no child at all
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return
        for pid in self._adopted():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def processes(self) -> list[int]:
        """Return the ids of the living processes: the program, its descendants, and orphans adopted since it began."""
        found: list[int] = []
        waiting = [pid for pid in (self._pid, *self._adopted()) if pid]
        while waiting:
            pid = waiting.pop()
            states = [thread.state for thread in proc.threads(pid)]
            if any(state not in "ZX" for state in states):
                found.append(pid)
            waiting += proc.children(pid)
        return found

    def kill(self) -> None:
        """End every process in the cell with SIGKILL. Returns before they are gone."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def is_empty(self, deadline: float) -> bool:
        """Wait until no process is left or `deadline` (monotonic) has passed; say whether none is."""
        while self.processes():
            if time.monotonic() > deadline:
                return False
            self.kill()
            select.select([], [], [], 0.001)
        return True

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed because the cell's memory was used up."""
        return 0

    def close(self) -> None:
        """Remove the (empty) cell."""


class Confinement:
    """Confines nothing; runs as whoever runs it. For the package's own tests."""

    environment: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}  # noqa: RUF012

    rights: Rights | None = None
    """None: those of whoever runs this."""

    def __init__(self, home: Path, launcher: Path) -> None:
        self.home = home
        self.launcher = launcher
        self.granted: dict[str, tuple[str, ...]] = {}
        """Capabilities beyond the usual ones, by the name of the program that has them."""
        self.known: set[int] = set()
        """Children of this process that are no orphans: the programs themselves and whatever else it has started."""

    def grant(self, name: str, capabilities: Iterable[str]) -> None:
        """Let the program of this name have these capabilities, beyond the usual ones, and no others."""
        found = tuple(capabilities)
        if unknown := set(found) - GRANTABLE.keys():
            raise ProgramError(f"no program may have the capability {min(unknown)!r}")
        self.granted.pop(name, None)
        if found:
            self.granted[name] = found

    def rights_of(self, name: str) -> Rights | None:
        """Return the rights of the program of this name."""
        return self.rights and self.rights.with_granted(self.granted.get(name, ()))

    def cell(self) -> Cell:
        """Return a new cell."""
        return Cell(self.known)

    def own(self, path: Path) -> None:
        """Make the program under test the owner of a file."""


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


class GuestCell(Cell):
    """A cgroup (v2) of its own, and resource limits."""

    def __init__(self, path: str, known: set[int]) -> None:
        super().__init__(known)
        self._path = path
        os.mkdir(path)  # noqa: PTH102
        for name, value in (
            ("memory.max", MEMORY_BYTES),
            ("memory.swap.max", 0),
            ("memory.oom.group", 1),
            ("pids.max", PROCESSES),
        ):
            with contextlib.suppress(FileNotFoundError):  # memory.swap.max: not in a kernel without swap
                _write(f"{path}/{name}", str(value))

    def enter(self, pid: int) -> None:
        """Move the process into the cgroup."""
        super().enter(pid)
        _write(f"{self._path}/cgroup.procs", str(pid))

    def expose(self, pid: int, *, tight: bool) -> None:
        """Let the kernel end the program, and by memory.oom.group all of its cell, before anything else.

        The cell's own limit is met by what is charged to it. What is charged to nobody is given back when the program
        ends: so a machine without memory has to end that program and no other. A packet socket may hold frames of
        2 * net.core.rmem_max, 416 KiB: with `tight` there can be so few of them that this is not the machine's memory.
        """
        if tight:
            _write(f"{self._path}/memory.max", str(RAW_MEMORY_BYTES))
            _write(f"{self._path}/pids.max", str(RAW_PROCESSES))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (RAW_DESCRIPTORS, RAW_DESCRIPTORS))
        with contextlib.suppress(ProcessLookupError):
            _write(f"/proc/{pid}/oom_score_adj", str(FIRST_TO_GO))

    def harden(self) -> None:
        """Set the child's limits, in the child, which stays root: so it waits out of reach of an earlier program."""
        refuse_packet_options()
        _write("/proc/self/oom_score_adj", "0")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))

    def processes(self) -> list[int]:
        """Return the ids of the living processes in the cgroup."""
        try:
            return list(map(int, proc.read(f"{self._path}/cgroup.procs").split()))
        except (FileNotFoundError, OSError):
            return []

    def kill(self) -> None:
        """End everything in the cgroup. Of several processes none outruns it (cgroup.kill, Linux 5.14)."""
        found = self.processes()
        if len(found) > 1:  # it takes the kernel longer than all the rest of a program's end
            self._kill_all()
        for pid in found:  # cgroup.kill does not reach the threads of a process whose first thread has ended
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        _write(f"{self._path}/cgroup.kill", "1")

    def is_empty(self, deadline: float) -> bool:
        """Wait for `populated 0` in cgroup.events, which the kernel announces with POLLPRI."""
        descriptor = os.open(f"{self._path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLPRI)
            if b"populated 0" not in os.pread(descriptor, 256, 0):
                self._kill_all()  # what a single process has started while it was looked at
            while b"populated 0" not in os.pread(descriptor, 256, 0):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poller.poll(left * 1000)
            return True
        finally:
            os.close(descriptor)

    def oom_kills(self) -> int:
        """Return the `oom_kill` count of memory.events."""
        for line in proc.read(f"{self._path}/memory.events").splitlines():
            name, _, value = line.partition(b" ")
            if name == b"oom_kill":
                return int(value)
        return 0

    def close(self) -> None:
        """Remove the cgroup."""
        os.rmdir(self._path)  # noqa: PTH106


class GuestConfinement(Confinement):
    """The confinement in a guest: cgroup v2 at /sys/fs/cgroup, user 1000, home on a tmpfs of limited size."""

    environment = {  # noqa: RUF012
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/home/student",
        "USER": "student",
        "LC_ALL": "C.UTF-8",
    }

    rights = Rights()

    def __init__(
        self, home: Path = Path("/home/student"), launcher: Path = LAUNCHER, root: str = "/sys/fs/cgroup"
    ) -> None:
        super().__init__(home, launcher)
        self._parent = f"{root}/groundup"
        for name in SHUT:
            with contextlib.suppress(FileNotFoundError):  # a kernel without it has nothing to shut
                _write(f"/proc/sys/{name}", "0")
        _write("/proc/self/oom_score_adj", str(LAST_TO_GO))  # whoever takes all the memory, the agent does not end
        self._cells = 0
        os.makedirs(self._parent, exist_ok=True)  # noqa: PTH103
        for path in (root, self._parent):
            available = proc.read(f"{path}/cgroup.controllers").decode().split()
            # cpu: a hundred spinning processes weigh as much as one, so the agent stays quick.
            wanted = [f"+{name}" for name in ("cpu", "memory", "pids") if name in available]
            _write(f"{path}/cgroup.subtree_control", " ".join(wanted))

    def cell(self) -> Cell:
        """Return a new cell with a cgroup of its own."""
        self._cells += 1
        return GuestCell(f"{self._parent}/{self._cells}", self.known)

    def own(self, path: Path) -> None:
        """Give a file to the ordinary user."""
        os.chown(path, self.rights.user, self.rights.user)
