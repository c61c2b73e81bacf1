"""Starting a program at little cost: its process waits, confined, before anybody asks for it.

Forking an interpreter is the dearest part of a start in an emulated machine, and what execve(2) has to take down of it
comes next. So a `Spare` is forked ahead of need, and becomes `launcher`, which is small (vm/launcher.c). That waits for
its orders on a pipe, as root and therefore out of reach of earlier programs, then gives up its rights and calls
execve(2). That call's success is seen as end-of-file on a second, close-on-exec pipe; its failure comes back over it.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from groundup_guest.confinement import GRANTABLE, Cell, Confinement, Rights

STRACE = "/usr/bin/strace"
CANNOT_RUN = "cannot run"


class LaunchError(Exception):
    """The program could not be started at all; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the waiting process is to become. `path` is the file, `argv` and `environment` what it gets."""

    path: str
    argv: list[str]
    environment: dict[str, str]

    def encode(self, directory: Path, rights: Rights | None) -> bytes:
        """Return them as the launcher takes them: strings, each with a NUL behind it."""
        user, mask = (str(rights.user), f"{rights.mask():x}") if rights else ("", "0")
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        strings = [self.path, str(directory), user, mask, str(len(self.argv)), *self.argv, *environment]
        if any("\0" in string for string in strings):
            raise LaunchError(f"{CANNOT_RUN} {self.argv[0]}: an argument has a NUL in it")
        return b"".join(string.encode("utf-8", "surrogateescape") + b"\0" for string in strings)


@dataclass(slots=True)
class Spare:
    """A forked, confined process that waits for its orders. The descriptors belong to the holder of this object."""

    pid: int
    pidfd: int
    cell: Cell
    orders: int
    answer: int
    stdout: int
    stderr: int

    def become(self, orders: bytes, name: str) -> None:
        """Let the process become the program; return once execve(2) has succeeded. Raises LaunchError."""
        try:
            with contextlib.suppress(BrokenPipeError):  # it has been killed: said below
                while orders:
                    orders = orders[os.write(self.orders, orders) :]
        finally:
            os.close(self.orders)
        try:
            error = b""
            while part := os.read(self.answer, 4096):
                error += part
        finally:
            os.close(self.answer)
        if error:
            raise LaunchError(f"{CANNOT_RUN} {name}: {os.strerror(int(error))}")

    def discard(self) -> None:
        """End the process, unused."""
        os.close(self.orders)
        os.close(self.answer)
        os.waitpid(self.pid, 0)
        for descriptor in (self.pidfd, self.stdout, self.stderr):
            os.close(descriptor)
        self.cell.close()


def fork_spare(confinement: Confinement) -> Spare:
    """Fork a process that waits for its orders in a cell of its own. Raises LaunchError if it does not come to that."""
    cell = confinement.cell()
    orders_read, orders_write = os.pipe()
    answer_read, answer_write = os.pipe()
    out_read, out_write = os.pipe()
    error_read, error_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        # The ceiling is what any chapter may grant: which one this process will serve is not known yet. What it becomes
        # gets what its orders say and can get no more, as the launcher has set PR_SET_NO_NEW_PRIVS.
        ceiling = confinement.rights.with_granted(GRANTABLE).mask() if confinement.rights else None
        _wait_in_launcher(cell, confinement.launcher, ceiling, orders_read, answer_write, (out_write, error_write))
    confinement.known.add(pid)
    for descriptor in (orders_read, answer_write, out_write, error_write):
        os.close(descriptor)
    for descriptor in (out_read, error_read):
        os.set_blocking(descriptor, False)
    cell.enter(pid)
    spare = Spare(pid, os.pidfd_open(pid), cell, orders_write, answer_read, out_read, error_read)
    if (said := os.read(answer_read, 4096)) != b"\0":
        spare.discard()
        raise LaunchError(f"{CANNOT_RUN} {confinement.launcher}: {said.decode('utf-8', 'replace')}")
    return spare


def _wait_in_launcher(
    cell: Cell, launcher: Path, ceiling: int | None, orders: int, answer: int, output: tuple[int, int]
) -> NoReturn:
    """Run in the child. Never returns into the parent's code, whatever happens."""
    try:
        os.setsid()
        # The interpreter ignores SIGPIPE and SIGXFSZ, and an ignored signal stays ignored over execve(2): a program
        # that forgets about SIGPIPE would survive here and nowhere else.
        for number in range(1, signal.NSIG):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        null = os.open("/dev/null", os.O_RDONLY)
        for descriptor, target in ((null, 0), (output[0], 1), (output[1], 2)):
            os.dup2(descriptor, target)
        # Whatever else this process has inherited, close-on-exec or not, is no business of the program's.
        low, high = sorted((orders, answer))
        for first, beyond in ((3, low), (low + 1, high), (high + 1, 1 << 20)):
            os.closerange(first, beyond)
        cell.harden()
        os.set_inheritable(orders, True)
        os.set_inheritable(answer, True)
        arguments = [str(orders), str(answer), *([] if ceiling is None else [f"{ceiling:x}"])]
        os.execve(launcher, [launcher.name, *arguments], {})
    except BaseException as error:
        os.write(answer, repr(error).encode())
    finally:
        os._exit(127)


def under_strace(orders: Orders, inject: str) -> Orders:
    """Return orders to run the program under strace, which injects faults into its system calls (`-e inject=`).

    `-D` makes the tracer a grandchild, so that the program itself keeps the process id and its parent.
    """
    options = [STRACE, "-D", "-f", "-qqq", "-o", "/dev/null", "-e", f"inject={inject}"]
    return Orders(STRACE, [*options, "--", orders.path, *orders.argv[1:]], orders.environment)
