"""The Ethernet between the two machines: a switch for any number of links, with a capture and faults on each.

Both machines have a network card for each link, and QEMU carries its frames over a socket to here (`-netdev stream`).
A link has two pipes, one for each direction, and one capture file.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from groundup.errors import GroundupError, MachineryError, UsageError
from groundup.link.faults import TO_CLIENT, TO_SERVER, Plan
from groundup.link.pcapng import DEFAULT_LIMIT, LINKTYPE_ETHERNET, Direction, Interface, Writer
from groundup.link.pipe import LARGEST_FRAME, Counts, FramingError, Pipe

SIDES: Final = ("server", "client")


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """A machine's end of a link went away: it died, was stopped, or sent what no QEMU sends (`error` is set then)."""

    link: str
    side: str
    reason: str
    error: GroundupError | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in all captures, to cut them by. `time_ns` is wall-clock time, `positions` are of each link."""

    label: str
    time_ns: int
    positions: dict[str, int]


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """What a link carried. `captured` packets are in its capture, `overflow` packets found no room there."""

    to_server: Counts
    to_client: Counts
    captured: int
    overflow: int
    capture_stopped: str
    ended: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can carry it."""
        return asdict(self)


@dataclass(slots=True)
class _Link:
    name: str
    capture: Writer
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    pipes: dict[Direction, Pipe] = field(default_factory=dict)
    plan: dict[str, Any] | None = None


class Wire:
    """The switch. Lives on one event loop; every method is called from that loop.

    `directory` gets one capture a link, `NAME.pcapng`, of at most `limit` bytes each. `on_end` is called, soon after it
    happened, when a machine's end of a link goes away; nothing is raised for that, and the other machine's frames are
    read, captured and counted as undelivered from then on.
    """

    def __init__(
        self, directory: Path, limit: int = DEFAULT_LIMIT, on_end: Callable[[LinkEnd], None] | None = None
    ) -> None:
        self.directory = directory
        self.ends: list[LinkEnd] = []
        self._limit = limit
        self._on_end = on_end
        self._links: dict[str, _Link] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def attach(self, link: str, side: str, end: socket.socket) -> None:
        """Connect a machine's end of a link; the wire owns `end` from here on, a connected stream socket.

        May be called before `start` or after. A link carries frames once it has both its ends and the wire has started;
        until then frames wait in the sockets. Raises UsageError for an end that is there already, MachineryError where
        the capture cannot be made.
        """
        if side not in SIDES:
            raise UsageError(f"a link has a server's and a client's end, not a {side}'s")
        if link not in self._links:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise MachineryError(
                    f"cannot create {self.directory} for the captures: {error.strerror}", "check who owns it"
                ) from error
            description = "as the server sees it: in is to the server, out is to the client"
            interface = Interface(link, LINKTYPE_ETHERNET, description)
            self._links[link] = _Link(link, Writer(self.directory / f"{link}.pcapng", [interface], self._limit))
        it = self._links[link]
        if side in it.sockets or side in it.ended:
            raise UsageError(f"the {side}'s end of {link} is attached already")
        end.setblocking(False)
        it.sockets[side] = end
        self._connect(it)

    async def start(self) -> None:
        """Start to carry frames, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        for link in self._links.values():
            self._connect(link)

    async def aclose(self) -> None:
        """Close every socket and finish the captures, which stay readable by `packets`. May be called again."""
        self._closed = True
        for link in self._links.values():
            for pipe in link.pipes.values():
                pipe.close()
            for end in link.sockets.values():
                end.close()
            link.sockets.clear()
            link.capture.close()

    def links(self) -> list[str]:
        """Return the names of the links, in the order of their attachment."""
        return list(self._links)

    def faults(self, link: str, plan: dict[str, Any]) -> None:
        """Apply a plan (see `faults.Plan`) to frames that arrive from now on. Raises FaultPlanError, UsageError."""
        parsed = Plan.parse(plan)
        it = self._link(link)
        it.plan = plan
        for pipe in it.pipes.values():
            pipe.set_plan(parsed)

    def clear(self, link: str) -> None:
        """End the plan. Frames that it kept back are delivered at once."""
        it = self._link(link)
        it.plan = None
        for pipe in it.pipes.values():
            pipe.set_plan(None)

    def inject(self, link: str, to: str, frame: bytes) -> None:
        """Deliver a frame to the machine `to`, as if the other had sent it. Raises GroundupError where it cannot."""
        it = self._link(link)
        if to not in SIDES:
            raise UsageError(f"a frame is injected to the server or to the client, not to {to!r}")
        if not 0 < len(frame) <= LARGEST_FRAME:
            raise UsageError(f"a frame has 1 to {LARGEST_FRAME:,} bytes, not {len(frame):,}")
        pipe = it.pipes.get(TO_SERVER if to == "server" else TO_CLIENT)
        if pipe is None:
            raise GroundupError(f"cannot inject a frame: {link} is not connected yet", "start the pair first")
        pipe.inject(bytes(frame), "injected by test")

    def counts(self, link: str) -> LinkCounts:
        """Return what the link has carried so far."""
        it = self._link(link)
        to_server, to_client = (
            it.pipes[direction].counts if direction in it.pipes else Counts() for direction in (TO_SERVER, TO_CLIENT)
        )
        capture = it.capture
        return LinkCounts(to_server, to_client, capture.packets, capture.overflow, capture.stopped, dict(it.ended))

    def mark(self, label: str = "") -> Mark:
        """Return this moment, for `packets`."""
        return Mark(label, time.time_ns(), {name: link.capture.size for name, link in self._links.items()})

    def packets(self, link: str, since: Mark | None = None) -> bytes:
        """Return a pcapng file of what was captured since a mark, or since the beginning."""
        return self._link(link).capture.since(since.positions.get(link, 0) if since else 0)

    def capture(self, link: str) -> Path:
        """Return the path of a link's capture. It holds whole packets at any time."""
        return self._link(link).capture.path

    def _link(self, name: str) -> _Link:
        try:
            return self._links[name]
        except KeyError:
            known = ", ".join(self._links) or "none"
            raise UsageError(f"there is no link {name!r}", f"the links are: {known}") from None

    def _connect(self, link: _Link) -> None:
        """Make the link's pipes, once it has both its ends."""
        if self._loop is None or self._closed or link.pipes or len(link.sockets) < len(SIDES):
            return
        server, client = link.sockets["server"], link.sockets["client"]

        def gone(end: socket.socket, reason: str | FramingError) -> None:
            self._ended(link, end, reason)

        for direction, source, sink in ((TO_SERVER, client, server), (TO_CLIENT, server, client)):
            link.pipes[direction] = Pipe(self._loop, source, sink, direction=direction, capture=link.capture, gone=gone)
        link.pipes[TO_SERVER].other = link.pipes[TO_CLIENT]
        link.pipes[TO_CLIENT].other = link.pipes[TO_SERVER]
        if link.plan is not None:
            self.faults(link.name, link.plan)

    def _ended(self, link: _Link, end: socket.socket, reason: str | FramingError) -> None:
        """Take an end out of use and report it."""
        side = next((side for side, known in link.sockets.items() if known is end), None)
        if side is None:
            return  # both pipes use the socket, and both may find that it ended
        del link.sockets[side]
        for pipe in link.pipes.values():
            pipe.forget(end)
        end.close()
        error = None
        if isinstance(reason, FramingError):
            error = GroundupError(f"{link.name}, the {side}'s end: {reason.message}", reason.remedy)
            reason = error.message
        link.ended[side] = reason
        report = LinkEnd(link.name, side, reason, error)
        self.ends.append(report)
        if self._on_end is not None and self._loop is not None:
            self._loop.call_soon(self._on_end, report)
