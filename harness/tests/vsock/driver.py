"""Plays QEMU and a guest: a vhost-user front-end with a memfd for memory, and a driver that builds rings in it.

Everything runs in the event loop of the switch under test, so nothing here may block: waiting is done on eventfds and
on the non-blocking end of a socket pair.
"""

import asyncio
import gc
import mmap
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from groundup.vsock import Op, Packet, Switch, Type
from groundup.vsock import vhost_user as vu
from groundup.vsock.memory import REGION
from groundup.vsock.packet import HEADER_SIZE, unpack
from groundup.vsock.vhost_user import Request

RX, TX = 0, 1
NEXT, WRITE, INDIRECT = 1, 2, 4
NO_INTERRUPT = 1
SERVER, CLIENT = 3, 4

SIZE = 16
HALF = 1 << 20
GUEST_BASES = (0, 1 << 32)  # two regions of HALF bytes, as below and above the hole of a PC
USER_BASES = (0x7F00_0000_0000, 0x7F10_0000_0000)
DESCRIPTORS, AVAILABLE, USED = 0x0, 0x4000, 0x5000  # within a queue's part of memory
QUEUE_BYTES = 0x8000
BUFFERS = 2 * QUEUE_BYTES
DEADLINE = 10.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario on a loop of its own, and see that nothing hangs, escapes, or stays open."""

    escaped: list[object] = []

    async def bounded() -> None:
        # The event loop would log an exception that leaves a callback of the switch, and go on.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
        gc.collect()  # what an earlier test left in cycles would close its descriptors in the middle of this one
        before = descriptors()
        await asyncio.wait_for(scenario(), DEADLINE)
        assert descriptors() == before, "descriptors were left behind"

    asyncio.run(bounded())
    assert escaped == []


def descriptors() -> dict[str, str]:
    """This process's open descriptors and what they are."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the descriptor that listed the directory
    return {name: target for name, target in found.items() if not target.startswith("/proc/")}


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds; `run` sets the limit."""
    while not condition():
        await asyncio.sleep(0)


async def settle() -> None:
    """Let the event loop turn until what is ready now has been handled."""
    for _ in range(20):
        await asyncio.sleep(0)


class Guest:
    """A guest at the switch."""

    def __init__(self, cid: int, sock: socket.socket, size: int = SIZE) -> None:
        self.cid, self.size = cid, size
        self.sock = sock
        sock.setblocking(False)
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, 2 * HALF)
        self.memory = mmap.mmap(self.fd, 2 * HALF)
        self.kick = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
        self.call = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
        self.error = os.eventfd(0, os.EFD_NONBLOCK)
        self.seen = [0, 0]  # used index up to which the driver has looked
        self.posted = [0, 0]  # available index
        self.free = [deque(range(size)), deque(range(size))]
        self.chains: list[dict[int, list[tuple[int, int]]]] = [{}, {}]
        self._inbox: deque[Packet] = deque()
        self.rx_buffer = (HEADER_SIZE, 4096)  # the two descriptors of a receive buffer, as Linux 6.1 has it

    # ---- the front-end ----

    async def ask(self, request: int, body: bytes = b"", fds: Sequence[int] = (), *, flags: int = vu.VERSION) -> bytes:
        """Send a request that is answered, and return the answer's body."""
        self.tell(request, body, fds, flags=flags)
        return await self.answer(request)

    def tell(self, request: int, body: bytes = b"", fds: Sequence[int] = (), *, flags: int = vu.VERSION) -> None:
        """Send a request."""
        socket.send_fds(self.sock, [vu.HEADER.pack(request, flags, len(body)) + body], fds)

    async def answer(self, request: int) -> bytes:
        """Read the answer to a request."""
        header = await self._read(vu.HEADER.size)
        answered, flags, size = vu.HEADER.unpack(header)
        assert (answered, flags) == (request, vu.VERSION | vu.FLAG_REPLY)
        return await self._read(size)

    async def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await asyncio.get_running_loop().sock_recv(self.sock, size - len(data))
            assert piece, "the switch closed the connection"
            data += piece
        return data

    async def succeed(self, request: int, body: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send a request with need_reply, and see it acknowledged."""
        assert await self.ask(request, body, fds, flags=vu.VERSION | vu.FLAG_NEED_REPLY) == vu.U64.pack(0)

    async def fail(self, request: int, body: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send a request with need_reply, and see it refused."""
        assert await self.ask(request, body, fds, flags=vu.VERSION | vu.FLAG_NEED_REPLY) != vu.U64.pack(0)

    async def closed(self) -> None:
        """See the switch close the connection."""
        loop = asyncio.get_running_loop()
        try:
            while await loop.sock_recv(self.sock, 4096):
                pass
        except ConnectionResetError:
            return  # it closed with requests unread

    def regions(self) -> list[tuple[int, int, int, int]]:
        return [(GUEST_BASES[n], HALF, USER_BASES[n], n * HALF) for n in range(2)]

    async def set_memory(self) -> None:
        regions = self.regions()
        body = vu.MEMORY_TABLE.pack(len(regions), 0) + b"".join(REGION.pack(*region) for region in regions)
        await self.succeed(Request.SET_MEM_TABLE, body, [self.fd] * len(regions))

    async def negotiate(self) -> None:
        """Do what QEMU does when the device is made."""
        features = vu.U64.unpack(await self.ask(Request.GET_FEATURES))[0]
        protocol = vu.U64.unpack(await self.ask(Request.GET_PROTOCOL_FEATURES))[0]
        self.tell(Request.SET_PROTOCOL_FEATURES, vu.U64.pack(protocol))
        assert vu.U64.unpack(await self.ask(Request.GET_QUEUE_NUM)) == (2,)
        await self.succeed(Request.SET_OWNER)
        config = await self.ask(Request.GET_CONFIG, vu.CONFIG.pack(0, 8, 0) + bytes(8))
        assert config == vu.CONFIG.pack(0, 8, 0) + struct.pack("<Q", self.cid)
        await self.succeed(Request.SET_FEATURES, vu.U64.pack(features))

    async def start_queue(self, queue: int, base: int = 0) -> None:
        await self.succeed(Request.SET_VRING_NUM, vu.VRING_STATE.pack(queue, self.size))
        await self.succeed(Request.SET_VRING_BASE, vu.VRING_STATE.pack(queue, base))
        await self.succeed(Request.SET_VRING_ADDR, self.addresses(queue))
        await self.succeed(Request.SET_VRING_CALL, vu.U64.pack(queue), [self.call[queue]])
        await self.succeed(Request.SET_VRING_ERR, vu.U64.pack(queue), [self.error])
        await self.succeed(Request.SET_VRING_KICK, vu.U64.pack(queue), [self.kick[queue]])
        await self.succeed(Request.SET_VRING_ENABLE, vu.VRING_STATE.pack(queue, 1))

    def addresses(self, queue: int, *, descriptors: int = 0, used: int = 0, available: int = 0) -> bytes:
        """Return the body of SET_VRING_ADDR; the arguments are added to the right addresses."""
        at = USER_BASES[0] + queue * QUEUE_BYTES
        places = (at + DESCRIPTORS + descriptors, at + USED + used, at + AVAILABLE + available)
        return vu.VRING_ADDRESS.pack(queue, 0, *places, 0)

    async def boot(self, buffers: int | None = None) -> "Guest":
        """Bring the device up and offer receive buffers: as many as fit, or so many."""
        await self.negotiate()
        await self.set_memory()
        for queue in (RX, TX):
            await self.start_queue(queue)
        for _ in range(self.size // len(self.rx_buffer) if buffers is None else buffers):
            self.offer()
        self.ring(RX)
        return self

    # ---- the driver ----

    def place(self, address: int) -> int:
        """Where a guest address is in the memory file."""
        return address if address < HALF else address - GUEST_BASES[1] + HALF

    def buffer(self, queue: int, index: int) -> int:
        """Address of the 70,000 or so bytes that belong to a descriptor; transmit buffers are in the upper region."""
        return BUFFERS + index * 8192 if queue == RX else GUEST_BASES[1] + index * (HALF // self.size)

    def describe(self, queue: int, index: int, span: tuple[int, int], flags: int = 0, *, following: int = 0) -> None:
        """Write a descriptor of the (address, length) `span`."""
        at = queue * QUEUE_BYTES + DESCRIPTORS + 16 * index
        struct.pack_into("<QIHH", self.memory, at, *span, flags, following)

    def post(self, queue: int, head: int) -> None:
        """Make a chain available."""
        at = queue * QUEUE_BYTES + AVAILABLE
        struct.pack_into("<H", self.memory, at + 4 + 2 * (self.posted[queue] % self.size), head & 0xFFFF)
        self.posted[queue] = (self.posted[queue] + 1) & 0xFFFF
        struct.pack_into("<H", self.memory, at + 2, self.posted[queue])

    def chain(self, queue: int, parts: Sequence[tuple[int, int, int]]) -> int:
        """Build a chain of (address or 0 for the descriptor's own buffer, length, flags) and post it."""
        indices = [self.free[queue].popleft() for _ in parts]
        spans = []
        for number, (index, (address, length, flags)) in enumerate(zip(indices, parts, strict=True)):
            last = number == len(parts) - 1
            place = address or self.buffer(queue, index)
            spans.append((index, place))
            following = 0 if last else indices[number + 1]
            self.describe(queue, index, (place, length), flags | (0 if last else NEXT), following=following)
        self.chains[queue][indices[0]] = spans
        self.post(queue, indices[0])
        return indices[0]

    def ring(self, queue: int) -> None:
        """Kick."""
        os.eventfd_write(self.kick[queue], 1)

    def offer(self) -> None:
        """Give one receive buffer."""
        self.chain(RX, [(0, length, WRITE) for length in self.rx_buffer])

    def collect(self, queue: int) -> list[tuple[int, int]]:
        """Take what the device gave back: (head, bytes written). Its descriptors are free again."""
        at = queue * QUEUE_BYTES + USED
        index = struct.unpack_from("<H", self.memory, at + 2)[0]
        back = []
        while self.seen[queue] != index:
            head, written = struct.unpack_from("<II", self.memory, at + 4 + 8 * (self.seen[queue] % self.size))
            back.append((head, written))
            self.seen[queue] = (self.seen[queue] + 1) & 0xFFFF
        return back

    def release(self, queue: int, head: int) -> list[tuple[int, int]]:
        spans = self.chains[queue].pop(head)
        self.free[queue].extend(index for index, _ in spans)
        return spans

    async def transmit(self, data: bytes, *, kick: bool = True, pieces: int = 2) -> None:
        """Send bytes as a packet: the header and the rest in a descriptor each."""
        while len(self.free[TX]) < pieces:
            self.reclaim()
            if len(self.free[TX]) < pieces:
                await self.interrupted(TX)
        cuts = [data[:HEADER_SIZE], data[HEADER_SIZE:]] if pieces == 2 else [data]
        cuts = [cut for cut in cuts if cut]
        for cut, index in zip(cuts, list(self.free[TX]), strict=False):
            at = self.place(self.buffer(TX, index))
            self.memory[at : at + len(cut)] = cut
        self.chain(TX, [(0, len(cut), 0) for cut in cuts])
        if kick:
            self.ring(TX)

    def reclaim(self) -> int:
        """Free the transmit descriptors that came back; returns how many chains."""
        back = self.collect(TX)
        for head, _ in back:
            self.release(TX, head)
        return len(back)

    async def interrupted(self, queue: int) -> None:
        """Wait for the device's interrupt."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_reader(self.call[queue], event.set)
        try:
            await event.wait()
        finally:
            loop.remove_reader(self.call[queue])
        os.eventfd_read(self.call[queue])

    async def send(self, packet: Packet) -> None:
        await self.transmit(packet.pack())

    def received(self, *, again: bool = True) -> list[Packet]:
        """Return the packets that are there; give the buffers out again."""
        packets = []
        for head, written in self.collect(RX):
            data = b""
            for (_, address), length in zip(self.release(RX, head), self.rx_buffer, strict=True):
                at = self.place(address)
                data += self.memory[at : at + length]
            packets.append(unpack(data[:written]))
            assert len(packets[-1].payload) == written - HEADER_SIZE
            if again:
                self.offer()
        if packets and again:
            self.ring(RX)
        return packets

    async def receive(self) -> Packet:
        """Wait for one packet."""
        while not self._inbox:
            self._inbox.extend(self.received())
            if not self._inbox:
                await self.interrupted(RX)
        return self._inbox.popleft()

    def close(self) -> None:
        self.sock.close()
        self.memory.close()
        for fd in (self.fd, self.error, *self.kick, *self.call):
            os.close(fd)

    # ---- packets ----

    def packet(self, op: int, to: int, *, ports: tuple[int, int] = (1000, 2000), **rest: object) -> Packet:
        """Make a packet of this guest's, from ports[0] to ports[1] of the guest `to`."""
        fields: dict[str, object] = {"type": Type.STREAM, "buf_alloc": 1 << 18, **rest}
        return Packet(self.cid, to, *ports, op=op, **fields)  # type: ignore[arg-type]

    async def hears(self, packet: Packet) -> None:
        """Expect exactly this packet next."""
        assert await self.receive() == packet

    async def reaches(self, other: "Guest") -> None:
        """See that a packet gets from here to there: the switch is alive and neither of them is broken."""
        packet = self.packet(Op.RW, other.cid, ports=(7, 7), payload=os.urandom(5))
        await self.send(packet)
        await other.hears(packet)


class Net:
    """A switch with guests; what it reported, and what it captured."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, str]] = []
        self.captured: list[tuple[int, bytes, int]] = []
        self.switch = Switch(
            report=lambda cid, message: self.reports.append((cid, message)),
            capture=lambda time_ns, data, direction: self.captured.append((time_ns, data, direction)),
        )
        self.guests: list[Guest] = []

    def attach(self, cid: int, size: int = SIZE) -> Guest:
        ours, theirs = socket.socketpair()
        self.switch.attach(cid, theirs)
        guest = Guest(cid, ours, size)
        self.guests.append(guest)
        return guest

    async def boot(self, *cids: int, size: int = SIZE) -> list[Guest]:
        return [await self.attach(cid, size).boot() for cid in cids]

    async def aclose(self) -> None:
        await self.switch.aclose()
        for guest in self.guests:
            guest.close()


@asynccontextmanager
async def network() -> AsyncIterator[Net]:
    """A switch for the length of a scenario."""
    net = Net()
    try:
        yield net
    finally:
        await net.aclose()
