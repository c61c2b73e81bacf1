"""The host's end (CID 2) of vsock connections, where a test wants one: it echoes, says nothing, or dials a guest.

Source of what each packet means: virtio 1.2, section 5.10.6. Nothing here waits; packets come from the switch.
"""

import asyncio
from typing import Final

from groundup.vsock.packet import CID_HOST, MAX_PAYLOAD, Op, Packet, Shutdown, Type
from groundup.vsock.switch import Switch

BUFFER: Final = 256 * 1024
"""What the host's end takes of a stream before somebody takes it out, in bytes: Linux's own default.

It is announced as credit, and enforced: a guest that sends more than that is reset.
"""
RETRY_SECONDS: Final = 0.001
"""How soon a packet is tried again for which the guest had no room (Switch.send)."""
CONNECTIONS: Final = 64
"""At one echo; the next one is refused. With a full buffer each they are as much as may wait for a guest."""
_WHOLE: Final = Shutdown.RECEIVE | Shutdown.SEND


class Stream:
    """One connection as its host's end sees it. What a guest can make it keep is bounded, whatever the guest sends."""

    def __init__(self, switch: Switch, guest: tuple[int, int], port: int, *, echoes: bool, limit: int = BUFFER) -> None:
        """Make the host's end of a connection, which is reset when more than `limit` bytes of it would be here."""
        self._switch = switch
        self._guest = guest
        self._port = port
        self._echoes = echoes
        self._limit = limit
        self._room = 0  # what the guest's buffer takes, as it has last said, beyond what it had forwarded then
        self._forwarded_there = 0
        self._sent = 0
        self._forwarded = 0  # of what has come, modulo 2**32
        self._pending = bytearray()
        self._ends = False  # nothing follows what is pending
        self._shut = False  # and that has been said
        self._retry: asyncio.TimerHandle | None = None
        self.received = bytearray()
        """What has come, of a stream that does not echo."""
        self.guest_ended = False
        self.over: asyncio.Event = asyncio.Event()
        """Set when nothing more can come: the guest has ended its stream, or one of both has reset the connection."""
        self.reset = False
        self.gone = False
        """Nothing is taken or said any more."""

    # Acts

    def says(self, op: Op, flags: int = 0, payload: bytes = b"") -> bool:
        """Send a packet; return whether the guest had room for it."""
        cid, port = self._guest
        return self._switch.send(
            Packet(CID_HOST, cid, self._port, port, Type.STREAM, op, flags, BUFFER, self._forwarded, payload)
        )

    def writes(self, data: bytes, *, ends: bool) -> None:
        """Send bytes as the guest has room for them, and after them the stream's end."""
        self._pending += data
        self._ends = ends
        self._push()

    def close(self) -> None:
        """Forget what was to be sent: nothing is tried again."""
        self.gone = True
        self._pending.clear()
        self._rest()

    def _rest(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = None

    # What comes

    def takes(self, packet: Packet) -> None:
        """Take a packet of this connection."""
        self._room, self._forwarded_there = packet.buf_alloc, packet.fwd_cnt
        match packet.op:
            case Op.RW:
                self._take(packet.payload)
            case Op.CREDIT_REQUEST:
                self.says(Op.CREDIT_UPDATE)
            case Op.SHUTDOWN:
                self._shutdown(packet.flags)
            case Op.RST:
                self.reset = not self.guest_ended
                self.over.set()
                self.close()
        if not self.gone:
            self._push()

    def _take(self, data: bytes) -> None:
        kept = self._pending if self._echoes else self.received
        if len(kept) + len(data) > self._limit:
            self.says(Op.RST)  # it had no credit for so much, or no answer is so long
            self.reset = True
            self.over.set()
            self.close()
            return
        kept += data
        if not self._echoes:  # what is echoed counts as forwarded when it has gone back
            self._forwarded = (self._forwarded + len(data)) & 0xFFFFFFFF
            self.says(Op.CREDIT_UPDATE)

    def _shutdown(self, flags: int) -> None:
        if flags & Shutdown.SEND:
            self.guest_ended = self._ends = True
            self.over.set()
        if flags & Shutdown.RECEIVE:
            self._pending.clear()  # nobody will read it
        if flags & _WHOLE == _WHOLE:
            self.says(Op.RST)  # virtio 1.2, section 5.10.6.5: the other end of a clean disconnect
            self.close()

    def _push(self) -> None:
        """Send what there is room for."""
        self._rest()
        while self._pending:
            room = self._room - ((self._sent - self._forwarded_there) & 0xFFFFFFFF)
            piece = bytes(self._pending[: min(max(room, 0), MAX_PAYLOAD)])
            if not piece:
                return  # the guest says when there is room again
            if self._echoes:
                self._forwarded = (self._forwarded + len(piece)) & 0xFFFFFFFF
            if not self.says(Op.RW, payload=piece):
                if self._echoes:
                    self._forwarded = (self._forwarded - len(piece)) & 0xFFFFFFFF
                self._try_again()
                return
            self._sent += len(piece)
            del self._pending[: len(piece)]
        if self._ends and not self._shut:
            self._shut = self.says(Op.SHUTDOWN, _WHOLE if self._echoes else Shutdown.SEND)
            if not self._shut:
                self._try_again()

    def _try_again(self) -> None:
        self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._push)


class Echo:
    """A host's end that sends back whatever comes, and ends its stream after the guest has."""

    def __init__(self, switch: Switch, port: int) -> None:
        self._switch = switch
        self._port = port
        self._streams: dict[tuple[int, int], Stream] = {}

    def received(self, packet: Packet) -> None:
        """See switch.HostEnd."""
        guest = packet.src_cid, packet.src_port
        stream = self._streams.get(guest)
        asks = packet.op == Op.REQUEST and packet.type == Type.STREAM and len(self._streams) < CONNECTIONS
        if asks and stream is None:
            stream = self._streams[guest] = Stream(self._switch, guest, self._port, echoes=True)
            stream.takes(packet)
            stream.says(Op.RESPONSE)
            return
        if stream is None:
            _refuse(self._switch, packet)
            return
        stream.takes(packet)
        if stream.gone:
            del self._streams[guest]

    def close(self) -> None:
        """Forget all connections."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()


def _refuse(switch: Switch, packet: Packet) -> None:
    """Answer a packet of no connection."""
    if packet.op != Op.RST:
        switch.send(packet.rst())


class Silent:
    """A host's end that never answers, not even to say that nobody is there."""

    def received(self, _packet: Packet) -> None:
        """See switch.HostEnd."""

    def close(self) -> None:
        """Nothing was kept."""


class Caller:
    """A host's end that dials a guest, sends bytes and the end of its stream, and keeps what comes back."""

    def __init__(self, switch: Switch, guest: tuple[int, int], port: int, data: bytes) -> None:
        self._switch = switch
        self._guest = guest
        self._data = data
        self.stream = Stream(switch, guest, port, echoes=False, limit=len(data) + BUFFER)
        self.connected = False

    def dial(self) -> None:
        """Ask the guest for a connection."""
        self.stream.says(Op.REQUEST)

    def received(self, packet: Packet) -> None:
        """See switch.HostEnd."""
        if (packet.src_cid, packet.src_port) != self._guest or self.stream.gone:
            _refuse(self._switch, packet)
        elif packet.op == Op.RESPONSE and not self.connected:
            self.connected = True
            self.stream.takes(packet)
            self.stream.writes(self._data, ends=True)
        else:
            self.stream.takes(packet)

    def close(self) -> None:
        """Forget the connection."""
        self.stream.close()
