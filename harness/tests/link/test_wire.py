"""The switch, with sockets in place of machines: it passes frames, obeys its plan, and nothing sent to it harms it."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapNgReader

from groundup.errors import GroundupError, UsageError
from groundup.link.faults import FaultPlanError
from groundup.link.pcapng import Direction
from groundup.link.pcapng_reader import read
from groundup.link.pipe import LARGEST_FRAME
from groundup.link.wire import LinkEnd, Wire

from .link_frames import tcp

DEADLINE = 10  # seconds, only ever waited for by a test that fails


def framed(frame: bytes) -> bytes:
    return struct.pack(">I", len(frame)) + frame


class Machine:
    """The other end of a socket: what QEMU would be."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.end = end
        self._rest = b""

    async def sends(self, *frames: bytes) -> None:
        await self.sends_raw(b"".join(map(framed, frames)))

    async def sends_raw(self, data: bytes) -> None:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.end, data), DEADLINE)

    async def receives(self) -> bytes:
        """One frame."""
        length = struct.unpack(">I", await self._exactly(4))[0]
        return await self._exactly(length)

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        while len(self._rest) < size:
            part = await asyncio.wait_for(loop.sock_recv(self.end, 1 << 16), DEADLINE)
            if not part:
                raise EOFError
            self._rest += part
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def has_nothing(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._rest += self.end.recv(1 << 16)
        return not self._rest

    async def is_cut_off(self) -> None:
        with pytest.raises((EOFError, ConnectionResetError, BrokenPipeError)):
            while True:
                await self._exactly(1)


class Pair:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.ends: list[LinkEnd] = []
        self.server, self.client = self.attach("eth0")

    def attach(self, link: str) -> tuple[Machine, Machine]:
        machines = []
        for side in ("server", "client"):
            ours, theirs = socket.socketpair()
            self.wire.attach(link, side, ours)
            machines.append(Machine(theirs))
        return machines[0], machines[1]

    def packets(self, link: str = "eth0") -> list[tuple[bytes, Direction, str]]:
        capture = read(self.wire.packets(link))
        assert capture.broken is None
        return [(packet.data, packet.direction, packet.comment) for packet in capture.packets]


@contextlib.asynccontextmanager
async def pair(directory: Path, **options: Any) -> AsyncIterator[Pair]:
    ends: list[LinkEnd] = []
    made = Pair(Wire(directory, on_end=ends.append, **options))
    made.ends = ends
    await made.wire.start()
    try:
        yield made
    finally:
        await made.wire.aclose()
        made.server.end.close()
        made.client.end.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0)


def run(coroutine: Any) -> None:
    asyncio.run(coroutine, debug=True)


def test_frames_pass_both_ways_and_are_captured(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            await it.client.sends(b"to the server", b"x")
            assert await it.server.receives() == b"to the server"
            assert await it.server.receives() == b"x"
            await it.server.sends(b"to the client")
            assert await it.client.receives() == b"to the client"
            assert it.packets() == [
                (b"to the server", Direction.INBOUND, ""),
                (b"x", Direction.INBOUND, ""),
                (b"to the client", Direction.OUTBOUND, ""),
            ]
            counts = it.wire.counts("eth0").as_dict()
            assert (counts["to_server"]["frames"], counts["to_server"]["bytes"]) == (2, 14)
            assert (counts["to_client"]["delivered"], counts["captured"], counts["overflow"]) == (1, 3, 0)
        with RawPcapNgReader(str(tmp_path / "eth0.pcapng")) as reader:
            assert [data for data, _ in reader] == [b"to the server", b"x", b"to the client"]

    run(scene())


def test_links_are_apart_and_may_come_late(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            server, client = it.attach("eth1")
            await client.sends(b"on eth1")
            assert await server.receives() == b"on eth1"
            assert it.server.has_nothing()
            assert it.wire.links() == ["eth0", "eth1"]
            assert it.packets("eth0") == []
            assert it.wire.capture("eth1") == tmp_path / "eth1.pcapng"
            server.end.close()
            client.end.close()

    run(scene())


def test_frames_arrive_whole_however_the_bytes_are_cut(tmp_path: Path) -> None:
    async def scene() -> None:
        chance = random.Random(8841)
        frames = [chance.randbytes(chance.choice((1, 14, 60, 1514, 9000, LARGEST_FRAME))) for _ in range(60)]
        stream = b"".join(map(framed, frames))
        async with pair(tmp_path) as it:

            async def send() -> None:
                at = 0
                while at < len(stream):
                    size = chance.choice((1, 3, 5, 100, 5000, 300000))
                    await it.client.sends_raw(stream[at : at + size])
                    at += size

            sender = asyncio.create_task(send())
            assert [await it.server.receives() for _ in frames] == frames
            await sender
            assert [data for data, _, _ in it.packets()] == frames

    run(scene())


@pytest.mark.parametrize("length", [0, LARGEST_FRAME + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_makes_no_sense_ends_the_link_and_nothing_else(tmp_path: Path, length: int) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            server1, client1 = it.attach("eth1")
            await it.client.sends_raw(framed(b"good") + struct.pack(">I", length) + bytes(5000))
            assert await it.server.receives() == b"good"
            await it.client.is_cut_off()
            await until(lambda: it.ends)
            (end,) = it.ends
            assert (end.link, end.side) == ("eth0", "client")
            assert end.error is not None
            assert f"{length:,} bytes" in end.error.message
            assert end.error.remedy
            assert it.wire.counts("eth0").ended == {"client": end.reason}
            await server1.sends(b"eth1 goes on")
            assert await client1.receives() == b"eth1 goes on"
            server1.end.close()
            client1.end.close()

    run(scene())


def test_a_machine_that_dies_is_reported_and_the_other_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.server.end.close()
            await until(lambda: it.ends)
            assert [(end.side, end.reason, end.error) for end in it.ends] == [("server", "closed", None)]
            for _ in range(3000):  # more than any buffer holds
                await it.client.sends(bytes(1514))
            await until(lambda: it.wire.counts("eth0").to_server.frames == 3000)
            assert it.wire.counts("eth0").to_server.undelivered == 3000
            assert it.packets()[0][2] == "not delivered: the machine has gone"
            with pytest.raises(GroundupError, match="has gone"):
                it.wire.inject("eth0", "server", b"x")
            it.wire.inject("eth0", "client", b"still there")
            assert await it.client.receives() == b"still there"

    run(scene())


def test_a_machine_that_dies_within_a_frame(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            await it.client.sends_raw(framed(b"whole") + framed(b"half")[:6])
            it.client.end.close()
            assert await it.server.receives() == b"whole"
            await until(lambda: it.ends)
            assert it.ends[0].reason == "closed in the middle of a frame"

    run(scene())


def test_a_receiver_that_does_not_read_holds_up_its_sender_and_no_memory(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            frame = bytes(1514)
            sent = 0
            idle = 0
            while idle < 1000:  # until neither the wire nor the sockets take anything for many turns of the loop
                try:
                    n = it.client.end.send(framed(frame))
                    assert n == len(frame) + 4 or n > 0
                    if n < len(frame) + 4:
                        break
                    sent += 1
                    idle = 0
                except BlockingIOError:
                    idle += 1
                await asyncio.sleep(0)
                assert sent < 10000, "nothing holds up the sender"
            pipe = it.wire._links["eth0"].pipes[Direction.INBOUND]
            assert len(pipe._out) <= 512 << 10
            await it.server.sends(b"the other way is free")
            assert await it.client.receives() == b"the other way is free"
            for _ in range(sent):
                assert await it.server.receives() == frame

    run(scene())


def test_a_flood_does_not_starve_others(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            flood = framed(b"f") * 20000
            stop = False

            async def flooding() -> None:
                while not stop:
                    await it.client.sends_raw(flood)

            async def draining() -> None:
                loop = asyncio.get_running_loop()
                while await loop.sock_recv(it.server.end, 1 << 20):
                    pass

            tasks = [asyncio.create_task(flooding()), asyncio.create_task(draining())]
            await until(lambda: it.wire.counts("eth0").to_server.frames > 1000)
            before = it.wire.counts("eth0").to_server.frames
            for number in range(20):
                await it.server.sends(b"%d" % number)
                assert await it.client.receives() == b"%d" % number
            # An answer took a bounded number of turns, each of a bounded number of frames.
            assert it.wire.counts("eth0").to_server.frames - before < 20 * 50 * 256
            stop = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(scene())


def test_faults_of_a_plan_are_done_and_captured(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            frames = [tcp(True, "PA", f"number {number}".encode(), seq=number) for number in range(6)]
            rules: list[dict[str, Any]] = [
                {"first": 1, "drop": True},
                {"first": 1, "duplicate": True},
                {"first": 1, "reorder": True},
                {"skip": 1, "first": 1, "corrupt": True},
            ]
            it.wire.faults("eth0", {"seed": 1, "rules": [rule | {"direction": "to-server"} for rule in rules]})
            await it.client.sends(*frames)
            got = [await it.server.receives() for _ in range(6)]
            assert got[:3] == [frames[1], frames[1], frames[3]]
            assert got[3] == frames[2]
            assert sorted([got[4], got[5]]) != sorted(frames[4:])
            comments = [comment for _, _, comment in it.packets()]
            assert comments[:5] == ["dropped by plan", "", "duplicated by plan", "", "overtaken by plan"]
            counts = it.wire.counts("eth0").to_server
            assert (counts.dropped, counts.duplicated, counts.reordered, counts.corrupted) == (1, 1, 1, 1)
            assert (counts.frames, counts.delivered) == (6, 6)
            await it.server.sends(b"not touched")
            assert await it.client.receives() == b"not touched"

    run(scene())


def test_delay_keeps_order_and_takes_its_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.faults("eth0", {"delay_ms": 20, "jitter_ms": 30, "direction": "to-server"})
            frames = [b"%d" % number for number in range(50)]
            loop = asyncio.get_running_loop()
            start = loop.time()
            await it.client.sends(*frames)
            await it.server.sends(b"not delayed")
            assert await it.client.receives() == b"not delayed"
            assert [await it.server.receives() for _ in frames] == frames
            assert loop.time() - start >= 0.02
            assert it.wire.counts("eth0").to_server.delayed == 50

    run(scene())


def test_a_delay_does_not_outlive_its_plan(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.faults("eth0", {"delay_ms": 60000})
            await it.client.sends(b"1")
            await until(lambda: it.wire.counts("eth0").to_server.delayed == 1)
            it.wire.faults("eth0", {"delay_ms": 1})
            await it.client.sends(b"2")
            assert [await it.server.receives() for _ in range(2)] == [b"1", b"2"]

    run(scene())


def test_a_held_frame_that_nothing_overtakes_arrives_all_the_same(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.faults("eth0", {"reorder": True})
            await it.client.sends(b"alone")
            assert await it.server.receives() == b"alone"

    run(scene())


def test_the_end_of_a_plan_delivers_what_it_kept_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.faults("eth0", {"delay_ms": 60000})
            frames = [b"%d" % number for number in range(1000)]
            await it.client.sends(*frames)
            await until(lambda: it.wire.counts("eth0").to_server.delayed == 1000)
            assert it.server.has_nothing()
            it.wire.clear("eth0")
            await it.client.sends(b"after")
            assert [await it.server.receives() for _ in range(1001)] == [*frames, b"after"]

    run(scene())


def test_delayed_frames_are_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.faults("eth0", {"delay_ms": 60000, "direction": "to-server"})
            sending = asyncio.create_task(it.client.sends(*[bytes(1514)] * 10000))
            pipe = it.wire._links["eth0"].pipes[Direction.INBOUND]
            await until(lambda: pipe._late_bytes >= 4 << 20)
            await it.server.sends(b"free")
            assert await it.client.receives() == b"free"
            assert pipe._late_bytes <= (4 << 20) + LARGEST_FRAME
            assert not sending.done()
            it.wire.clear("eth0")
            for _ in range(10000):
                await it.server.receives()
            await sending

    run(scene())


def test_injected_frames(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.inject("eth0", "server", b"forged")
            assert await it.server.receives() == b"forged"
            assert it.packets() == [(b"forged", Direction.INBOUND, "injected by test")]
            it.wire.faults("eth0", {"direction": "to-server", "inject": {"frame": b"rst".hex(), "to": "client"}})
            await it.client.sends(b"syn")
            assert await it.client.receives() == b"rst"
            assert await it.server.receives() == b"syn"
            assert it.wire.counts("eth0").to_client.injected == 1
            for frame in (b"", bytes(LARGEST_FRAME + 1)):
                with pytest.raises(UsageError, match="a frame has 1 to"):
                    it.wire.inject("eth0", "server", frame)
            with pytest.raises(GroundupError, match="takes none"):
                for _ in range(10000):
                    it.wire.inject("eth0", "server", bytes(LARGEST_FRAME))

    run(scene())


def test_wrong_use_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            ours, theirs = socket.socketpair()
            with pytest.raises(UsageError, match="attached already"):
                it.wire.attach("eth0", "server", ours)
            with pytest.raises(UsageError, match="not a router's"):
                it.wire.attach("eth0", "router", ours)
            with pytest.raises(UsageError, match="there is no link 'eth9'"):
                it.wire.clear("eth9")
            with pytest.raises(UsageError, match="not to 'router'"):
                it.wire.inject("eth0", "router", b"x")
            with pytest.raises(FaultPlanError):
                it.wire.faults("eth0", {"drop": 2})
            it.wire.attach("eth1", "server", ours)
            with pytest.raises(GroundupError, match="not connected yet"):
                it.wire.inject("eth1", "server", b"x")
            theirs.close()

    run(scene())


def test_marks_cut_captures(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            await it.client.sends(b"before")
            await it.server.receives()
            mark = it.wire.mark("test 2")
            await it.client.sends(b"after")
            await it.server.receives()
            assert [packet.data for packet in read(it.wire.packets("eth0", mark)).packets] == [b"after"]
            assert [packet.data for packet in read(it.wire.packets("eth0")).packets] == [b"before", b"after"]

    run(scene())


def test_a_full_capture_does_not_stop_the_wire(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path, limit=4000) as it:
            for _ in range(20):
                await it.client.sends(bytes(1000))
                assert await it.server.receives() == bytes(1000)
            counts = it.wire.counts("eth0")
            assert counts.captured + counts.overflow == 20
            assert counts.overflow > 0
            assert "limit of 4,000 bytes" in counts.capture_stopped

    run(scene())


def test_closing_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with pair(tmp_path) as it:
            it.wire.faults("eth0", {"delay_ms": 50})
            await it.client.sends(b"late")
            await until(lambda: it.wire.counts("eth0").to_server.delayed == 1)
            await it.wire.aclose()
            await it.wire.aclose()
            await it.server.is_cut_off()
            await it.client.is_cut_off()
            assert it.ends == []
            assert read(it.wire.capture("eth0")).broken is None

    run(scene())


@pytest.mark.parametrize("size", [60, 1514])
@pytest.mark.parametrize("plan", [None, {"match": "udp", "drop": True}])
def test_speed(tmp_path: Path, size: int, plan: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints frames a second; time is never asserted."""
    number = 30000
    frame = tcp(True, "PA", b"x" * (size - 54))

    async def scene() -> float:
        async with pair(tmp_path) as it:
            if plan:
                it.wire.faults("eth0", plan)
            loop = asyncio.get_running_loop()
            start = loop.time()
            sending = asyncio.create_task(it.client.sends_raw(framed(frame) * number))
            left = number * (size + 4)
            while left:
                left -= len(await loop.sock_recv(it.server.end, 1 << 20))
            await sending
            return number / (loop.time() - start)

    rate = asyncio.run(scene())
    with capsys.disabled():
        way = "judged by a plan" if plan else "without faults"
        print(f"\n  wire: {rate:,.0f} frames of {size} bytes a second {way}, captured")
