"""What a hostile guest can put into its rings. Its device stops with a message; the other guests notice nothing."""

import asyncio
import os
import struct

import pytest

from groundup.vsock import Op
from groundup.vsock.memory import GuestMemory, MemoryFaultError, RegionSpec
from groundup.vsock.packet import HEADER_SIZE

from .driver import (
    AVAILABLE,
    CLIENT,
    GUEST_BASES,
    HALF,
    INDIRECT,
    NEXT,
    QUEUE_BYTES,
    RX,
    SERVER,
    TX,
    USED,
    WRITE,
    Guest,
    network,
    run,
)

INNOCENT = 5


def write_index(guest: Guest, queue: int, index: int) -> None:
    struct.pack_into("<H", guest.memory, queue * QUEUE_BYTES + AVAILABLE + 2, index & 0xFFFF)


def head_outside(guest: Guest) -> None:
    guest.post(TX, guest.size)


def head_far_outside(guest: Guest) -> None:
    guest.post(TX, 0xFFFF)


def next_outside(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), 10), NEXT, following=guest.size)
    guest.post(TX, 0)


def loop_to_itself(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), 10), NEXT, following=0)
    guest.post(TX, 0)


def loop_of_two(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), 10), NEXT, following=1)
    guest.describe(TX, 1, (guest.buffer(TX, 1), 10), NEXT, following=0)
    guest.post(TX, 0)


def indirect(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), 64), INDIRECT)
    guest.post(TX, 0)


def write_only_in_transmit(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), 64), WRITE)
    guest.post(TX, 0)


def write_only_behind_header(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), HEADER_SIZE), NEXT, following=1)
    guest.describe(TX, 1, (guest.buffer(TX, 1), 64), WRITE)
    guest.post(TX, 0)


def no_bytes(guest: Guest) -> None:
    guest.describe(TX, 0, (guest.buffer(TX, 0), 0))
    guest.post(TX, 0)


def address_in_the_hole(guest: Guest) -> None:
    guest.describe(TX, 0, (HALF, 1))
    guest.post(TX, 0)


def end_in_the_hole(guest: Guest) -> None:
    guest.describe(TX, 0, (HALF - 10, 11))
    guest.post(TX, 0)


def longest_length(guest: Guest) -> None:
    guest.describe(TX, 0, (GUEST_BASES[1], 0xFFFFFFFF))
    guest.post(TX, 0)


def below_a_region(guest: Guest) -> None:
    guest.describe(TX, 0, (GUEST_BASES[1] - 1, 2))
    guest.post(TX, 0)


def wrapped_address(guest: Guest) -> None:
    guest.describe(TX, 0, ((1 << 64) - 1, 0xFFFFFFFF))
    guest.post(TX, 0)


def index_ran_away(guest: Guest) -> None:
    write_index(guest, TX, guest.posted[TX] + guest.size + 1)


def index_went_back(guest: Guest) -> None:
    write_index(guest, TX, guest.posted[TX] - 1)


HOSTILE_TRANSMIT = [
    (head_outside, "transmit queue: descriptor 16 is outside of a table of 16"),
    (head_far_outside, "transmit queue: descriptor 65535 is outside of a table of 16"),
    (next_outside, "transmit queue: descriptor 16 is outside of a table of 16"),
    (loop_to_itself, "transmit queue: chain from descriptor 0 has a loop"),
    (loop_of_two, "transmit queue: chain from descriptor 0 has a loop"),
    (indirect, "transmit queue: descriptor 0 is indirect, which was not negotiated"),
    (write_only_in_transmit, "transmit queue: descriptor 0 is for the device to write, in a queue to read from"),
    (write_only_behind_header, "transmit queue: descriptor 1 is for the device to write, in a queue to read from"),
    (no_bytes, "transmit queue: descriptor 0 has no bytes"),
    (address_in_the_hole, "transmit queue: descriptor 0: address 0x100000 with 1 bytes lies outside"),
    (end_in_the_hole, "transmit queue: descriptor 0: address 0xffff6 with 11 bytes lies outside"),
    (longest_length, "transmit queue: descriptor 0: address 0x100000000 with 4294967295 bytes lies outside"),
    (below_a_region, "transmit queue: descriptor 0: address 0xffffffff with 2 bytes lies outside"),
    (wrapped_address, "transmit queue: descriptor 0: address 0xffffffffffffffff with 4294967295 bytes lies outside"),
    (index_ran_away, "transmit queue: available index 17 is 17 ahead, more than the queue's 16"),
    (index_went_back, "transmit queue: available index 65535 is 65535 ahead, more than the queue's 16"),
]


async def expect_broken(net, hostile: Guest, message: str, others: list[Guest]) -> None:
    """See the hostile device stopped, the front-end told, and the others connected to each other, and not to it."""
    while not net.reports:
        await asyncio.sleep(0)
    assert len(net.reports) == 1
    cid, text = net.reports[0]
    assert cid == hostile.cid
    assert text.startswith(message)
    assert os.eventfd_read(hostile.error) == 1
    first, second = others
    await first.reaches(second)
    await second.reaches(first)
    request = first.packet(Op.REQUEST, hostile.cid)
    await first.send(request)
    await first.hears(request.rst())
    hostile.ring(TX)
    hostile.ring(RX)
    await first.reaches(second)
    assert len(net.reports) == 1


@pytest.mark.parametrize(("attack", "message"), HOSTILE_TRANSMIT, ids=[case[0].__name__ for case in HOSTILE_TRANSMIT])
def test_hostile_transmit_queue(attack, message):
    async def scenario():
        async with network() as net:
            hostile, *others = await net.boot(SERVER, CLIENT, INNOCENT)
            attack(hostile)
            hostile.ring(TX)
            await expect_broken(net, hostile, message, others)

    run(scenario)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(0, 44, 0)], "receive queue: descriptor 0 is for the device to read, in a queue to write to"),
        ([(0, 44, WRITE), (0, 4096, 0)], "receive queue: descriptor 1 is for the device to read"),
        ([(0, 44, WRITE)], "receive queue: receive buffer of 44 bytes has no room for a header and data"),
        ([(0, 1, WRITE)], "receive queue: receive buffer of 1 bytes has no room"),
        ([(HALF - 1, 2, WRITE)], "receive queue: descriptor 0: address 0xfffff with 2 bytes lies outside"),
        ([(0, 44, WRITE | INDIRECT)], "receive queue: descriptor 0 is indirect"),
    ],
)
def test_hostile_receive_queue(parts, message):
    async def scenario():
        async with network() as net:
            others = await net.boot(CLIENT, INNOCENT)
            hostile = await net.attach(SERVER).boot(buffers=0)
            hostile.chain(RX, parts)
            hostile.ring(RX)
            request = others[0].packet(Op.REQUEST, SERVER, ports=(1, 2))
            await others[0].send(request)
            await others[0].hears(request.rst())  # it will never be delivered, and its sender knows at once
            await expect_broken(net, hostile, message, others)

    run(scenario)


def test_receive_index_runs_away():
    async def scenario():
        async with network() as net:
            hostile, *others = await net.boot(SERVER, CLIENT, INNOCENT)
            write_index(hostile, RX, hostile.posted[RX] + 1000)
            request = others[0].packet(Op.REQUEST, SERVER)
            await others[0].send(request)
            await others[0].hears(request.rst())
            await expect_broken(net, hostile, "receive queue: available index 1008 is 1008 ahead", others)

    run(scenario)


def test_what_a_guest_writes_into_the_used_ring_does_not_matter():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            at = TX * QUEUE_BYTES + USED
            for _ in range(40):
                await client.reaches(server)
                client.memory[at : at + 4 + 8 * client.size] = os.urandom(4 + 8 * client.size)
                client.seen[TX] = (client.seen[TX] + 1) & 0xFFFF
                for head in list(client.chains[TX]):
                    client.release(TX, head)
            assert net.reports == []

    run(scenario)


def test_a_chain_may_name_the_same_memory_often_and_costs_no_more():
    async def scenario():
        async with network() as net:
            server = await net.attach(SERVER).boot()
            client = await net.attach(CLIENT, size=1024).boot()
            packet = client.packet(Op.RW, SERVER, payload=b"x" * 100)
            at = client.place(client.buffer(TX, 0))
            client.memory[at : at + 144] = packet.pack()
            client.describe(TX, 0, (client.buffer(TX, 0), HALF), NEXT, following=1)
            for index in range(1, 1023):
                client.describe(TX, index, (GUEST_BASES[1], HALF), NEXT, following=index + 1)
            client.describe(TX, 1023, (GUEST_BASES[1], HALF))
            client.post(TX, 0)
            client.ring(TX)
            await server.hears(packet)

    run(scenario)


def test_a_broken_sender_in_the_middle_of_a_batch_keeps_what_was_good():
    async def scenario():
        async with network() as net:
            hostile, *others = await net.boot(SERVER, CLIENT, INNOCENT)
            good = hostile.packet(Op.RW, CLIENT, payload=b"still good")
            await hostile.transmit(good.pack(), kick=False)
            indirect_at = 5
            hostile.describe(TX, indirect_at, (0, 64), INDIRECT)
            hostile.post(TX, indirect_at)
            hostile.ring(TX)
            await others[0].hears(good)
            await expect_broken(net, hostile, "transmit queue: descriptor 5 is indirect", others)

    run(scenario)


def test_a_broken_receiver_lets_go_of_those_it_held_up():
    async def scenario():
        async with network() as net:
            hostile = await net.attach(SERVER).boot(buffers=0)
            client, other = await net.boot(CLIENT, INNOCENT)
            full = asyncio.create_task(fill_up(client))
            while not next(iter(net.switch._ports.values())).full:
                await asyncio.sleep(0)
            write_index(hostile, RX, 40_000)
            hostile.ring(RX)
            await full
            while (await client.receive()).op != Op.RW:
                pass  # the resets of all that was lost, up to the packet that comes last
            await client.reaches(other)

    async def fill_up(client):
        for _ in range(300):
            await client.send(client.packet(Op.RW, SERVER, payload=bytes(65536)))
        await client.send(client.packet(Op.RW, CLIENT, payload=b"the last"))

    run(scenario)


# ---- memory that makes no sense ----


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (RegionSpec(0, 0, 0, 0), "is empty or wraps around"),
        (RegionSpec((1 << 64) - 4096, 8192, 0, 0), "wraps around"),
        (RegionSpec(0, 4096, (1 << 64) - 1, 0), "wraps around"),
        (RegionSpec(0, 4096, 0, (1 << 64) - 4096), "larger than its file"),
        (RegionSpec(0, 8193, 0, 0), "larger than its file"),
        (RegionSpec(0, 4096, 0, 4097), "larger than its file"),
        (RegionSpec(0, 1 << 63, 0, 0), "larger than its file"),
    ],
)
def test_regions_that_make_no_sense(spec, message):
    fd = os.memfd_create("region")
    try:
        os.ftruncate(fd, 8192)
        with pytest.raises(MemoryFaultError, match=message):
            GuestMemory([RegionSpec(0, 4096, 0, 0), spec], [fd, fd])
        with pytest.raises(MemoryFaultError, match="came with 1 descriptors"):
            GuestMemory([], [fd])
    finally:
        os.close(fd)


def test_a_region_may_begin_anywhere_in_its_file():
    fd = os.memfd_create("region")
    try:
        os.pwrite(fd, bytes(5000) + b"here", 0)
        memory = GuestMemory([RegionSpec(100, 4, 200, 5000)], [fd])
        for mapping, offset in (memory.at_guest(100, 4), memory.at_user(200, 4)):
            assert mapping[offset : offset + 4] == b"here"
        for address, length in ((99, 1), (100, 5), (104, 1)):
            with pytest.raises(MemoryFaultError):
                memory.at_guest(address, length)
        memory.close()
        memory.close()
    finally:
        os.close(fd)


def test_a_region_must_be_a_file_with_a_size():
    ours, theirs = os.pipe()
    try:
        with pytest.raises(MemoryFaultError, match="larger than its file"):
            GuestMemory([RegionSpec(0, 4096, 0, 0)], [ours])
    finally:
        os.close(ours)
        os.close(theirs)
