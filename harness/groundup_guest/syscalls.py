"""The system calls of a program, recorded by the kernel's own tracer and shown the way strace(1) shows them.

ftrace (Documentation/trace/ftrace.rst) costs a call next to nothing, where ptrace costs two switches to another
process. An instance of its own under tracefs records the events of `syscalls` for the processes in `set_event_pid`;
with the option `event-fork` their children are added as they are born. What pointers point at is not recorded.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup_guest import syscall_names as names

TRACEFS = "/sys/kernel/tracing"
BUFFER_KB = 256
KTHREADD = 2

_LINE = re.compile(
    r"^\s*(?P<comm>.{1,16}?)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+(?P<t>\d+\.\d+): sys_(?P<name>\w+)"
    r"(?:\((?P<args>[^)]*)\)| -> (?P<result>0x[0-9a-f]+))$"
)
_ENDINGS = {"exit", "exit_group"}
_BIRTHS = {"clone", "clone3", "fork", "vfork"}
_START_UP = {
    *(
        "access",
        "arch_prctl",
        "brk",
        "close",
        "fstat",
        "getrandom",
        "mmap",
        "mprotect",
        "munmap",
        "newfstat",
        "newfstatat",
    ),
    *("open", "openat", "pread64", "prlimit64", "read", "readlink", "readlinkat", "rseq", "set_robust_list"),
    *("set_tid_address", "fadvise64", "futex", "uname", "sysinfo", "statfs"),
}
"""What the dynamic loader and the C library do before main(3) begins."""
_START_UP_ENDS = _START_UP - {
    "access",
    "close",
    "fstat",
    "newfstat",
    "newfstatat",
    "open",
    "openat",
    "read",
    "readlink",
    "futex",
}
"""Those of them that programs seldom call themselves: the last one of these before anything else ends the start-up."""


@dataclass(slots=True)
class Syscall:
    """One system call. `t` is monotonic seconds at its entry; `result` is None while it has not returned."""

    pid: int
    t: float
    name: str
    values: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    result: int | None = None

    def arguments(self) -> list[str]:
        """Return the arguments as strace would print them, `…` for what a pointer points at."""
        known = _ARGUMENTS.get(self.name, {})
        return [
            known[i](value, self.values) if i in known else _plain(label, value)
            for i, (label, value) in enumerate(zip(self.labels, self.values, strict=True))
        ]

    def outcome(self) -> str:
        """Return the result: a number, or -1 with the error's name and text; `?` while there is none."""
        if self.result is None:
            return "?"
        if -4096 < self.result < 0:
            name = names.ERRNOS.get(-self.result)
            return f"-1 {name} ({os.strerror(-self.result)})" if name else f"-1 (errno {-self.result}, restarted)"
        return hex(self.result) if self.name in ("brk", "mmap", "mremap") else str(self.result)

    def text(self) -> str:
        """Return the call as one line; one that has not returned ends in `…`."""
        call = f"{self.name}({', '.join(self.arguments())})"
        if self.result is None and self.name not in _ENDINGS:
            return f"{call} …"
        return f"{call} = {self.outcome()}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as the protocol carries it."""
        result = None if self.result is None else self.outcome()
        return {
            "pid": self.pid,
            "t": self.t,
            "name": self.name,
            "args": self.arguments(),
            "result": result,
            "text": self.text(),
        }


def parse(trace: Iterable[str]) -> list[Syscall]:
    """Return the calls in the lines of a tracefs `trace` file, in the order of their entries."""
    calls: list[Syscall] = []
    open_calls: dict[int, Syscall] = {}
    for line in trace:
        match = _LINE.match(line)
        if match is None:
            continue
        pid, name = int(match["pid"]), match["name"]
        if match["result"] is None:
            call = Syscall(pid, float(match["t"]), name)
            for argument in filter(None, match["args"].split(", ")):
                label, _, value = argument.partition(": ")
                with contextlib.suppress(ValueError):  # newer kernels add quoted strings after some pointers
                    call.values.append(int(value.split(" ")[0], 16))
                    call.labels.append(label)
            calls.append(call)
            open_calls[pid] = call
        elif (entered := open_calls.get(pid)) is not None and entered.name == name:
            number = int(match["result"], 16)
            entered.result = number - (1 << 64) if number >= 1 << 63 else number
            del open_calls[pid]
    return calls


def of_program(calls: list[Syscall], pid: int, executions: int = 1) -> list[Syscall]:
    """Return the calls of a program and its children, from after its `executions`-th execve(2), start-up left out."""
    first = 0
    for index, call in enumerate(calls):
        if call.pid == pid and call.name == "execve" and call.result == 0:
            executions -= 1
            if executions == 0:
                first = index + 1
                break
    family = {pid}
    own = []
    for call in calls[first:]:
        if call.pid in family:
            own.append(call)
            if call.name in _BIRTHS and call.result is not None and call.result > 0:
                family.add(call.result)
    return own[_start_up_length(own) :]


def _start_up_length(calls: list[Syscall]) -> int:
    """Return how many calls at the beginning belong to the loader and the C library."""
    length = 0
    for index, call in enumerate(calls):
        if call.name not in _START_UP:
            break
        if call.name in _START_UP_ENDS:
            length = index + 1
    return length


class Tracer:
    """The kernel's recording. One for the machine's life: switching it on takes the kernel long, so it stays on."""

    def __init__(self, root: str = TRACEFS) -> None:
        self._instance = Path(root, "instances", "groundup")
        self._instance.mkdir(exist_ok=True)
        for name, value in (
            ("buffer_size_kb", str(BUFFER_KB)),
            ("trace_clock", "mono"),
            ("options/event-fork", "1"),
            # Nobody yet: an empty set would record every process; this kernel thread calls nothing.
            ("set_event_pid", str(KTHREADD)),
            ("events/syscalls/enable", "1"),
        ):
            (self._instance / name).write_text(value, encoding="ascii")

    def watch(self, pids: list[int]) -> None:
        """Record these processes too from now on."""
        descriptor = os.open(self._instance / "set_event_pid", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(descriptor, f"{' '.join(map(str, pids))}\n".encode())
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Forget what has been recorded."""
        (self._instance / "trace").write_text("", encoding="ascii")

    def records(self, pid: int, executions: int = 1) -> list[Syscall]:
        """Return what the program `pid` has called; see `of_program`."""
        text = (self._instance / "trace").read_text(encoding="utf-8", errors="replace")
        return of_program(parse(text.splitlines()), pid, executions)


Decode = Callable[[int, list[int]], str]


def _signed(value: int) -> int:
    """Return a register's value as the C int that the kernel takes from it."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


_POINTERS = {
    "addr",
    "addrlen",
    "argv",
    "envp",
    "events",
    "fds",
    "filename",
    "iov",
    "msg",
    "optlen",
    "optval",
    "pathname",
}
_POINTERS |= {"buf", "ubuf", "buff", "statbuf", "oset", "nset", "act", "oact", "tsp", "rmtp", "rqtp", "upeer_sockaddr"}
_POINTERS |= {
    "upeer_addrlen",
    "umyaddr",
    "uservaddr",
    "usockaddr",
    "vec",
    "sig",
    "mask",
    "ufds",
    "event",
    "how",
    "optlen",
}
_NUMBERS = {"fd", "dfd", "count", "len", "size", "flags", "backlog", "pid", "vlen", "fildes", "epfd", "maxevents"}


def _plain(label: str, value: int) -> str:
    """Return an argument that nothing more is known about: small numbers as they are, pointers as `…` or NULL."""
    if label in _POINTERS and label != "sig":
        return "…" if value else "NULL"
    if value >= 1 << 47 or (value >= 0xFFFFF000 and value <= 0xFFFFFFFF):
        return str(_signed(value))
    return "…" if value >= 1 << 32 else str(value)


def _named(table: dict[int, str]) -> Decode:
    return lambda value, _: table.get(_signed(value), str(_signed(value)))


def _flagged(table: dict[int, str]) -> Decode:
    return lambda value, _: names.flags(value & 0xFFFFFFFF, table)


def _directory(value: int, _: list[int]) -> str:
    return "AT_FDCWD" if _signed(value) == -100 else str(_signed(value))


def _socket_type(value: int, _: list[int]) -> str:
    kind = names.TYPES.get(value & 0xF, str(value & 0xF))
    rest = value & 0xFFFFFFFF & ~0xF
    return f"{kind}|{names.flags(rest, names.TYPE_FLAGS)}" if rest else kind


def _protocol(value: int, values: list[int]) -> str:
    if values[0] in (2, 10):
        return names.PROTOCOLS.get(value, str(value))
    return (
        f"htons(0x{int.from_bytes(value.to_bytes(2, 'little'), 'big'):04x})"
        if values[0] == 17 and value < 1 << 16
        else str(value)
    )


def _open_flags(value: int, _: list[int]) -> str:
    rest = value & 0xFFFFFFFF & ~3 & ~0o100000  # O_LARGEFILE is implied on 64 bits
    mode = names.OPEN_MODES.get(value & 3, str(value & 3))
    return f"{mode}|{names.flags(rest, names.OPEN_FLAGS)}" if rest else mode


def _fcntl_argument(value: int, values: list[int]) -> str:
    if values[1] == 2:
        return "FD_CLOEXEC" if value == 1 else str(value)
    if values[1] == 4:
        return _open_flags(value, values)
    return str(_signed(value)) if value < 1 << 32 else "…"


def _option(value: int, values: list[int]) -> str:
    return names.OPTIONS.get(_signed(values[1]), {}).get(_signed(value), str(_signed(value)))


_int: Decode = lambda value, _: str(_signed(value))  # noqa: E731
_signal = _named(names.SIGNALS)
_message_flags = _flagged(names.MESSAGE_FLAGS)
_options: dict[int, Decode] = {0: _int, 1: _named(names.LEVELS), 2: _option}

_ARGUMENTS: dict[str, dict[int, Decode]] = {
    "socket": {0: _named(names.FAMILIES), 1: _socket_type, 2: _protocol},
    "socketpair": {0: _named(names.FAMILIES), 1: _socket_type, 2: _protocol},
    "accept4": {0: _int, 3: _flagged(names.TYPE_FLAGS)},
    "setsockopt": {**_options, 4: _int},
    "getsockopt": _options,
    "bind": {0: _int, 2: _int},
    "connect": {0: _int, 2: _int},
    "shutdown": {0: _int, 1: _named(names.SHUTDOWNS)},
    "sendto": {3: _message_flags},
    "recvfrom": {3: _message_flags},
    "sendmsg": {2: _message_flags},
    "recvmsg": {2: _message_flags},
    "openat": {0: _directory, 2: _open_flags},
    "openat2": {0: _directory},
    "newfstatat": {0: _directory, 3: _flagged(names.AT_FLAGS)},
    "open": {1: _open_flags},
    "fcntl": {1: _named(names.FCNTLS), 2: _fcntl_argument},
    "pipe2": {1: _flagged(names.OPEN_FLAGS)},
    "epoll_create1": {0: _flagged(names.OPEN_FLAGS)},
    "epoll_ctl": {1: _named(names.EPOLL_OPERATIONS)},
    "epoll_wait": {3: _int},
    "poll": {2: _int},
    "kill": {0: _int, 1: _signal},
    "tgkill": {2: _signal},
    "rt_sigaction": {0: _signal},
    "rt_sigprocmask": {0: _named(names.SIGNAL_MASKS)},
    "exit": {0: _int},
    "exit_group": {0: _int},
}
