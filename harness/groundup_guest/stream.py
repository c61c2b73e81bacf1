"""The client machine's end of a TCP connection: bytes that have come, how the stream has ended, nothing about tests."""

import array
import contextlib
import fcntl
import select
import socket
import termios
import time

RECEIVE = 1 << 16


class Stream:
    """Reads a non-blocking socket into `buffer`. It owns the socket. Deadlines are monotonic seconds."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.buffer = bytearray()
        self.end = ""
        """How the other side has ended its part: `` (it has not), `eof`, `reset`."""

    def wait(self, events: int, deadline: float) -> bool:
        """Wait until the socket is ready for `events` of poll(2); return whether it is."""
        poller = select.poll()
        poller.register(self.socket, events)
        return bool(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def fill(self, deadline: float) -> bool:
        """Read what there is, waiting for it until `deadline`; return whether bytes came. Notes the stream's end."""
        if self.end or not self.wait(select.POLLIN, deadline):
            return False
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            return False
        except OSError:
            self.end = "reset"
            return False
        if not data:
            self.end = "eof"
        self.buffer += data
        return bool(data)

    def notice_reset(self) -> None:
        """Look whether the connection has been reset since its stream ended, when no read would tell any more."""
        if self.end == "eof" and self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.end = "reset"

    def acknowledge(self) -> None:
        """Acknowledge what has come now, not later together with something else (TCP_QUICKACK, tcp(7))."""
        with contextlib.suppress(OSError):  # a connection that is gone has nothing to acknowledge
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def wait_for_news(self, deadline: float) -> bool:
        """Wait until something has come: bytes, the stream's end, or after that a reset; return whether it has."""
        return self.wait(0 if self.end else select.POLLIN, deadline)

    def fill_up_to(self, size: int, deadline: float) -> None:
        """Read until the buffer holds `size` bytes, the stream ends, or nothing has come until `deadline`."""
        while len(self.buffer) < size and self.fill(deadline):
            pass

    def sent_is_acknowledged(self, deadline: float) -> None:
        """Wait until the other machine's kernel has all that was sent (SIOCOUTQ, tcp(7)), or something comes."""
        pending = array.array("i", [0])
        pause = 0.0005
        while time.monotonic() < deadline:
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, pending)
            if not pending[0] or self.wait_for_news(time.monotonic() + pause):
                return
            pause = min(2 * pause, 0.02)
