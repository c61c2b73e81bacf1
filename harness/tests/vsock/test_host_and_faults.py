"""What the switch itself plays: the host's end of connections, and faults."""

import asyncio

import pytest

from groundup.errors import MachineryError
from groundup.vsock import CID_HOST, Op, Packet, Plan, Type

from .driver import CLIENT, SERVER, network, run


class Echo:
    """A host end that accepts, echoes, and closes when told to."""

    def __init__(self, switch):
        self.switch, self.heard = switch, []

    def received(self, packet):
        self.heard.append(packet)
        answer = packet.rst()._replace(buf_alloc=1 << 18)
        if packet.op == Op.REQUEST:
            assert self.switch.send(answer._replace(op=Op.RESPONSE))
        elif packet.op == Op.RW:
            assert self.switch.send(answer._replace(op=Op.RW, payload=packet.payload, fwd_cnt=len(packet.payload)))
        elif packet.op == Op.SHUTDOWN:
            self.switch.send(answer)


def test_the_host_answers_where_somebody_listens():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            net.switch.listen(2000, Echo(net.switch))
            with pytest.raises(MachineryError, match="port 2000"):
                net.switch.listen(2000, Echo(net.switch))
            await client.send(client.packet(Op.REQUEST, CID_HOST))
            assert (await client.receive()).op == Op.RESPONSE
            await client.send(client.packet(Op.RW, CID_HOST, payload=b"hello host"))
            answer = await client.receive()
            assert answer[:6] == (CID_HOST, CLIENT, 2000, 1000, Type.STREAM, Op.RW)
            assert answer.payload == b"hello host"
            net.switch.unlisten(2000)
            last = client.packet(Op.RW, CID_HOST, payload=b"still there?")
            await client.send(last)
            await client.hears(last.rst())
            assert len(net.captured) == 6

    run(scenario)


def test_the_host_calls_a_guest():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            echo = Echo(net.switch)
            net.switch.listen(50, echo)
            request = Packet(CID_HOST, CLIENT, 50, 7, Type.STREAM, Op.REQUEST)
            assert net.switch.send(request)
            await client.hears(request)
            nobody = request._replace(dst_cid=99)
            assert net.switch.send(nobody)
            assert echo.heard == [nobody.rst()]
            with pytest.raises(ValueError, match="CID 4"):
                net.switch.send(request._replace(src_cid=CLIENT))

    run(scenario)


def test_a_host_end_that_raises_costs_only_its_connection():
    class Faulty:
        def received(self, packet):
            raise KeyError(packet.op)

    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            net.switch.listen(2000, Faulty())
            request = client.packet(Op.REQUEST, CID_HOST)
            await client.send(request)
            await client.hears(request.rst())
            assert net.reports == [(CID_HOST, "the host end at port 2000 raised KeyError(1)")]
            await client.reaches(server)

    run(scenario)


# ---- faults ----


def test_delay_keeps_the_order():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            net.switch.set_faults(Plan(delay=0.02, jitter=0.02, seed=5))
            loop = asyncio.get_running_loop()
            began = loop.time()
            packets = [client.packet(Op.RW, SERVER, payload=bytes([number])) for number in range(8)]
            for packet in packets:
                await client.send(packet)
            for packet in packets:
                await server.hears(packet)
            assert loop.time() - began >= 0.02
            net.switch.set_faults(None)
            began = loop.time()
            await client.reaches(server)

    run(scenario)


def test_a_reset_reaches_both_ends():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            net.switch.set_faults(Plan(reset_after=5))
            packet = client.packet(Op.RW, SERVER, payload=b"hello")
            await client.send(packet)
            await server.hears(packet)
            await client.send(packet)
            await server.hears(Packet(CLIENT, SERVER, 1000, 2000, Type.STREAM, Op.RST))
            await client.hears(packet.rst())
            assert net.switch.counters.reset == 1

    run(scenario)


def test_starved_credit_and_its_end():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            net.switch.set_faults(Plan(credit=0))
            packet = client.packet(Op.REQUEST, SERVER)
            await client.send(packet)
            await server.hears(packet._replace(buf_alloc=0))
            net.switch.set_faults(None)
            await server.hears(packet._replace(op=Op.CREDIT_UPDATE))

    run(scenario)
