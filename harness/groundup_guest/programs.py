"""The programs under test: installing, starting, watching and ending them. The server role's methods stand on this.

Everything runs on one thread. Whatever waits does so in `Programs.pump`, which drains the programs' output meanwhile,
so that an endless printer is neither blocked nor able to fill anything.
"""

import contextlib
import itertools
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup_guest import proc
from groundup_guest.confinement import Confinement
from groundup_guest.confinement import ProgramError as ProgramError  # noqa: PLC0414  (for who imports it from here)
from groundup_guest.launch import LaunchError, Orders, Spare, fork_spare, under_strace
from groundup_guest.running import WHOLE, Exit, Kept, Running
from groundup_guest.settling import FIRST_PAUSE, LONGEST_PAUSE, settled
from groundup_guest.syscalls import Tracer

READ_SIZE = 1 << 16
DRAIN_AT_EXIT = 1 << 20
"""What is read at most after a program's end: a child that goes on printing must not hold up the answer."""
READY_SECONDS = 0.25  # for a program that has printed its ready line to come to rest, so that descriptors can be listed


class Programs:
    """All programs of one machine. Methods take and return what the protocol carries; see the agent."""

    def __init__(self, confinement: Confinement, tracer: Tracer | None = None) -> None:
        self._confinement = confinement
        self.tracer = tracer
        self._epoll = select.epoll()
        self._programs: dict[int, Running] = {}
        self._by_descriptor: dict[int, Running] = {}
        self._handles = 0
        self.spares: list[Spare] = []

    @property
    def home(self) -> Path:
        """The programs' home, which is their current directory."""
        return self._confinement.home

    def knows(self, pid: int) -> None:
        """Take note of a child of this process that is no program's orphan."""
        self._confinement.known.add(pid)

    def fileno(self) -> int:
        """Return a descriptor that polls as readable when `pump` has something to do."""
        return self._epoll.fileno()

    def prepare(self, number: int = 1) -> None:
        """See to it that at least `number` processes wait for the next starts, confined and recorded already.

        Moving a process into a cgroup and naming it to the tracer each wait for an RCU grace period, 25 ms and 12 ms
        under emulation; so the guest makes as many as a chapter needs before it is snapshotted.
        """
        made = [fork_spare(self._confinement) for _ in range(number - len(self.spares))]
        if made and self.tracer is not None:
            self.tracer.watch([spare.pid for spare in made])
        self.spares += made

    def close(self) -> None:
        """End everything."""
        self.reset()
        while self.spares:
            self.spares.pop().discard()
        self._epoll.close()

    # Methods of the protocol

    def install(self, name: str, content: bytes, mode: int = 0o755, capabilities: Sequence[str] = ()) -> dict[str, Any]:
        """Put a program into the home directory, which is to have these capabilities beyond the usual ones."""
        if not name or "/" in name or name in (".", ".."):
            raise ProgramError(f"{name!r} is not a name for a program")
        self.grant(name, capabilities)
        path = self._confinement.home / name
        path.unlink(missing_ok=True)  # a running program cannot be overwritten (ETXTBSY), but replaced
        path.write_bytes(content)
        path.chmod(mode)
        self._confinement.own(path)
        return {"path": str(path)}

    def grant(self, name: str, capabilities: Sequence[str]) -> dict[str, Any]:
        """Let whatever is started under this name have these capabilities beyond the usual ones."""
        self._confinement.grant(name, capabilities)
        return {}

    def remove(self, name: str) -> None:
        """Remove an installed program."""
        (self._confinement.home / name).unlink()

    def start(
        self,
        argv: list[str],
        *,
        env: dict[str, str] | None = None,
        inject: str | None = None,
        ready: bool = False,
        privileged: bool = True,
        deadline: float = 10.0,
    ) -> dict[str, Any]:
        """Start a program; with `ready` wait until it has printed a line or ended, at most `deadline` seconds.

        Where it is not `privileged` it gets no capability at all, not even that to use ports below 1024.

        Then it is given a moment to come to rest; `descriptors` are the numbers of those that it holds at that point,
        None if it has not.
        """
        orders = Orders(str(self._confinement.home / argv[0]), argv, {**self._confinement.environment, **(env or {})})
        if inject:
            orders = under_strace(orders, inject)
        rights = self._confinement.rights_of(argv[0])
        if rights is not None and not privileged:
            rights = replace(rights, capabilities=())
        encoded = orders.encode(self._confinement.home, rights)
        self.prepare()
        spare = self.spares.pop()
        spare.cell.expose(spare.pid, tight=argv[0] in self._confinement.granted)
        self._handles += 1
        program = Running(self._handles, spare, argv, inject is not None, time.monotonic())
        if not ready:
            program.stdout = Kept(WHOLE)
        self._watch(program)
        try:
            spare.become(encoded, argv[0])
        except LaunchError:
            self._close(program, time.monotonic() + deadline)
            del self._programs[program.handle]
            raise
        if ready:
            self._until(lambda: program.exit is not None or program.stdout.first_line() is not None, deadline)
        seconds, line = program.seconds(), program.stdout.first_line()
        descriptors = None
        if (
            ready
            and line is not None
            and settled(program, self.pump, time.monotonic() + min(deadline, READY_SECONDS), looks=1)
        ):
            descriptors = proc.descriptor_numbers(spare.pid)
        return {
            "handle": program.handle,
            "pid": spare.pid,
            "stdout_line": line,
            "exit": program.exit_dict(),
            "seconds": seconds,
            "descriptors": descriptors,
        }

    def wait(self, handle: int, deadline: float) -> dict[str, Any]:
        """Wait at most `deadline` seconds for the end of a program; return what `output` does as well."""
        program = self.find(handle)
        self._until(lambda: program.exit is not None, deadline)
        return {"exit": program.exit_dict(), "seconds": program.seconds(), **self.output(handle)}

    def signal(self, handle: int, number: int) -> dict[str, Any]:
        """Send a signal to the program's own process; nothing happens if it has ended."""
        program = self.find(handle)
        self.pump(0)
        if program.exit is None:
            os.kill(program.spare.pid, number)
        return {}

    def exhaust(self, handle: int) -> dict[str, Any]:
        """Let the program open no more descriptors: its limit becomes the lowest number that is free (getrlimit(2)).

        An accept4(2) that sleeps has taken its number before: the one after it fails.
        """
        program = self.find(handle)
        self.pump(0)
        if program.exit is None:
            held = set(proc.descriptor_numbers(program.spare.pid))
            free = next(number for number in itertools.count() if number not in held)
            resource.prlimit(program.spare.pid, resource.RLIMIT_NOFILE, (free, free))
        return {}

    def output(self, handle: int) -> dict[str, Any]:
        """Return what the program has written so far."""
        program = self.find(handle)
        self.pump(0)
        return {
            "stdout": program.stdout.text(),
            "stderr": program.stderr.text(),
            "stdout_bytes": program.stdout.total,
            "stderr_bytes": program.stderr.total,
        }

    def stdout(self, handle: int) -> tuple[dict[str, Any], bytes]:
        """Return as they are the first bytes that a program started without `ready` has written on stdout."""
        program = self.find(handle)
        self.pump(0)
        return {"stdout_bytes": program.stdout.total}, bytes(program.stdout.first)

    def shut(self, handle: int) -> dict[str, Any]:
        """Read the program's stdout no more: what it writes there from now on fails (SIGPIPE, EPIPE)."""
        program = self.find(handle)
        self.pump(0)
        if program.streams.pop(program.spare.stdout, None) is not None:
            self._forget(program.spare.stdout)
        return {}

    def facts(self, handle: int, *, sockets: bool = True) -> dict[str, Any]:
        """Return what /proc says about the program now; `sockets` may be left out where they are not needed."""
        program = self.find(handle)
        self.pump(0)
        alive = program.exit is None
        pids = [] if program.closed else program.spare.cell.processes()
        threads = [thread for pid in pids for thread in proc.threads(pid)]
        descriptors = proc.descriptors(program.spare.pid) if alive else []
        return {
            "alive": alive,
            "exit": program.exit_dict(),
            "state": "".join(thread.state for thread in threads),
            "threads": len(threads),
            "processes": len(pids),
            "zombies": len(proc.zombies(pids)),
            "cpu_ns": sum(thread.run_ns for thread in threads),
            "rss_bytes": sum(map(proc.resident_bytes, pids)),
            "descriptors": descriptors,
            "sockets": proc.sockets_of(descriptors) if sockets else [],
        }

    def settle(self, handle: int, deadline: float, *, descriptors: list[int] | None = None) -> dict[str, Any]:
        """Wait at most `deadline` seconds until nothing in the program runs or is about to.

        With `descriptors` also until it holds none but those: it may yet have to notice that its peers have gone. Those
        that it holds beyond them are returned as `more`, with how many children it has not waited for, and what
        `output` returns.
        """
        program = self.find(handle)
        until = time.monotonic() + deadline
        allowed = None if descriptors is None else set(descriptors)
        pause = FIRST_PAUSE
        while True:
            at_rest = settled(program, self.pump, until)
            more = [] if allowed is None else sorted(set(proc.descriptor_numbers(program.spare.pid)) - allowed)
            if not at_rest or not more or program.exit is not None or time.monotonic() + pause >= until:
                break
            self.pump(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        alive = program.exit is None
        return {
            "settled": at_rest,
            "alive": alive,
            "exit": program.exit_dict(),
            "more": [proc.descriptor(program.spare.pid, number) for number in more] if alive else [],
            "zombies": 0 if program.closed else len(proc.zombies(program.spare.cell.processes())),
            **self.output(handle),
        }

    def drained(
        self, handle: int, local_port: int, peer_port: int, deadline: float, *, unread_matters: bool = True
    ) -> dict[str, Any]:
        """Wait at most `deadline` seconds until a TCP connection's receive queue is empty and the program has settled.

        `unsent` counts bytes that the peer's kernel has not acknowledged yet: an answer may be under way. With
        `unread_matters` false only settling is awaited. `state` is None if this machine knows no such connection any
        more.
        """
        program = self.find(handle)
        until = time.monotonic() + deadline
        pause = FIRST_PAUSE
        while True:
            found = proc.connection(local_port, peer_port)
            waiting = unread_matters and found is not None and found.unread > 0
            if not waiting and settled(program, self.pump, until):
                found = proc.connection(local_port, peer_port)
                waiting = unread_matters and found is not None and found.unread > 0
                if not waiting:
                    break
            if program.exit is not None or time.monotonic() >= until:
                waiting = True
                break
            self.pump(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return {
            "drained": not waiting and program.exit is None,
            "alive": program.exit is None,
            "unread": found.unread if found else 0,
            "unsent": found.unsent if found else 0,
            "state": found.state if found else None,
            "accepted": found is not None and found.inode != 0,
        }

    def stop(self, handle: int, deadline: float) -> dict[str, Any]:
        """End a program: SIGTERM, at most `deadline` seconds of patience, then the whole cell is killed.

        A `deadline` of 0 kills at once. `leftover` counts processes that outlived the program's own.
        """
        program = self.find(handle)
        if program.closed:
            return {"exit": program.exit_dict(), "seconds": 0.0, "killed": False, "leftover": 0}
        began = time.monotonic()
        self.pump(0)
        if program.exit is None and deadline > 0:
            os.kill(program.spare.pid, signal.SIGTERM)
            self._until(lambda: program.exit is not None, deadline)
        killed = program.exit is None
        seconds = (program.ended if program.ended > began else time.monotonic()) - began
        leftover = len([pid for pid in program.spare.cell.processes() if pid != program.spare.pid])
        self._close(program, time.monotonic() + 5.0)
        return {"exit": program.exit_dict(), "seconds": seconds, "killed": killed, "leftover": leftover}

    def syscalls(self, handle: int, last: int = 0) -> dict[str, Any]:
        """Return the program's last system calls (all if `last` is 0), decoded, start-up left out."""
        program = self.find(handle)
        if self.tracer is None:
            return {"lines": [], "available": False}
        records = self.tracer.records(program.spare.pid, executions=2 if program.strace else 1)
        return {"lines": [record.as_dict() for record in records[-last:]], "available": True}

    def delivered(self, handle: int) -> dict[str, Any]:
        """Return how many frames the kernel has put before the program's packet sockets since the last such question.

        `lost` are those among them for which there was no room. What a socket's filter has refused is not counted.
        """
        program = self.find(handle)
        self.pump(0)
        return proc.frames_delivered([] if program.closed else program.spare.cell.processes())

    def reset(self) -> dict[str, Any]:
        """End all programs, forget all handles."""
        for program in self._programs.values():
            if not program.closed:
                self._close(program, time.monotonic() + 5.0)
        self._programs.clear()
        return {}

    # Machinery

    def pump(self, timeout: float) -> bool:
        """Take what the programs have written and notice their ends; wait at most `timeout` seconds for it.

        Returns whether anything happened. One read for each stream that has something: a flood holds up nobody.
        """
        events = self._epoll.poll(timeout)
        for descriptor, _ in events:
            program = self._by_descriptor.get(descriptor)
            if program is None:
                continue
            if descriptor == program.spare.pidfd:
                self._collect(program)
            else:
                self._read(program, descriptor)
        return bool(events)

    def find(self, handle: int) -> Running:
        """Return a program by its handle."""
        try:
            return self._programs[handle]
        except KeyError:
            raise ProgramError(f"no program has the handle {handle}") from None

    def _watch(self, program: Running) -> None:
        spare = program.spare
        program.streams = {spare.stdout: program.stdout, spare.stderr: program.stderr}
        self._programs[program.handle] = program
        for descriptor in (spare.pidfd, *program.streams):
            self._by_descriptor[descriptor] = program
            self._epoll.register(descriptor, select.EPOLLIN)

    def _forget(self, descriptor: int) -> None:
        if self._by_descriptor.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            os.close(descriptor)

    def _read(self, program: Running, descriptor: int) -> int:
        """Read once; return how many bytes came, 0 if there are none or the stream has ended."""
        try:
            data = os.read(descriptor, READ_SIZE)
        except BlockingIOError:
            return 0
        if data:
            program.streams[descriptor].add(data)
        else:
            del program.streams[descriptor]
            self._forget(descriptor)
        return len(data)

    def _collect(self, program: Running) -> None:
        """Take the exit status of a program that has ended, and the output that it left in its pipes."""
        _, status = os.waitpid(program.spare.pid, 0)
        program.ended = time.monotonic()
        self._forget(program.spare.pidfd)
        self._confinement.known.discard(program.spare.pid)
        program.spare.cell.leave()
        for descriptor in list(program.streams):
            left = DRAIN_AT_EXIT
            while left > 0 and (count := self._read(program, descriptor)):
                left -= count
        program.exit = Exit.of(status, oom=program.spare.cell.oom_kills() > 0)

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Pump until `condition()` holds or `seconds` have passed; return whether it does."""
        until = time.monotonic() + seconds
        self.pump(0)
        while not condition():
            left = until - time.monotonic()
            if left <= 0:
                return False
            self.pump(left)
        return True

    def _close(self, program: Running, until: float) -> None:
        """Kill what is left in the cell, take the exit status, release everything."""
        program.closed = True
        program.spare.cell.kill()
        if program.exit is None:
            self._until(lambda: program.exit is not None, until - time.monotonic())
        empty = program.spare.cell.is_empty(until)
        program.spare.cell.reap()
        for descriptor in program.streams:
            self._forget(descriptor)
        program.streams.clear()
        if not empty or program.exit is None:
            raise ProgramError("the program's processes could not be killed")
        with contextlib.suppress(OSError):  # EBUSY while the kernel is still tidying up: an empty cgroup harms nobody
            program.spare.cell.close()
