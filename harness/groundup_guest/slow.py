"""What a peer does that is slow on purpose."""

import contextlib
import time
from typing import TYPE_CHECKING

from groundup_guest.address import Address
from groundup_guest.scene import Scene
from groundup_guest.steps import count
from groundup_guest.stream import Stream

if TYPE_CHECKING:
    from groundup_guest.program import Program


class Slow:
    """The slow acts of a peer."""

    _scene: Scene
    _program: "Program"
    _stream: Stream
    sent: int
    local: Address
    remote: Address

    def drips(self, data: bytes, within: float, *, piece: int = 1, hint: str = "") -> None:
        """Send a piece each time the program has read the last one, until it gives up `within` so many seconds."""
        scene, began = self._scene, time.monotonic()
        limit = within + scene.deadlines.slack
        how = "one by one" if piece == 1 else f"in pieces of {piece}"
        for sent in range(0, len(data), piece):
            with contextlib.suppress(OSError):  # it has gone: seen below
                self.sent += self._stream.socket.send(data[sent : sent + piece])
            self._program.call("drained", local_port=self.remote.port, peer_port=self.local.port, deadline=limit)
            self._stream.fill(time.monotonic())
            seconds = time.monotonic() - began
            if self._stream.end:
                scene.steps.add("peer", f"sent {count(sent, 'byte')}, {how}, until it was given up")
                return
            if seconds > limit:
                break
        scene.steps.fail(
            "peer",
            f"sent bytes {how}, and was not given up in {time.monotonic() - began:.2f} s",
            f"The program lets {count(self.sent, 'byte')} that come {how} hold it up for longer than it may.",
            hint,
        )
