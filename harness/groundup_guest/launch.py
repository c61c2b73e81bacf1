"""Starting a program at little cost: its process waits, forked and confined, before anybody asks for it.

Forking an interpreter is the dearest part of a start in an emulated machine. So a `Spare` is forked ahead of need; it
waits for its orders on a pipe, as root and therefore out of reach of earlier programs, then gives up its rights and
calls execve(2). That call's success is seen as end-of-file on a second, close-on-exec pipe; its failure comes back over
it.
"""

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from groundup_guest.confinement import Cell, Confinement

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


@dataclass(slots=True)
class Spare:
    """A forked, confined process that waits for its orders. The descriptors belong to the holder of this object."""

    pid: int
    pidfd: int
    cell: Cell
    orders: int
    failure: int
    stdout: int
    stderr: int

    def become(self, orders: Orders) -> None:
        """Let the process become the program; return once execve(2) has succeeded. Raises LaunchError."""
        line = json.dumps([orders.path, orders.argv, orders.environment]).encode() + b"\n"
        try:
            with contextlib.suppress(BrokenPipeError):  # it has been killed: said below
                while line:
                    line = line[os.write(self.orders, line) :]
            reason = b""
            while part := os.read(self.failure, 4096):
                reason += part
        finally:
            os.close(self.orders)
            os.close(self.failure)
        if reason:
            raise LaunchError(f"{CANNOT_RUN} {orders.argv[0]}: {reason.decode('utf-8', 'replace')}")

    def discard(self) -> None:
        """End the process, unused."""
        os.close(self.orders)
        os.close(self.failure)
        os.waitpid(self.pid, 0)
        for descriptor in (self.pidfd, self.stdout, self.stderr):
            os.close(descriptor)
        self.cell.close()


def fork_spare(confinement: Confinement) -> Spare:
    """Fork a process that waits for its orders in a cell of its own."""
    cell = confinement.cell()
    orders_read, orders_write = os.pipe()
    failure_read, failure_write = os.pipe()
    out_read, out_write = os.pipe()
    error_read, error_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _wait_and_become(cell, confinement.home, orders_read, failure_write, (out_write, error_write))
    confinement.known.add(pid)
    for descriptor in (orders_read, failure_write, out_write, error_write):
        os.close(descriptor)
    for descriptor in (out_read, error_read):
        os.set_blocking(descriptor, False)
    cell.enter(pid)
    return Spare(pid, os.pidfd_open(pid), cell, orders_write, failure_read, out_read, error_read)


def _wait_and_become(cell: Cell, home: Path, orders: int, failure: int, output: tuple[int, int]) -> NoReturn:
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
        low, high = sorted((orders, failure))
        for first, beyond in ((3, low), (low + 1, high), (high + 1, 1 << 20)):
            os.closerange(first, beyond)
        cell.harden()
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(orders, 1 << 16)
            if not part:
                os._exit(0)
            line += part
        path, argv, environment = json.loads(line)
        os.chdir(home)
        cell.drop()
        os.execve(path, argv, environment)
    except OSError as error:
        os.write(failure, (error.strerror or str(error)).encode())
    except BaseException as error:
        os.write(failure, repr(error).encode())
    finally:
        os._exit(127)


def under_strace(orders: Orders, inject: str) -> Orders:
    """Return orders to run the program under strace, which injects faults into its system calls (`-e inject=`).

    `-D` makes the tracer a grandchild, so that the program itself keeps the process id and its parent.
    """
    options = [STRACE, "-D", "-f", "-qqq", "-o", "/dev/null", "-e", f"inject={inject}"]
    return Orders(STRACE, [*options, "--", orders.path, *orders.argv[1:]], orders.environment)
