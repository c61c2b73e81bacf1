"""A guest and a front-end that do anything at all, from a seed: the switch survives, and the others still talk."""

import asyncio
import os
import random
import socket
import struct
import time

import pytest

from groundup.vsock import CID_HOST, Op, Packet, Plan
from groundup.vsock import vhost_user as vu
from groundup.vsock.memory import REGION
from groundup.vsock.packet import HEADER_SIZE

from .driver import (
    AVAILABLE,
    CLIENT,
    DESCRIPTORS,
    GUEST_BASES,
    HALF,
    QUEUE_BYTES,
    RX,
    SERVER,
    TX,
    USED,
    Guest,
    Net,
    Request,
    network,
    run,
)

SECONDS = 0.4  # for each seed
INNOCENT = 5


def some_number(rng: random.Random, bits: int) -> int:
    """Return a number of so many bits, more often than not one at an edge."""
    edges = [0, 1, 2, 7, 8, 15, 16, 44, 4096, HALF - 1, HALF, GUEST_BASES[1], (1 << bits) - 1, 1 << (bits - 1)]
    return (rng.choice(edges) if rng.random() < 0.7 else rng.getrandbits(bits)) & ((1 << bits) - 1)


def mutate_rings(guest: Guest, rng: random.Random) -> None:
    """Write something into a ring, plausible or not, and kick."""
    queue = rng.choice((RX, TX))
    kind = rng.choices(range(6), (3, 1, 4, 1, 4, 30))[0]
    if kind == 0:
        at = queue * QUEUE_BYTES + rng.choice((DESCRIPTORS, AVAILABLE + 4, USED)) + rng.randrange(32)
        guest.memory[at] = rng.randrange(256)
    elif kind == 1:
        span = some_number(rng, 64), some_number(rng, 32)
        guest.describe(queue, rng.randrange(guest.size), span, rng.randrange(8), following=some_number(rng, 16))
    elif kind == 2:
        place = guest.buffer(queue, rng.randrange(guest.size))
        span = place, rng.choice((HEADER_SIZE, 100, 4096))
        flags = rng.choice((0, 1, 2, 3))
        guest.describe(queue, rng.randrange(guest.size), span, flags, following=rng.randrange(guest.size))
    elif kind == 3:
        # Mostly within what is allowed, or the device breaks here before it comes to anything else.
        ahead = rng.randrange(guest.size) if rng.random() < 0.95 else some_number(rng, 16)
        guest.posted[queue] = (guest.posted[queue] + ahead) & 0xFFFF
        struct.pack_into("<H", guest.memory, queue * QUEUE_BYTES + AVAILABLE + 2, guest.posted[queue])
    elif kind == 4:
        place = guest.place(guest.buffer(TX, rng.randrange(guest.size)))
        packet = Packet(guest.cid, rng.choice((CLIENT, SERVER, CID_HOST, 9)), 1, 2, rng.randrange(4), rng.randrange(9))
        guest.memory[place : place + HEADER_SIZE] = packet.header(some_number(rng, 32), rng.getrandbits(32))
    else:
        for _ in range(rng.randrange(1, 4)):
            guest.post(queue, rng.randrange(guest.size))
    guest.ring(queue)


def mutate_protocol(guest: Guest, rng: random.Random) -> None:
    """Send a message, plausible or not, with descriptors or not; or a packet."""
    if rng.random() < 0.3:
        guest.post(TX, rng.randrange(guest.size))
        guest.ring(TX)
        return
    request = rng.choice(list(Request)) if rng.random() < 0.9 else rng.randrange(50)
    flags = rng.choice((vu.VERSION, vu.VERSION | vu.FLAG_NEED_REPLY)) if rng.random() < 0.97 else rng.getrandbits(4)
    bodies = {
        Request.SET_MEM_TABLE: lambda: (
            vu.MEMORY_TABLE.pack(count := rng.randrange(4), 0)
            + b"".join(REGION.pack(*(some_number(rng, 64) for _ in range(4))) for _ in range(count))
        ),
        Request.SET_VRING_ADDR: lambda: guest.addresses(rng.randrange(2), used=rng.choice((0, 4, 2, HALF))),
        Request.GET_CONFIG: lambda: vu.CONFIG.pack(some_number(rng, 8), some_number(rng, 4), 0) + bytes(8),
    }
    plain = [lambda: vu.U64.pack(some_number(rng, 64)), lambda: vu.VRING_STATE.pack(rng.randrange(3), rng.randrange(3))]
    body = bodies.get(request, rng.choice(plain))()
    if rng.random() < 0.05:
        body = body[: rng.randrange(len(body) + 1)]
    pool = [guest.fd, guest.kick[0], guest.kick[1], guest.call[0], guest.error, guest.sock.fileno()]
    fds = rng.choices(pool, k=rng.choice((0, 1, 1, 1, 2, 8)))
    data = vu.HEADER.pack(request, flags, len(body)) + body
    if rng.random() < 0.02:
        data = bytes(rng.getrandbits(8) for _ in range(rng.randrange(1, 40)))
    try:
        socket.send_fds(guest.sock, [data], fds)
        guest.sock.recv(65536)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        return  # nothing to read yet, or the switch has had enough


async def fresh(net: Net, old: Guest | None) -> Guest:
    """Attach the hostile guest anew, with packets lying ready that are not even wrong."""
    if old is not None:
        net.switch.detach(old.cid)
        net.guests.remove(old)
        old.close()
    guest = await net.attach(SERVER).boot()
    for index in range(guest.size):
        to = (CLIENT, SERVER, INNOCENT, 9)[index % 4]
        packet = guest.packet(Op.RW, to, ports=(index, 1), payload=bytes(100))
        place = guest.place(guest.buffer(TX, index))
        guest.memory[place : place + HEADER_SIZE + 100] = packet.pack()
        guest.describe(TX, index, (guest.buffer(TX, index), HEADER_SIZE + 100))
    return guest


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mutate", [mutate_rings, mutate_protocol])
def test_the_switch_survives_anything(mutate, seed):
    async def scenario():
        rng = random.Random(seed)
        async with network() as net:
            first, second = await net.boot(CLIENT, INNOCENT)
            net.switch.set_faults(Plan(seed=seed, port=1, jitter=0.001, reset_chance=0.2, credit=100))
            hostile = None
            end = time.monotonic() + SECONDS
            lives = 0
            while time.monotonic() < end:
                hostile = await fresh(net, hostile)
                lives += 1
                done = len(net.reports)
                for _ in range(200):
                    mutate(hostile, rng)
                    await asyncio.sleep(0)
                    if len(net.reports) > done:
                        break
                for guest in (first, second):  # what the hostile one sent to them in between does not count
                    guest.received()
                    guest._inbox.clear()
                await talk(first, second)
                await talk(second, first)
            assert lives > 5
            assert all(cid == SERVER for cid, _ in net.reports)
            assert all("\n" not in message for _, message in net.reports)

    async def talk(here: Guest, there: Guest) -> None:
        packet = here.packet(Op.RW, there.cid, ports=(77, 77), payload=os.urandom(300))
        await here.send(packet)
        while await there.receive() != packet:
            pass

    run(scenario)
