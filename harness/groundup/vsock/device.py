"""One guest's socket device: the back-end's half of vhost-user, and the two rings that carry packets.

QEMU keeps the device's third queue, events, to itself. The device knows nothing about routing: it takes packets out of
the transmit queue, puts packets into the receive queue, and tells its owner when either may have become possible.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from groundup.vsock import vhost_user as vu
from groundup.vsock.memory import REGION, GuestMemory, MemoryFaultError, RegionSpec
from groundup.vsock.packet import HEADER_SIZE, MAX_PAYLOAD, Op, Packet, unpack
from groundup.vsock.ring import MAX_SIZE, RingAddresses, RingError, Span, gather, scatter
from groundup.vsock.vhost_user import Message, ProtocolError, RefusedError, Request
from groundup.vsock.vring import Vring

RX, TX = 0, 1
QUEUES: Final = 2

FEATURES: Final = vu.F_VERSION_1 | vu.F_PROTOCOL_FEATURES | vu.F_SEQPACKET
PROTOCOL_FEATURES: Final = vu.PROTOCOL_F_MQ | vu.PROTOCOL_F_REPLY_ACK | vu.PROTOCOL_F_CONFIG

_CONFIG_SPACE: Final = struct.Struct("<Q")  # virtio 1.2, section 5.10.4: guest_cid


class Owner(Protocol):
    """What a device tells. None of these may raise."""

    def kicked(self, queue: int) -> None:
        """Learn that buffers may have come to a running queue, or that it began to run."""

    def stopped(self, queue: int) -> None:
        """Learn that the queue does not run any more."""

    def broken(self, reason: str) -> None:
        """Learn that the guest broke the rules; both queues stand still until the device is attached anew."""

    def gone(self, reason: str) -> None:
        """Learn that the front-end is gone, and the device closed. An empty reason means: in good order."""


class Device:
    """A socket device for the guest with the address `cid`; owns `sock` and every descriptor that comes over it."""

    def __init__(self, cid: int, sock: socket.socket, owner: Owner) -> None:
        """Begin to serve the front-end on the running event loop."""
        self.cid = cid
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._channel = vu.Channel(sock)
        self._queues = [Vring() for _ in range(QUEUES)]
        self._memory = GuestMemory([], [])
        self._acked = 0
        self._reply_ack = False
        self._broken = False
        self._closed = False
        self._loop.add_reader(sock, self._readable)

    # ---- the rings, for the owner ----

    def running(self, queue: int) -> bool:
        """Say whether the guest drives this queue."""
        return self._queues[queue].ring is not None

    def waiting(self, queue: int) -> int:
        """Return how many chains the guest offers in a queue: 0 if it does not run. May break the device."""
        ring = self._queues[queue].ring
        if ring is None:
            return 0
        try:
            return ring.waiting()
        except RingError as error:
            self._break(queue, error)
            return 0

    def take(self) -> Packet | None:
        """Take the next packet out of the transmit queue, after `waiting` said that there is one.

        Returns None where the device broke over it. Raises PacketError for a chain that holds no proper packet; the
        chain has gone back to the guest then, and the next may be taken.
        """
        ring = self._queues[TX].ring
        if ring is None:
            return None
        try:
            head, spans = ring.take(writable=False)
        except RingError as error:
            self._break(TX, error)
            return None
        data = gather(spans, HEADER_SIZE + MAX_PAYLOAD)
        ring.give_back(head, 0)
        return unpack(data)

    def put(self, packet: Packet, sent: int) -> int | None:
        """Put what follows the first `sent` bytes of a packet's payload into the next receive buffer.

        Call after `waiting` said that there is one. Returns how much of the payload is delivered now; there is more to
        deliver if that is less than all. Flags of an RW packet (end of message, end of record) go with the last piece
        only. Returns None where the device broke over it.
        """
        ring = self._queues[RX].ring
        if ring is None:
            return None
        try:
            head, spans = ring.take(writable=True)
            room = _room(spans)
        except RingError as error:
            self._break(RX, error)
            return None
        piece = packet.payload[sent : sent + room]
        sent += len(piece)
        flags = 0 if packet.op == Op.RW and sent < len(packet.payload) else packet.flags
        scatter(spans, packet.header(len(piece), flags) + piece)
        ring.give_back(head, HEADER_SIZE + len(piece))
        return sent

    def notify(self, queue: int) -> None:
        """Interrupt the guest, if it wants that, because buffers of the queue went back to it."""
        try:
            self._queues[queue].notify()
        except OSError as error:
            self._fail(f"cannot interrupt the guest: {error.strerror}")

    def _kicked(self, queue: int) -> None:
        try:
            kicked = self._queues[queue].read_kick()
        except (OSError, EOFError) as error:
            self._queues[queue].stop()  # nobody would read it empty any more
            self._fail(f"the kick descriptor of queue {queue} cannot be read: {error}")
            return
        if kicked and self.running(queue):
            self._owner.kicked(queue)

    # ---- trouble ----

    def _break(self, queue: int, error: RingError) -> None:
        """Stop the device for good because of what the guest put into a ring; say so to front-end and owner."""
        self._fail(f"{'transmit' if queue == TX else 'receive'} queue: {error}")
        try:
            self._queues[queue].signal_error()
        except OSError as failure:
            self._end(f"cannot report an error to the front-end: {failure.strerror}")

    def _fail(self, reason: str) -> None:
        if self._broken:
            return
        self._broken = True
        for vring in self._queues:
            vring.stop()
        self._owner.broken(reason)

    # ---- the protocol ----

    def _readable(self) -> None:
        """Handle one message; if there are more, the event loop calls again."""
        try:
            message = self._channel.receive()
            if message is None:
                return
            try:
                self._handle(message)
            finally:
                message.close()
        except EOFError:
            self._end("")
        except (ProtocolError, OSError) as error:
            self._end(str(error))

    def _handle(self, message: Message) -> None:
        """Fulfil a request and answer it, if it wants an answer."""
        handler = _HANDLERS.get(message.request, Device._unknown)
        reply: bytes | None = None
        status = 0
        try:
            reply = handler(self, message)
        except RefusedError as error:
            # Where the front-end waits for a body, or relies on success without asking, the only honest answer is to
            # end the connection. A request that is unknown here, and has no answer, is passed over.
            known = message.request in _HANDLERS
            if message.request in vu.OWN_REPLY or (known and not self._acknowledges(message)):
                raise ProtocolError(str(error)) from error
            status = 1
        if reply is not None:
            self._channel.reply(message.request, reply)
        elif self._acknowledges(message):
            self._channel.reply(message.request, vu.U64.pack(status))

    def _acknowledges(self, message: Message) -> bool:
        return self._reply_ack and bool(message.flags & vu.FLAG_NEED_REPLY)

    def _unknown(self, message: Message) -> None:
        raise RefusedError(f"{message.name} was not negotiated")

    def _get_features(self, _: Message) -> bytes:
        return vu.U64.pack(FEATURES)

    def _set_features(self, message: Message) -> None:
        wanted = message.u64()
        if wanted & ~FEATURES:
            raise RefusedError(f"features {wanted & ~FEATURES:#x} were not offered")
        # Document, "Ring states": with this bit acknowledged, rings begin disabled.
        if (wanted ^ self._acked) & vu.F_PROTOCOL_FEATURES:
            for queue in self._queues:
                queue.enabled = queue.ring is not None or not wanted & vu.F_PROTOCOL_FEATURES
        self._acked = wanted

    def _get_protocol_features(self, _: Message) -> bytes:
        return vu.U64.pack(PROTOCOL_FEATURES)

    def _set_protocol_features(self, message: Message) -> None:
        wanted = message.u64()
        if wanted & ~PROTOCOL_FEATURES:
            raise RefusedError(f"protocol features {wanted & ~PROTOCOL_FEATURES:#x} were not offered")
        self._reply_ack = bool(wanted & vu.PROTOCOL_F_REPLY_ACK)

    def _get_queue_num(self, _: Message) -> bytes:
        return vu.U64.pack(QUEUES)

    def _ignore(self, _: Message) -> None:
        """SET_OWNER says nothing new; RESET_OWNER is deprecated, "recommended that back-ends [...] ignore"."""

    def _get_config(self, message: Message) -> bytes:
        """Answer with as many bytes as were asked for, or with none at all to say that the range is wrong."""
        if len(message.body) < vu.CONFIG.size:
            raise ProtocolError(f"GET_CONFIG has {len(message.body)} bytes, less than {vu.CONFIG.size}")
        offset, size, _ = vu.CONFIG.unpack_from(message.body)
        if size == 0 or offset + size > _CONFIG_SPACE.size:
            return b""
        return message.body[: vu.CONFIG.size] + _CONFIG_SPACE.pack(self.cid)[offset : offset + size]

    def _set_config(self, _: Message) -> None:
        raise RefusedError("the configuration is read-only")

    def _set_mem_table(self, message: Message) -> None:
        """Map the new memory, then let running rings go on in it: the table may change at any time."""
        if len(message.body) < vu.MEMORY_TABLE.size:
            raise ProtocolError(f"SET_MEM_TABLE has {len(message.body)} bytes, less than {vu.MEMORY_TABLE.size}")
        count = vu.MEMORY_TABLE.unpack_from(message.body)[0]
        if len(message.body) != vu.MEMORY_TABLE.size + count * REGION.size:
            raise ProtocolError(f"SET_MEM_TABLE has {len(message.body)} bytes for {count} regions")
        specs = [RegionSpec(*fields) for fields in REGION.iter_unpack(message.body[vu.MEMORY_TABLE.size :])]
        try:
            memory = GuestMemory(specs, message.fds)
        except MemoryFaultError as error:
            raise ProtocolError(f"SET_MEM_TABLE: {error}") from error
        old, self._memory = self._memory, memory
        running = [index for index in range(QUEUES) if self._queues[index].pause()]
        old.close()
        for index in running:
            self._start(index)

    def _queue(self, message: Message, index: int) -> Vring:
        if index >= QUEUES:
            raise ProtocolError(f"{message.name} names queue {index}, but there are {QUEUES}")
        return self._queues[index]

    def _set_vring_num(self, message: Message) -> None:
        index, size = message.unpack(vu.VRING_STATE)
        queue = self._queue(message, index)
        if not 0 < size <= MAX_SIZE or size & (size - 1):
            raise RefusedError(f"queue size {size} is not a power of two up to {MAX_SIZE}")
        queue.size = size

    def _set_vring_addr(self, message: Message) -> None:
        index, _, descriptors, used, available, _ = message.unpack(vu.VRING_ADDRESS)
        queue = self._queue(message, index)
        queue.addresses = RingAddresses(descriptors, used, available)
        if queue.pause():
            self._start(index)

    def _set_vring_base(self, message: Message) -> None:
        index, base = message.unpack(vu.VRING_STATE)
        self._queue(message, index).base = base & 0xFFFF

    def _get_vring_base(self, message: Message) -> bytes:
        """Stop the ring, and say where another back-end would go on (document, "Ring states")."""
        index, _ = message.unpack(vu.VRING_STATE)
        queue = self._queue(message, index)
        if queue.stop():
            self._owner.stopped(index)
        return vu.VRING_STATE.pack(index, queue.base)

    def _vring_fd(self, message: Message) -> tuple[int, Vring, int]:
        """Read the common form of SET_VRING_KICK, CALL and ERR: a queue, and a descriptor or -1."""
        value = message.u64()
        index = value & vu.VRING_INDEX_MASK
        queue = self._queue(message, index)
        if value & vu.VRING_NO_FD:
            return index, queue, -1
        fd = message.take_fd()
        # Shared with the front-end, whose eventfds are non-blocking too: neither side may be made to wait here.
        try:
            os.set_blocking(fd, False)
        except OSError as error:
            os.close(fd)
            raise ProtocolError(f"{message.name} came with a descriptor that is no eventfd: {error}") from error
        return index, queue, fd

    def _set_vring_kick(self, message: Message) -> None:
        """Start the ring. Strictly the first kick does that, but a ring that is started again may have had its kick."""
        index, queue, fd = self._vring_fd(message)
        if fd < 0:
            raise ProtocolError("SET_VRING_KICK asks for polling, which this back-end does not do")
        ran = queue.stop()
        try:
            queue.set_kick(fd, partial(self._kicked, index))
        except OSError as error:
            raise ProtocolError(f"SET_VRING_KICK came with a descriptor that nobody can wait for: {error}") from error
        self._start(index)
        if ran and not self.running(index):
            self._owner.stopped(index)

    def _set_vring_call(self, message: Message) -> None:
        index, queue, fd = self._vring_fd(message)
        queue.set_call(fd)
        # The driver may wait for what was given back before there was a descriptor to tell it by.
        self.notify(index)

    def _set_vring_err(self, message: Message) -> None:
        _, queue, fd = self._vring_fd(message)
        queue.set_error(fd)

    def _set_vring_enable(self, message: Message) -> None:
        index, on = message.unpack(vu.VRING_STATE)
        queue = self._queue(message, index)
        if on > 1:
            raise ProtocolError(f"SET_VRING_ENABLE with the state {on}")
        queue.enabled = bool(on)
        if on:
            self._start(index)
        elif queue.pause():
            self._owner.stopped(index)

    # ---- the end of it ----

    def _start(self, index: int) -> None:
        try:
            if self._broken or not self._queues[index].start(self._memory):
                return
        except RingError as error:
            self._break(index, error)
            return
        self._owner.kicked(index)

    def _end(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._owner.gone(reason)

    def close(self) -> None:
        """Let go of the connection, the memory and all descriptors, without telling the owner. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._channel.sock)
        for vring in self._queues:
            vring.close()
        self._memory.close()
        self._channel.close()


def _room(spans: list[Span]) -> int:
    """Return how much payload a receive buffer takes beside the header. Raises RingError where it is none."""
    size = sum(span.length for span in spans)
    if size <= HEADER_SIZE:
        raise RingError(f"receive buffer of {size} bytes has no room for a header and data")
    return size - HEADER_SIZE


_HANDLERS: Final[dict[int, Callable[[Device, Message], bytes | None]]] = {
    Request.GET_FEATURES: Device._get_features,
    Request.SET_FEATURES: Device._set_features,
    Request.SET_OWNER: Device._ignore,
    Request.RESET_OWNER: Device._ignore,
    Request.SET_MEM_TABLE: Device._set_mem_table,
    Request.SET_VRING_NUM: Device._set_vring_num,
    Request.SET_VRING_ADDR: Device._set_vring_addr,
    Request.SET_VRING_BASE: Device._set_vring_base,
    Request.GET_VRING_BASE: Device._get_vring_base,
    Request.SET_VRING_KICK: Device._set_vring_kick,
    Request.SET_VRING_CALL: Device._set_vring_call,
    Request.SET_VRING_ERR: Device._set_vring_err,
    Request.GET_PROTOCOL_FEATURES: Device._get_protocol_features,
    Request.SET_PROTOCOL_FEATURES: Device._set_protocol_features,
    Request.GET_QUEUE_NUM: Device._get_queue_num,
    Request.SET_VRING_ENABLE: Device._set_vring_enable,
    Request.GET_CONFIG: Device._get_config,
    Request.SET_CONFIG: Device._set_config,
}
