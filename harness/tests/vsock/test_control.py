"""What a run's tests ask of the switch: ends that the host plays, and faults."""

import asyncio

import pytest

from groundup.vsock import CID_HOST, Op, host, port
from groundup.vsock.control import FIRST_PORT, Control
from groundup.vsock.host import BUFFER, CONNECTIONS
from groundup.vsock.packet import MAX_PAYLOAD, Shutdown
from groundup_guest.rpc import RpcError

from .driver import CLIENT, RX, SERVER, network, run

ENDS = (1000, FIRST_PORT)
ROOM = 1 << 18
BOTH = Shutdown.RECEIVE | Shutdown.SEND


def test_an_echo_gives_back_no_more_than_there_is_room_for():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            found, _ = await Control(net.switch).call("listen", {"end": "echo"}, b"")
            assert found == {"port": FIRST_PORT}
            await client.send(client.packet(Op.REQUEST, CID_HOST, ports=ENDS, buf_alloc=4))
            assert (await client.receive()).op == Op.RESPONSE
            await client.send(client.packet(Op.RW, CID_HOST, ports=ENDS, buf_alloc=4, payload=b"hello host"))
            first = await client.receive()
            assert (first.op, first.payload, first.fwd_cnt) == (Op.RW, b"hell", 4)
            await client.send(client.packet(Op.SHUTDOWN, CID_HOST, ports=ENDS, flags=Shutdown.SEND, buf_alloc=4))
            await client.send(client.packet(Op.CREDIT_UPDATE, CID_HOST, ports=ENDS, buf_alloc=ROOM, fwd_cnt=4))
            second = await client.receive()
            assert (second.payload, second.fwd_cnt) == (b"o host", 10)
            last = await client.receive()
            assert (last.op, last.flags) == (Op.SHUTDOWN, BOTH)

    run(scenario)


def test_an_echo_tells_connections_apart_and_refuses_what_is_none():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            await Control(net.switch).call("listen", {"end": "echo"}, b"")
            stray = client.packet(Op.RW, CID_HOST, ports=ENDS, payload=b"who?")
            await client.send(stray)
            await client.hears(stray.rst())
            for number in (1, 2):
                await client.send(client.packet(Op.REQUEST, CID_HOST, ports=(number, FIRST_PORT), buf_alloc=ROOM))
                assert (await client.receive()).dst_port == number
            for number in (2, 1):
                text = f"of {number}".encode()
                packet = client.packet(Op.RW, CID_HOST, ports=(number, FIRST_PORT), buf_alloc=ROOM, payload=text)
                await client.send(packet)
                assert (await client.receive()).payload == text
            await client.send(client.packet(Op.SHUTDOWN, CID_HOST, ports=(1, FIRST_PORT), flags=BOTH))
            assert (await client.receive()).op == Op.RST

    run(scenario)


def test_a_silent_end_says_nothing_until_it_is_cleared():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            control = Control(net.switch)
            await control.call("listen", {"end": "silent"}, b"")
            request = client.packet(Op.REQUEST, CID_HOST, ports=ENDS)
            await client.send(request)
            await control.call("clear", {}, b"")
            await client.send(request)
            await client.hears(request.rst())
            assert [packet.op for packet in client.received()] == []

    run(scenario)


def test_the_host_dials():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            control = Control(net.switch)
            ends = (7, FIRST_PORT)
            params = {"cid": CLIENT, "port": 7, "deadline": 10}
            dialling = asyncio.create_task(control.call("dial", params, b"question"))
            assert (await client.receive()).op == Op.REQUEST
            await client.send(client.packet(Op.RESPONSE, CID_HOST, ports=ends, buf_alloc=ROOM))
            asked = [await client.receive() for _ in range(2)]
            assert [(packet.op, packet.payload) for packet in asked] == [(Op.RW, b"question"), (Op.SHUTDOWN, b"")]
            await client.send(client.packet(Op.RW, CID_HOST, ports=ends, buf_alloc=ROOM, payload=b"answer"))
            await client.send(client.packet(Op.SHUTDOWN, CID_HOST, ports=ends, flags=BOTH, buf_alloc=ROOM))
            found, received = await dialling
            assert (found, received) == ({"connected": True, "ended": True, "reset": False}, b"answer")

    run(scenario)


def test_the_host_dials_in_vain():
    async def scenario():
        async with network() as net:
            await net.boot(CLIENT)
            control = Control(net.switch)
            found, received = await control.call("dial", {"cid": 99, "port": 7, "deadline": 10}, b"")
            assert (found["connected"], found["reset"], received) == (False, True, b"")
            found, _ = await control.call("dial", {"cid": CLIENT, "port": 7, "deadline": 0.01}, b"")
            assert (found["connected"], found["ended"]) == (False, False)

    run(scenario)


# ---- guests that do what no kernel does ----


async def floods(guest, to=CID_HOST, ports=ENDS):
    """Send more than a host's end has announced room for, and give no credit for anything back."""
    for _ in range(BUFFER // MAX_PAYLOAD + 1):
        await guest.send(guest.packet(Op.RW, to, ports=ports, buf_alloc=0, payload=bytes(MAX_PAYLOAD)))


def test_an_echo_keeps_no_more_than_it_gave_credit_for():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            await Control(net.switch).call("listen", {"end": "echo"}, b"")
            for _ in range(2):  # what was reset is forgotten: the same port can begin anew
                request = client.packet(Op.REQUEST, CID_HOST, ports=ENDS, buf_alloc=0)
                await client.send(request)
                assert (await client.receive()).op == Op.RESPONSE
                await floods(client)
                assert (await client.receive()).op == Op.RST
            stray = client.packet(Op.CREDIT_UPDATE, CID_HOST, ports=ENDS, buf_alloc=ROOM)
            await client.send(stray)
            await client.hears(stray.rst())

    run(scenario)


def test_an_echo_has_a_bound_of_connections():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            await Control(net.switch).call("listen", {"end": "echo"}, b"")
            for number in range(CONNECTIONS + 1):
                await client.send(client.packet(Op.REQUEST, CID_HOST, ports=(number, FIRST_PORT)))
                assert (await client.receive()).op == (Op.RESPONSE if number < CONNECTIONS else Op.RST)

    run(scenario)


def test_a_connection_that_is_over_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(port, "PENDING_PACKETS", 1)
    monkeypatch.setattr(host, "RETRY_SECONDS", 0)  # what would be tried again comes before the next answer

    async def scenario():
        async with network() as net:
            client = await net.attach(CLIENT).boot(buffers=0)
            await Control(net.switch).call("listen", {"end": "echo"}, b"")
            await client.send(client.packet(Op.REQUEST, CID_HOST, ports=ENDS))
            await client.send(client.packet(Op.SHUTDOWN, CID_HOST, ports=ENDS, flags=BOTH))
            while len(net.captured) < 3:  # both, and the answer to the first, which fills the guest's line
                await asyncio.sleep(0)
            for _ in range(4):
                client.offer()
            client.ring(RX)
            assert (await client.receive()).op == Op.RESPONSE
            await client.send(client.packet(Op.REQUEST, CID_HOST, ports=(ENDS[0] + 1, ENDS[1])))
            answer = await client.receive()
            assert (answer.op, answer.dst_port) == (Op.RESPONSE, ENDS[0] + 1)

    run(scenario)


def test_a_dialler_hears_whom_it_has_dialled_alone():
    async def scenario():
        async with network() as net:
            client, stranger = await net.boot(CLIENT, SERVER)
            ends = (7, FIRST_PORT)
            params = {"cid": CLIENT, "port": 7, "deadline": 10}
            dialling = asyncio.create_task(Control(net.switch).call("dial", params, b""))
            assert (await client.receive()).op == Op.REQUEST
            for packet in (
                stranger.packet(Op.RESPONSE, CID_HOST, ports=ends),
                stranger.packet(Op.RW, CID_HOST, ports=ends, payload=b"no"),
                stranger.packet(Op.SHUTDOWN, CID_HOST, ports=ends, flags=BOTH),
            ):
                await stranger.send(packet)
                await stranger.hears(packet.rst())
            await client.send(client.packet(Op.RESPONSE, CID_HOST, ports=ends))
            await client.send(client.packet(Op.RW, CID_HOST, ports=ends, payload=b"yes"))
            await client.send(client.packet(Op.SHUTDOWN, CID_HOST, ports=ends, flags=BOTH))
            assert await dialling == ({"connected": True, "ended": True, "reset": False}, b"yes")

    run(scenario)


def test_a_dialler_keeps_an_answer_but_no_flood():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            ends = (7, FIRST_PORT)
            params = {"cid": CLIENT, "port": 7, "deadline": 10}
            dialling = asyncio.create_task(Control(net.switch).call("dial", params, b"question"))
            assert (await client.receive()).op == Op.REQUEST
            await client.send(client.packet(Op.RESPONSE, CID_HOST, ports=ends, buf_alloc=0))
            await floods(client, ports=ends)
            found, received = await dialling
            assert found == {"connected": True, "ended": False, "reset": True}
            assert len(received) <= BUFFER + len("question")
            while (await client.receive()).op != Op.RST:
                pass

    run(scenario)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("listen", {"end": "loud"}),
        ("faults", {"plan": {"loss": 1}}),
        ("faults", {"plan": {"delay": -1}}),
        ("faults", {}),
        ("dial", {"cid": "x", "port": 1}),
        ("dial", {}),
        ("shout", {}),
    ],
)
def test_what_makes_no_sense_is_told(method, params):
    async def scenario():
        async with network() as net:
            with pytest.raises(RpcError):
                await Control(net.switch).call(method, params, b"")

    run(scenario)
