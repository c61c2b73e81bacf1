"""One direction of a link: takes the frames of one machine from its socket and hands them to the other's.

A frame on QEMU's `-netdev stream` socket is a 4-byte big-endian length and the frame (QEMU, net/stream.c). Frames are
moved in batches: one recv(2), a walk over the lengths, one send(2). Work per wake-up is bounded, so that a machine that
floods does not keep the event loop from others; memory is bounded, because a pipe stops reading its sender while the
receiver's socket is full or too many frames are on their way late.
"""

import asyncio
import heapq
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from groundup.errors import GroundupError
from groundup.link.faults import Delivery, Plan, Verdict
from groundup.link.pcapng import Direction, Writer

LARGEST_FRAME: Final = 4096 + 65536
"""Bytes of the largest frame that QEMU handles (NET_BUFSIZE in its include/net/net.h)."""

_LENGTH: Final = struct.Struct(">I")
_BUFFER: Final = 256 << 10  # bytes taken from a sender at once; more than one frame
_FRAMES_PER_TURN: Final = 256  # frames handled before others have their turn: about half a millisecond
_BACKLOG: Final = 256 << 10  # bytes that wait for a full receiver before new ones are held back
_INJECTION_BACKLOG: Final = 1 << 20  # bytes that wait before an injected frame is refused
_LATE_FRAMES: Final = 4096  # frames that may be delayed at once, then the sender waits
_LATE_BYTES: Final = 4 << 20
_LONGEST_HOLD: Final = 0.05  # seconds that a frame waits for another to overtake it: below any retransmission timer


class FramingError(GroundupError):
    """A socket carries something that is not QEMU's framing. Ends the link, never the process."""


@dataclass(slots=True)
class Counts:
    """What went one way. `frames` and `bytes` are what the one machine sent, `delivered` frames the other was given."""

    frames: int = 0
    bytes: int = 0
    delivered: int = 0
    dropped: int = 0
    delayed: int = 0
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    injected: int = 0
    undelivered: int = 0


@dataclass(order=True, slots=True)
class _Late:
    """A frame on its way late: `due` on the loop's clock, `number` keeps frames of equal times in order."""

    due: float
    number: int
    delivery: Delivery


class Pipe:
    """Moves frames from `source` to `sink`, both non-blocking and owned by the caller.

    `gone(socket, reason)` is called when one of the two ends; FramingError is passed as the reason where the sender's
    bytes make no sense. `other` is the pipe of the opposite direction, for frames that a plan sends back.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: socket.socket,
        sink: socket.socket,
        *,
        direction: Direction,
        capture: Writer,
        gone: Callable[[socket.socket, str | FramingError], None],
    ) -> None:
        self.counts = Counts()
        self.other: Pipe | None = None
        self._loop = loop
        self._source: socket.socket | None = source
        self._sink: socket.socket | None = sink
        self._direction = direction
        self._capture = capture
        self._gone = gone
        self._plan: Plan | None = None
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # the bytes of `_buffer` that wait to be handled
        self._out = bytearray()  # what the receiver's socket has no room for
        self._late: list[_Late] = []
        self._late_bytes = 0
        self._number = 0
        self._last_due = 0.0
        self._held = 0  # frames in `_late` that wait for another to overtake them
        self._timer: asyncio.TimerHandle | None = None
        self._reading = self._writing = False  # asked the loop to tell when the sender has, the receiver takes, bytes
        self._more = False  # `_buffer` may hold whole frames
        self._scheduled = False  # a turn for them is coming
        self._next()

    def set_plan(self, plan: Plan | None) -> None:
        """Judge frames by `plan` from now on. What the plan before it kept back is delivered at once, in order."""
        self._plan = plan
        for late in self._late:
            late.due = 0.0  # equal times leave the numbers, which are in the order of arrival
        heapq.heapify(self._late)
        self._held = 0
        self._last_due = 0.0
        self._release()

    def inject(self, frame: bytes, note: str) -> None:
        """Deliver a frame that no machine sent. Raises GroundupError where the receiver takes nothing any more."""
        if self._sink is None:
            raise GroundupError("cannot inject a frame: the machine that should get it has gone")
        if len(self._out) > _INJECTION_BACKLOG:
            raise GroundupError("cannot inject a frame: the machine takes none", "inject fewer frames at a time")
        self.counts.injected += 1
        self._deliver(frame, note)
        self._flush()
        self._capture.flush()
        self._next()

    def forget(self, gone: socket.socket) -> None:
        """Stop using a socket that ended, before its owner closes it. Frames for it are counted from then on."""
        if gone is self._source:
            if self._reading:
                self._loop.remove_reader(gone)
                self._reading = False
            self._source = None
        elif gone is self._sink:
            if self._writing:
                self._loop.remove_writer(gone)
                self._writing = False
            self._sink = None
            self._out.clear()
            if self._late:
                self._set_timer()  # the receiver was awaited, now the clock is
            self._next()

    def close(self) -> None:
        """Stop everything. The sockets stay with their owner."""
        for end in (self._source, self._sink):
            if end is not None:
                self.forget(end)
        if self._timer is not None:
            self._timer.cancel()
        self._late.clear()

    # What to wait for

    def _blocked(self) -> bool:
        """Tell whether the sender has to wait: for its receiver, or for frames that are on their way late."""
        return (
            bool(self._out)
            or len(self._late) >= _LATE_FRAMES
            or self._late_bytes >= _LATE_BYTES
            # The plan has gone but some of its frames have not: new ones must not overtake them.
            or (self._plan is None and bool(self._late))
        )

    def _next(self) -> None:
        """Ask for what comes next: a turn for what is in the buffer, else what the sender has to say, else nothing."""
        ready = self._source is not None and not self._blocked()
        if ready and self._more and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        reading = ready and not self._more
        if reading is not self._reading and self._source is not None:
            if reading:
                self._loop.add_reader(self._source, self._readable)
            else:
                self._loop.remove_reader(self._source)
            self._reading = reading

    def _readable(self) -> None:
        source = self._source
        if source is None:
            return
        try:
            # There is always room: what is left over between two reads is less than one frame.
            got = source.recv_into(self._view[self._end :])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._gone(source, error.strerror or str(error))
            return
        if got == 0:
            self._gone(source, "closed in the middle of a frame" if self._end else "closed")
            return
        self._end += got
        self._handle()

    def _turn(self) -> None:
        self._scheduled = False
        if self._source is not None and not self._blocked():
            self._handle()

    def _writable(self) -> None:
        self._flush()
        if not self._out:
            self._release()

    # Frames

    def _handle(self) -> None:
        """Handle a turn's worth of the frames in the buffer."""
        try:
            if self._plan is None and self._sink is not None:
                self._pass()
            else:
                self._judge()
        except FramingError as error:
            if self._source is not None:
                self._gone(self._source, error)
        self._capture.flush()
        if not self._more:
            # The rest is part of a frame: make room for the whole of it.
            rest = self._end - self._start
            if rest and self._start:
                self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        self._next()

    def _frames(self) -> Iterator[memoryview]:
        """Yield the whole frames in the buffer, at most a turn's worth; `_more` tells whether some may be left."""
        buffer, view, end = self._buffer, self._view, self._end
        self._more = False
        for _ in range(_FRAMES_PER_TURN):
            at = self._start + 4
            if end < at:
                return
            (length,) = _LENGTH.unpack_from(buffer, at - 4)
            if not 0 < length <= LARGEST_FRAME:
                raise FramingError(
                    f"a frame claims a length of {length:,} bytes, which QEMU never sends",
                    "connect a link to QEMU's -netdev stream and to nothing else",
                )
            if end < at + length:
                return
            self._start = at + length
            yield view[at : at + length]
        self._more = True

    def _pass(self) -> None:
        """Pass frames on as they came, in one write: the way without faults."""
        add, direction, counts, clock = self._capture.add, self._direction, self.counts, time.time_ns
        first, number = self._start, 0
        try:
            for frame in self._frames():
                add(frame, clock(), direction)
                number += 1
        finally:  # what came before a frame that makes no sense is delivered
            counts.frames += number
            counts.delivered += number
            counts.bytes += self._start - first - 4 * number
            self._send(self._view[first : self._start])

    def _judge(self) -> None:
        """Pass frames on as the plan says."""
        counts = self.counts
        try:
            for view in self._frames():
                frame = bytes(view)
                counts.frames += 1
                counts.bytes += len(frame)
                verdict = self._plan.decide(self._direction, frame) if self._plan is not None else None
                if verdict is None:
                    self._deliver(frame, "")
                else:
                    self._obey(frame, verdict)
                if len(self._out) > _BACKLOG or len(self._late) >= _LATE_FRAMES or self._late_bytes >= _LATE_BYTES:
                    self._more = True
                    break
        finally:
            self._flush()

    def _obey(self, frame: bytes, verdict: Verdict) -> None:
        counts = self.counts
        counts.dropped += verdict.dropped
        counts.duplicated += verdict.duplicated
        counts.corrupted += verdict.corrupted
        if verdict.dropped:
            self._capture.add(frame, time.time_ns(), self._direction, "dropped by plan")
        for delivery in verdict.deliveries:
            if delivery.direction is not self._direction:
                self._send_back(delivery)
            elif delivery.hold or delivery.delay:
                self._postpone(delivery)
            else:
                counts.injected += delivery.injected
                self._deliver(delivery.frame, delivery.note)

    def _send_back(self, delivery: Delivery) -> None:
        """Deliver a frame that a plan forges for the machine that sent the frame at hand."""
        try:
            if self.other is not None:
                self.other.inject(delivery.frame, delivery.note)
        except GroundupError:
            self.counts.undelivered += 1  # a plan has nobody to complain to; the count is seen

    def _deliver(self, frame: bytes, note: str) -> None:
        """Hand a frame to the receiver; `_flush` sends it. Frames that it overtook follow it."""
        if self._sink is None:
            self.counts.undelivered += 1
            note = "not delivered: the machine has gone"
        else:
            self.counts.delivered += 1
            self._out += _LENGTH.pack(len(frame)) + frame
        self._capture.add(frame, time.time_ns(), self._direction, note)
        if self._held:
            self._held = 0
            overtaken = [late.delivery for late in sorted(self._late) if late.delivery.hold]
            self._late = [late for late in self._late if not late.delivery.hold]
            heapq.heapify(self._late)
            for delivery in overtaken:
                self._late_bytes -= len(delivery.frame)
                self._deliver(delivery.frame, delivery.note)

    def _postpone(self, delivery: Delivery) -> None:
        """Keep a frame back until it is due. Jitter never reorders: reordering is asked for by name."""
        now = self._loop.time()
        if delivery.hold:
            self.counts.reordered += 1
            self._held += 1
            due = now + _LONGEST_HOLD
        else:
            self.counts.delayed += 1
            due = self._last_due = max(now + delivery.delay, self._last_due)
        self._number += 1
        heapq.heappush(self._late, _Late(due, self._number, delivery))
        self._late_bytes += len(delivery.frame)
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._late[0].due
        if self._timer is None or self._timer.cancelled() or due < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._release()

    def _release(self) -> None:
        """Deliver the late frames that are due, as far as the receiver takes them."""
        now = self._loop.time()
        while self._late and self._late[0].due <= now and len(self._out) <= _BACKLOG:
            delivery = heapq.heappop(self._late).delivery
            self._late_bytes -= len(delivery.frame)
            if delivery.hold and self._held:
                self._held -= 1  # nothing overtook it in time
            self._deliver(delivery.frame, delivery.note)
        self._flush()
        self._capture.flush()
        if self._late and not self._out:
            self._set_timer()
        self._next()

    def _flush(self) -> None:
        if self._out:
            out, self._out = self._out, bytearray()
            self._send(out)

    def _send(self, data: bytearray | memoryview) -> None:
        """Send whole frames, or the rest of some; what the receiver has no room for waits in `_out`."""
        sink, sent = self._sink, 0
        if sink is None or not data:
            return
        try:
            sent = sink.send(data)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._gone(sink, error.strerror or str(error))
            return
        if sent < len(data):
            self._out += memoryview(data)[sent:]
        if bool(self._out) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(sink, self._writable)
            else:
                self._loop.remove_writer(sink)
