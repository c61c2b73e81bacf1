"""The fixture `link`: frames sent and received on a named interface of the client machine, made with Scapy."""

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scapy.arch import get_if_hwaddr
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from groundup_guest.conditions import Condition
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.steps import InfraError, count, preview, said

Matching = Callable[[Packet], bool]

ETH_P_ALL = 3  # linux/if_ether.h
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_IGNORE_OUTGOING = 263, 1, 23  # linux/socket.h, linux/if_packet.h
PACKET_MR_PROMISC = 1
LARGEST = 1 << 16
FLOOD_BEGUN = 8
FLOOD_PAUSE = 0.0005
"""Seconds between two frames of a flood: what two emulated machines and the wire between them can pass."""
COMMAND_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Command:
    """How a command ended, and what it said on both streams."""

    status: int
    output: str


class Link:
    """One interface, open for raw frames: what arrives from now on waits until a test asks for it."""

    def __init__(self, scene: Scene, interface: str, *, promiscuous: bool) -> None:
        self._scene = scene
        self.interface = interface
        self.mac: str = get_if_hwaddr(interface)
        """The address of this end."""
        self.server_mac = scene.settings.macs.get(interface, self.mac)
        """The address of the server machine's end."""
        # Protocol 0 until the interface is named: a socket for all protocols would begin with all interfaces.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((interface, ETH_P_ALL))
        if promiscuous:
            membership = struct.pack("=iHH8s", socket.if_nametoindex(interface), PACKET_MR_PROMISC, 0, b"")
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)

    def sends(self, packet: Packet | bytes, *, note: str = "") -> None:
        """Send one frame as it is; `note` is said of it in the steps in place of Scapy's summary."""
        self._socket.send(bytes(packet))
        summary = packet.summary() if isinstance(packet, Packet) else preview(packet)
        self._scene.steps.add("link", f"sent {note or 'a frame'} on {self.interface}", summary)

    def receives(
        self, matching: Matching, *, what: str = "a frame", within: float | None = None, hint: str = ""
    ) -> Packet:
        """Expect a frame for which `matching(packet)` is true, and return it; others are passed over."""
        until = time.monotonic() + (self._scene.deadlines.default if within is None else within)
        passed = 0
        while (packet := self._next(until)) is None or not matching(packet):
            passed += 1
            if packet is None:
                came = f"only {count(passed - 1, 'other')} came" if passed > 1 else "none came"
                text = f"expected {what} on {self.interface}, but {came}"
                self._scene.steps.fail("link", text, f"No such frame came: {what}.", hint)
        self._scene.steps.add("link", f"received {what} on {self.interface}", packet.summary())
        return packet

    def receives_next(self, matching: Matching, *, what: str, whose: Matching, hint: str = "") -> Packet:
        """Expect `matching` of the next frame for which `whose` is true, and return it."""
        until = time.monotonic() + self._scene.deadlines.default
        while (packet := self._next(until)) is None or not whose(packet):
            if packet is None:
                text = f"expected {what} on {self.interface}, but none came"
                self._scene.steps.fail("link", text, f"No such frame came: {what}.", hint)
        if not matching(packet):
            self._scene.steps.fail(
                "link",
                f"expected {what} on {self.interface}, but received another frame:",
                f"Another frame came where there should have been {what}.",
                hint,
                detail=f"{packet.src} > {packet.dst}: {packet.summary()}\nall its bytes: {preview(bytes(packet), 80)}",
            )
        self._scene.steps.add("link", f"received {what} on {self.interface}", packet.summary())
        return packet

    def next_frame(self, matching: Matching) -> Packet | None:
        """Return the next frame for which `matching(packet)` is true, None if none comes in some round trips' time."""
        until = time.monotonic() + 20 * self._scene.deadlines.unit
        while (packet := self._next(until)) is not None:
            if matching(packet):
                return packet
        return None

    def receives_nothing_until(
        self, condition: Condition, matching: Matching, *, what: str = "a frame", hint: str = ""
    ) -> None:
        """Expect no frame for which `matching(packet)` is true until the program has come to rest."""
        found = condition.program.call("settle", deadline=self._scene.deadlines.default)
        if not found["settled"]:
            condition.program.fail_restless(found)
        if (packet := self.next_frame(matching)) is not None:
            self._scene.steps.fail(
                "link",
                f"expected no such frame on {self.interface}, but received {what}:",
                f"A frame came where none should have: {what}.",
                hint,
                detail=packet.summary(),
            )
        self._scene.steps.add("server", f"{condition.text} and is silent")

    @contextlib.contextmanager
    def flooded(self, frames: Sequence[Packet | bytes], what: str) -> Iterator[None]:
        """Send these frames, again and again, while the block runs: they come at any moment of what is done there.

        The block begins when FLOOD_BEGUN frames, and each of them once, have been sent.
        """
        encoded, over, sent = [bytes(frame) for frame in frames], threading.Event(), [0]
        begun, enough = threading.Event(), max(FLOOD_BEGUN, len(frames))

        def flood() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
                sender.bind((self.interface, 0))
                while not over.wait(FLOOD_PAUSE):
                    with contextlib.suppress(BlockingIOError):  # ENOBUFS is passed on, and is the test's end
                        sender.send(encoded[sent[0] % len(encoded)])
                    sent[0] += 1
                    if sent[0] == enough:
                        begun.set()

        thread = threading.Thread(target=flood, daemon=True)
        step = self._scene.steps.add("link", f"floods {self.interface} with {what} from here on")
        thread.start()
        try:
            if not begun.wait(self._scene.deadlines.default):
                raise InfraError(f"no flood of {what} came about on {self.interface}")
            yield
        finally:
            over.set()
            thread.join()
            step.detail = f"{count(sent[0], 'frame')} until it stops"

    def has_address(self, address: str) -> None:
        """Give the kernel of this machine an address on the interface (`198.51.100.2/24`) until the test ends."""
        self._ip("address", "add", address, "dev", self.interface)
        self._scene.closers.append(self._forget_addresses)
        self._scene.steps.add("link", f"{self.interface} of this machine has the address {address} now")

    def runs(self, *command: str) -> Command:
        """Run a command of this machine to its end, such as ping(8)."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        output = done.stdout + done.stderr
        self._scene.steps.add("peer", f"{' '.join(command)} → status {done.returncode}", said(output))
        return Command(done.returncode, output)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _forget_addresses(self) -> None:
        self._ip("address", "flush", "dev", self.interface)
        self._ip("neighbour", "flush", "dev", self.interface)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=COMMAND_SECONDS)

    def _next(self, until: float) -> Packet | None:
        """Return the next frame, None at `until` (monotonic)."""
        self._socket.settimeout(max(0.0, until - time.monotonic()))
        try:
            return Ether(self._socket.recv(LARGEST))
        except (TimeoutError, BlockingIOError):
            return None


class Links:
    """The fixture: opens interfaces."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def on(self, interface: str, *, promiscuous: bool = True) -> Link:
        """Open an interface of the client machine: `eth0`, or the bare link `eth1`.

        It hears all that comes over the wire, or only what a network card hands on by itself.
        """
        link = Link(self._scene, interface, promiscuous=promiscuous)
        self._scene.closers.append(link.close)
        return link

    def delivered(self, program: Program, at_most: int, *, what: str, hint: str = "") -> None:
        """Expect the kernel to have given a program's packet sockets no more frames than that since the last look.

        The kernel counts (PACKET_STATISTICS), so it does not matter how the program reads, nor what it does with what
        it has read: a frame that its filter refuses is not delivered.
        """
        found, steps = program.call("delivered"), self._scene.steps
        if not found["sockets"]:
            steps.fail("server", "expected a packet socket, but it has none", "The program has no packet socket.", hint)
        delivered = count(found["frames"], "frame")
        if found["frames"] > at_most:
            steps.fail(
                "server",
                f"expected {what}, {at_most} at most, but the kernel delivered {delivered}",
                f"The kernel delivered {delivered} to the program, of which {at_most} concerned it.",
                hint,
            )
        steps.add("server", f"was given {delivered}: {what}")
