"""Programs that ask over UDP: the test plays the server, and looks at what comes."""

import pytest

from tests.guest.backend import Backend

ASKER = b"""#!/usr/bin/python3
import signal, socket, sys, time

what, port = sys.argv[1], int(sys.argv[2])
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.connect(("127.0.0.1", port))
if what == "says":
    signal.signal(signal.SIGUSR1, lambda *_: print("two\\nthree", file=sys.stderr, flush=True))
    print("one", file=sys.stderr, flush=True)
while what == "floods":
    asker.send(b"question")
for number in range(0 if what == "silent" else 2):
    asker.send(b"question %d" % number)
    answer = asker.recv(100)
    assert answer == b"question %d" % number, answer
while what == "says":
    signal.pause()
"""


HEARER = b"""#!/usr/bin/python3
import signal, socket, sys

hearer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[1] != "unbound":
    hearer.bind(("127.0.0.1", 0))
if sys.argv[1] == "odd":
    print("udp ready", flush=True)
elif sys.argv[1] == "floods":
    print("listening on udp:127.0.0.1:%d" % hearer.getsockname()[1], flush=True)
    _, peer = hearer.recvfrom(100)
    while True:
        hearer.sendto(b"once more", peer)
signal.pause()
"""


@pytest.fixture
def asker(backend: Backend) -> Backend:
    backend.programs.install("asker", ASKER)
    return backend


def test_a_test_can_be_the_server(asker: Backend) -> None:
    source = """
def test_echoes(server, udp):
    responder = udp.listens()
    program = server.run("asks", str(responder.port))
    found = responder.echoes(program, 2)
    assert [datagram.data for datagram in found] == [b"question 0", b"question 1"]
    assert found[0].source == found[1].source and found[0].t <= found[1].t
    program.exits(0)
    responder.sees_nothing()

def test_one_by_one(server, udp):
    responder = udp.listens()
    program = server.run("asks", str(responder.port))
    first = responder.receives(program)
    responder.replies(first.data, first)
    assert len(responder.echoes_to_the_end(program)) == 1
    program.exits(0)

def test_silence(server, udp):
    responder = udp.listens()
    program = server.run("silent", str(responder.port))
    assert responder.receives_to_the_end(program) == []
    responder.receives(program)

def test_too_much(server, udp):
    responder = udp.listens()
    responder.receives(server.run("asks", str(responder.port)))
    other = udp.listens()
    other.replies(b"x", type("To", (), {"source": ("127.0.0.1", responder.port)}))
    responder.sees_nothing()

def test_flood(server, udp):
    responder = udp.listens()
    responder.receives_to_the_end(server.run("floods", str(responder.port)))

def test_a_name(udp):
    responder = udp.listens(6)
    assert responder.target() == f"udp:[::1]:{responder.port}"
    assert responder.target("a.example") == f"udp:a.example:{responder.port}"
"""
    results = asker.run(source, program="asker", floor=1.0).results
    for name in ("test_echoes", "test_one_by_one", "test_a_name"):
        assert (results[name]["outcome"], results[name]["message"]) == ("pass", "")
    silence = results["test_silence"]["message"]
    assert silence.startswith("The program sent nothing to udp:127.0.0.1:")
    assert silence.endswith("it exited with status 0.")
    assert "sent a datagram where it should have sent none" in results["test_too_much"]["message"]
    assert results["test_flood"]["message"] == "The program sends without end."


def test_what_a_program_says_last(asker: Backend) -> None:
    source = """
def start(server, udp):
    responder = udp.listens()
    program = server.run("says", str(responder.port))
    responder.echoes(program, 2)
    program.says("one")
    program.signals(signal.SIGUSR1)
    return program

def test_good(server, udp):
    program = start(server, udp)
    assert program.says("t(.*)ee")[1] == "hr"
    program.signals(signal.SIGKILL)

def test_among_others(server, udp):
    program = start(server, udp)
    assert program.says("t(w)o")[1] == "w"
    program.signals(signal.SIGKILL)

def test_other(server, udp):
    program = start(server, udp)
    program.says("four")

def test_nothing_more(server, udp):
    program = start(server, udp)
    program.says("three")
    program.says("three")
"""
    results = asker.run(source, program="asker", floor=1.0).results
    for name in ("test_good", "test_among_others"):
        assert (results[name]["outcome"], results[name]["message"]) == ("pass", "")
    assert results["test_other"]["message"] == "The program did not say on stderr what it should: /four/."
    assert results["test_other"]["steps"][-1]["detail"] == "three"
    assert results["test_nothing_more"]["steps"][-1]["text"].endswith("said nothing more")


def test_a_flood_of_datagrams_is_a_failure_like_others(asker: Backend) -> None:
    asker.programs.install("hearer", HEARER)
    source = """
def test_takes_what_comes(server, udp):
    peer = udp.socket(server.start("floods"))
    peer.sends(b"?")
    for _ in range(500):
        assert peer.receives_any() == b"once more"
    peer.receives(b"an end")
"""
    result = asker.run(source, program="hearer").only
    assert (result["outcome"], result["message"]) == ("fail", "The datagram holds other bytes than expected.")
    numbers = [step["n"] for step in result["steps"]]
    assert len(numbers) == 120
    assert numbers[:60] == list(range(1, 61))
    assert numbers[-1] == 503


def test_a_server_of_datagrams_that_is_not_ready(asker: Backend) -> None:
    asker.programs.install("hearer", HEARER)
    source = """
def test_bound(server):
    server.start("bound")

def test_unbound(server):
    server.start("unbound")

def test_odd(server):
    server.start("odd")
"""
    results = asker.run(source, program="hearer", floor=1.0).results
    assert "fflush(stdout)" in results["test_bound"]["why"]
    assert "It has no socket either on which it could hear anybody" in results["test_unbound"]["why"]
    assert "udp:" in results["test_odd"]["why"]
