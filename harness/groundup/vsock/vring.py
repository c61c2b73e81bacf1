"""What a front-end tells about one virtqueue, and the ring while it runs.

Source: QEMU's document "Vhost-user Protocol", "Ring states": a ring runs or is stopped, and it is enabled or not.
"""

import asyncio
import os
from collections.abc import Callable

from groundup.vsock.memory import GuestMemory
from groundup.vsock.ring import Ring, RingAddresses

_ONE = (1).to_bytes(8, "little")


class Vring:
    """One virtqueue of a device. It owns its descriptors: kick, call and error, each of them -1 while there is none."""

    def __init__(self) -> None:
        self.size = 0
        self.addresses: RingAddresses | None = None
        self.base = 0  # where to go on in the available ring; kept up to date while the ring does not run
        self.enabled = True
        self.ring: Ring | None = None
        self._kick = -1
        self._call = -1
        self._error = -1

    def start(self, memory: GuestMemory) -> bool:
        """Let the ring run, if everything for it is there. Says whether it began to. Raises RingError.

        A ring that is disabled ought to discard what it is given. For sockets, whose packets must not get lost, it is
        left alone until it is enabled, which front-ends do in the same breath.
        """
        if self.ring is not None or self._kick < 0 or self.addresses is None or not self.enabled:
            return False
        self.ring = Ring(memory, self.size, self.addresses, self.base)
        return True

    def pause(self) -> bool:
        """Let go of the ring, remembering where it was. Says whether it ran."""
        if self.ring is None:
            return False
        self.ring.close()
        self.base, self.ring = self.ring.next_available, None
        return True

    def stop(self) -> bool:
        """Pause, and forget the kick descriptor, without which the ring cannot start again. Says whether it ran."""
        ran = self.pause()
        if self._kick >= 0:
            asyncio.get_running_loop().remove_reader(self._kick)
            self._kick = _replace(self._kick, -1)
        return ran

    def set_kick(self, fd: int, kicked: Callable[[], None]) -> None:
        """Call `kicked` whenever `fd` can be read, of a stopped ring. Raises OSError where nobody can wait for it."""
        self._kick = fd
        asyncio.get_running_loop().add_reader(fd, kicked)

    def read_kick(self) -> bool:
        """Empty the kick descriptor; says whether there was a kick. Raises OSError, EOFError.

        It is an eventfd, or a pipe (document, "Support for platforms other than Linux").
        """
        try:
            data = os.read(self._kick, 8)
        except BlockingIOError:
            return False
        if not data:
            raise EOFError("it is at its end")
        return True

    def set_call(self, fd: int) -> None:
        """Use `fd` (-1: nothing) to tell the driver of used buffers."""
        self._call = _replace(self._call, fd)

    def set_error(self, fd: int) -> None:
        """Use `fd` (-1: nothing) to tell the front-end of errors."""
        self._error = _replace(self._error, fd)

    def notify(self) -> None:
        """Interrupt the driver because of used buffers, if it wants that. Raises OSError."""
        if self.ring is not None and self._call >= 0 and self.ring.wants_interrupt():
            _signal(self._call)

    def signal_error(self) -> None:
        """Tell the front-end, if it wants to know, that the ring is broken. Raises OSError."""
        if self._error >= 0:
            _signal(self._error)

    def close(self) -> None:
        """Stop, and close all descriptors. May be called again."""
        self.stop()
        self.set_call(-1)
        self.set_error(-1)


def _signal(fd: int) -> None:
    try:
        os.write(fd, _ONE)
    except BlockingIOError:
        return  # the counter is full: whoever reads it will wake up anyway


def _replace(old: int, new: int) -> int:
    """Close a descriptor, if it is one, and return its successor."""
    if old >= 0:
        os.close(old)
    return new
