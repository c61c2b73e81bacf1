"""Which of the kernel's functions run for a program, in which of its system calls, and by which way they are reached.

ftrace's function tracer (Documentation/trace/ftrace.rst) puts a call into the functions that are asked for, and only
while somebody asks: nothing is switched on, and nothing costs anything, before `arm`. An instance of its own under
tracefs records for the processes in `set_ftrace_pid`. What the kernel does in an interrupt it does for anybody: it is
left out, whoever was running at that moment.
"""

import contextlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup_guest.programs import ProgramError, Programs
from groundup_guest.syscalls import TRACEFS, Syscall

BUFFER_KB = 2048
LAUNCHER = "launcher"
"""The name of a process that waits to become a program: what the kernel does for it is not the program's."""
PATTERN = re.compile(r"[A-Za-z0-9_.*?]+")

_LINE = re.compile(
    r"^\s*(?P<comm>.{1,16}?)-(?P<pid>\d+)\s+\[\d+\]\s+(?P<flags>\S+)\s+(?P<t>\d+\.\d+): "
    r"(?:(?P<name>\S+) <-(?P<caller>\S+)|(?P<stack><stack trace>))$"
)
_INTERRUPTS = "sShHzZ"
"""What the third of a line's flags says of a hardware or software interrupt, or an NMI."""
_FRAME = re.compile(r"^ => (?P<name>\S+)$")


@dataclass(slots=True)
class FunctionCall:
    """One call of a kernel function. `stack`, if recorded, is the way to it: the caller first, the system call last."""

    pid: int
    t: float
    name: str
    caller: str
    stack: list[str]


def parse(trace: Iterable[str]) -> list[FunctionCall]:
    """Return the calls in the lines of a tracefs `trace` file, without interrupts and what was no program yet."""
    calls: list[FunctionCall] = []
    last: FunctionCall | None = None
    for line in trace:
        match = _LINE.match(line)
        if match is None:
            frame = _FRAME.match(line)
            if frame is not None and last is not None:
                last.stack.append(frame["name"])
        elif match["comm"] == LAUNCHER or match["flags"][2] in _INTERRUPTS:
            last = None
        elif match["name"] is not None:
            last = FunctionCall(int(match["pid"]), float(match["t"]), match["name"], match["caller"], [])
            calls.append(last)
    for call in calls:
        # The stack begins with the function itself, and may begin with the tracer's own.
        if call.name in call.stack:
            del call.stack[: call.stack.index(call.name) + 1]
    return calls


def by_system_call(calls: Sequence[FunctionCall], system_calls: Sequence[Syscall]) -> list[tuple[int, FunctionCall]]:
    """Return the calls with the index of the system call that each was made in, -1 where there is none."""
    found = []
    entries: dict[int, list[tuple[float, int]]] = {}
    for index, system_call in enumerate(system_calls):
        entries.setdefault(system_call.pid, []).append((system_call.t, index))
    for call in calls:
        mine = entries.get(call.pid, [])
        at = bisect_right(mine, (call.t, len(system_calls)))
        found.append((mine[at - 1][1] if at else -1, call))
    return found


class Functions:
    """The function tracer. Methods of the protocol; see the agent."""

    def __init__(self, programs: Programs, root: str = TRACEFS) -> None:
        self._programs = programs
        self._instance = Path(root, "instances", "groundup-functions")

    def arm(self, patterns: list[str], *, stacks: bool = False) -> dict[str, Any]:
        """Record, from now on and for programs that are yet to start, the functions that the patterns name.

        A pattern is a name, with `*` for any characters. It is an error if nothing that can be traced has such a name.
        """
        for pattern in patterns:
            if not PATTERN.fullmatch(pattern):
                raise ProgramError(f"{pattern!r} is not a pattern for the names of kernel functions, such as 'udp_*'")
        self._instance.mkdir(exist_ok=True)
        self._write("current_tracer", "nop")
        self._programs.prepare()
        # An empty filter would stand for every function of the kernel: it is replaced in one write, and never empty.
        with contextlib.suppress(OSError):  # EINVAL where nothing fits
            self._write("set_ftrace_filter", "\n".join(patterns))
        chosen = (self._instance / "set_ftrace_filter").read_text(encoding="ascii").splitlines()
        if not chosen or chosen[0].startswith("#"):
            raise ProgramError(f"no kernel function has a name like {' '.join(patterns)}")
        for name, value in (
            ("buffer_size_kb", str(BUFFER_KB)),
            ("trace_clock", "mono"),
            ("options/function-fork", "1"),
            ("set_ftrace_pid", " ".join(str(spare.pid) for spare in self._programs.spares)),
            ("trace", ""),
            ("current_tracer", "function"),
            ("options/func_stack_trace", str(int(stacks))),
        ):
            self._write(name, value)
        return {"functions": len(chosen)}

    def disarm(self) -> dict[str, Any]:
        """Record no more. What was recorded is forgotten."""
        if self._instance.exists():
            self._write("current_tracer", "nop")
            self._write("trace", "")
        return {}

    def functions(self, handle: int) -> dict[str, Any]:
        """Return the calls made for a program, and its system calls, which they name by their index."""
        program, tracer = self._programs.find(handle), self._programs.tracer
        pid = program.spare.pid
        system_calls = tracer.records(pid, executions=2 if program.strace else 1) if tracer else []
        family = {pid, *(call.pid for call in system_calls)}
        text = (self._instance / "trace").read_text(encoding="utf-8", errors="replace")
        calls = [call for call in parse(text.splitlines()) if call.pid in family]
        return {
            "lost": "[LOST " in text,
            "system_calls": [call.text() for call in system_calls],
            "calls": [
                [index, call.name, call.caller, call.stack] for index, call in by_system_call(calls, system_calls)
            ],
        }

    def _write(self, name: str, value: str) -> None:
        (self._instance / name).write_text(value, encoding="ascii")
