"""The fixture `link`: frames sent and received by Scapy on a named interface of the client machine."""

import time
from collections.abc import Callable
from typing import Any

from scapy.config import conf
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from groundup_guest.conditions import Condition
from groundup_guest.scene import Scene
from groundup_guest.steps import preview

Matching = Callable[[Packet], bool]


class Link:
    """One interface, open for raw frames: what arrives from now on waits until a test asks for it."""

    def __init__(self, scene: Scene, interface: str) -> None:
        self._scene = scene
        self._interface = interface
        self._socket: Any = conf.L2listen(iface=interface)
        self._sender: Any = conf.L2socket(iface=interface)

    def sends(self, packet: Packet | bytes) -> None:
        """Send one frame as it is."""
        self._sender.send(packet if isinstance(packet, Packet) else Ether(packet))
        summary = packet.summary() if isinstance(packet, Packet) else preview(packet)
        self._scene.steps.add("link", f"sent a frame on {self._interface}", summary)

    def receives(
        self, matching: Matching, *, what: str = "a frame", within: float | None = None, hint: str = ""
    ) -> Packet:
        """Expect a frame for which `matching(packet)` is true, and return it; others are passed over."""
        until = time.monotonic() + (self._scene.deadlines.default if within is None else within)
        passed = 0
        while (packet := self._next(until)) is None or not matching(packet):
            passed += 1
            if packet is None:
                came = f"only {passed - 1} others came" if passed > 1 else "none came"
                text = f"expected {what} on {self._interface}, but {came}"
                self._scene.steps.fail("link", text, f"No such frame came: {what}.", hint)
        self._scene.steps.add("link", f"received {what} on {self._interface}", packet.summary())
        return packet

    def receives_nothing_until(
        self, condition: Condition, matching: Matching, *, what: str = "a frame", hint: str = ""
    ) -> None:
        """Expect no frame for which `matching(packet)` is true until the program has come to rest."""
        found = condition.program.call("settle", deadline=self._scene.deadlines.default)
        if not found["settled"]:
            condition.program.fail_restless(found)
        until = time.monotonic() + 20 * self._scene.deadlines.unit
        while (packet := self._next(until)) is not None:
            if matching(packet):
                self._scene.steps.fail(
                    "link",
                    f"expected no such frame on {self._interface}, but received {what}:",
                    f"A frame came where none should have: {what}.",
                    hint,
                    detail=packet.summary(),
                )
        self._scene.steps.add("server", f"{condition.text} and is silent")

    def close(self) -> None:
        """Close the sockets."""
        self._socket.close()
        self._sender.close()

    def _next(self, until: float) -> Packet | None:
        """Return the next frame, None at `until` (monotonic)."""
        left = max(0.0, until - time.monotonic())
        ready = self._socket.select([self._socket], left)
        return self._socket.recv() if ready else None


class Links:
    """The fixture: opens interfaces."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def on(self, interface: str) -> Link:
        """Open an interface of the client machine: `eth0`, or the bare link `eth1`."""
        link = Link(self._scene, interface)
        self._scene.closers.append(link.close)
        return link
