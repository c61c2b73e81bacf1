"""A shell for `groundup shell`, on a pseudo-terminal that is carried over the port `groundup.session`.

The agent's method `shell` lasts as long as the shell does. Meanwhile the host sends the notifications `input` (bytes
that were typed), `resize` {rows, columns} and `hangup` (the terminal has gone); the guest sends `output` (bytes for the
screen) and, as the last, `ended` {status}. What the host sends carries the shell's `number`: some of it may have been
meant for a shell that had ended already, and wait in the port for the next one.
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Mapping
from typing import Any, NoReturn

from groundup_guest import rpc

READ_SIZE = 1 << 14
LAST_READS = 8
"""What is read at most of a terminal after its shell has ended: twice what a kernel holds of one (pty(7))."""
HANGUP_SECONDS = 1.0
"""How long a shell may take to end after its terminal has gone."""
HOME = "/home/student"
"""Where the server machine has the programs."""
SHELL = ["bash", "--login"]


def run(params: Mapping[str, Any], _payload: bytes = b"") -> dict[str, Any]:
    """Run a shell to its end; `params` are number, role (for the prompt), term, and the terminal's rows and columns.

    Raises OSError (EBUSY) where another process has the port.
    """
    with rpc.Channel(rpc.open_port("groundup.session")) as channel:
        child, terminal = pty.fork()
        if child == 0:
            _become_shell(str(params["role"]), str(params["term"]))
        pidfd = os.pidfd_open(child)
        try:
            _resize(terminal, params)
            _exchange(channel, terminal, (child, pidfd), params["number"])
            os.close(terminal)  # a shell that has not ended gets SIGHUP
            status = _end(child, pidfd)
        finally:
            os.close(pidfd)
        _reap_orphans(0)
        channel.notify("ended", {"status": status})
    return {}


def _become_shell(role: str, term: str) -> NoReturn:
    """Be the shell; never returns into the agent's code, whatever happens."""
    try:
        # The interpreter ignores these, and an ignored signal stays ignored over execve(2): what a learner starts by
        # hand is to die of SIGPIPE as it would anywhere else.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(HOME if os.path.isdir(HOME) else "/root")  # noqa: PTH112
        environment = {**os.environ, "TERM": term, "PS1": f"\\u@{role}:\\w\\$ ", "HOME": "/root"}
        os.execvpe(SHELL[0], SHELL, environment)
    finally:
        os._exit(127)


def _exchange(channel: rpc.Channel, terminal: int, shell: tuple[int, int], number: int) -> None:
    """Pass bytes both ways until the shell (its process id and a pidfd) has ended, or the host hangs up."""
    # A program that does not read what is typed must hold up neither its own output nor the hangup.
    os.set_blocking(terminal, False)
    typed = bytearray()
    poller = select.poll()
    poller.register(channel.fileno(), select.POLLIN)
    poller.register(shell[1], select.POLLIN)
    while True:
        poller.register(terminal, select.POLLIN | (select.POLLOUT if typed else 0))
        ready = {descriptor for descriptor, _ in poller.poll()}
        while (message := channel.poll()) is not None:
            params = message.body.get("params", {})
            if params.get("number") != number:
                continue
            match message.body.get("method"):
                case "input":
                    typed += message.payload
                case "resize":
                    _resize(terminal, params)
                case "hangup":
                    return
        if typed:
            with contextlib.suppress(BlockingIOError):
                del typed[: os.write(terminal, typed)]
        if terminal in ready and not _show(channel, terminal):
            return
        if shell[1] in ready:
            for _ in range(LAST_READS):
                if not _show(channel, terminal):
                    break
            return
        _reap_orphans(shell[0])


def _show(channel: rpc.Channel, terminal: int) -> bool:
    """Send what the terminal is to show, if there is something; return False where nothing comes any more."""
    try:
        data = os.read(terminal, READ_SIZE)
    except BlockingIOError:
        return True
    except OSError:  # EIO: no process has the terminal open any more
        return False
    channel.send({"jsonrpc": "2.0", "method": "output", "params": {}}, data)
    return True


def _end(shell: int, pidfd: int) -> int:
    """Wait for a shell whose terminal is closed, not for ever, and return its exit status as another shell does."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if not poller.poll(HANGUP_SECONDS * 1000):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(shell, 0)[1])
    return status if status >= 0 else 128 - status


def _reap_orphans(shell: int) -> None:
    """Wait for what was started in the shell, was left behind and has ended: an agent may be the one to adopt it."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == shell:
            return
        os.waitpid(found.si_pid, 0)


def _resize(terminal: int, params: Mapping[str, Any]) -> None:
    """Tell the terminal its size; the kernel tells the shell (SIGWINCH)."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", params["rows"], params["columns"], 0, 0))
