"""A relay in the server machine between TCP and a Unix socket, which the client machine could not reach otherwise.

It is one forked process with a thread for each direction of a connection. What one side does is done to the other: an
end of the stream is passed on as such, a reset as a reset.
"""

import contextlib
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from groundup_guest.address import PATH_LIMIT
from groundup_guest.programs import ProgramError

RECEIVE = 1 << 16
BACKLOG = 64
RESET = struct.pack("ii", 1, 0)  # struct linger: close(2) sends a reset


class Relays:
    """Methods of the protocol; see the agent. Paths are relative to `home`, where programs run."""

    def __init__(self, home: Path, known: Callable[[int], None]) -> None:
        self._home = home
        self._known = known
        self._running: list[int] = []
        self._paths: list[Path] = []
        self._ends: list[socket.socket] = []

    def relay(self, *, path: str, host: str = "", port: int = 0) -> dict[str, Any]:
        """Pass connections on between a Unix socket and TCP.

        With a `host` it listens at `path`, and dials `port` there; without, it listens on a TCP port, which is
        returned, and dials `path`.
        """
        place = self._home / path
        if len(os.fsencode(place)) > PATH_LIMIT:
            raise ProgramError(f"the path is too long: {path[:40]}…")
        if ".." in place.parts or not place.is_relative_to(self._home):
            raise ProgramError(f"the path leads elsewhere: {path[:40]}")  # a relay may go where programs may not
        listener = _at_path(place) if host else socket.create_server(("0.0.0.0", 0), backlog=BACKLOG)
        if host:
            self._paths.append(place)
        target: tuple[str, int] | str = (host, port) if host else str(place)
        pid = os.fork()
        if pid == 0:
            _serve(listener, target)
        self._known(pid)
        self._running.append(pid)
        found = 0 if host else int(listener.getsockname()[1])
        listener.close()
        return {"port": found}

    def full_socket(self, *, path: str) -> dict[str, Any]:
        """Listen at a path and take nobody, while there is no room for one connection more."""
        listener = _at_path(self._home / path, backlog=0)
        self._paths.append(self._home / path)
        self._ends.append(listener)
        with contextlib.suppress(BlockingIOError):
            while True:
                end = socket.socket(socket.AF_UNIX)
                self._ends.append(end)
                end.setblocking(False)
                end.connect(str(self._home / path))
        return {}

    def relays_end(self) -> dict[str, Any]:
        """End all relays, and remove the sockets at which anybody listened."""
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._running.clear()
        for end in self._ends:
            end.close()
        self._ends.clear()
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._paths.clear()
        return {}


def _at_path(path: Path, backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens at a path, and that every user may connect to."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(backlog)
    return listener


def _serve(listener: socket.socket, target: tuple[str, int] | str) -> NoReturn:
    """Be the relay, in the child; never returns into the agent's code."""
    try:
        kept = listener.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, 4096)
        while True:
            near = listener.accept()[0]
            threading.Thread(target=_connect, args=(near, target), daemon=True).start()
    finally:
        os._exit(1)


def _connect(near: socket.socket, target: tuple[str, int] | str) -> None:
    family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    far = socket.socket(family)
    try:
        far.connect(target)
    except OSError:
        _reset(near)
        near.close()
        far.close()
        return
    for end in (near, far):
        if end.family == socket.AF_INET:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threads = [threading.Thread(target=_copy, args=ends, daemon=True) for ends in ((near, far), (far, near))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    near.close()
    far.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on one direction, to its end."""
    try:
        while data := source.recv(RECEIVE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            _reset(end)


def _reset(end: socket.socket) -> None:
    """End a connection so that its peer sees a reset (over TCP), and the other direction's thread wakes up."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RD)
    if end.family != socket.AF_INET:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
