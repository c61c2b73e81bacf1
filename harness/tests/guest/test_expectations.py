"""What each expectation says when a program makes the mistake that it is for; most of it words that a learner reads."""

import re

import pytest

from tests.guest.backend import Backend
from tests.guest.test_plugin import GOOD

MISTAKES = {
    "dies": ("The server was killed by SIGSEGV.", "a wild pointer"),
    "aborts-connection": ("The server reset the connection in place of closing it in order.", "(RST)"),
    "nul": ("The server sent 1 byte more than it should have.", "counts the terminating zero"),
    "whole-buffer": ("The server sent 58 bytes more than it should have.", "a whole buffer was sent"),
    "short": ("The server closed the connection after it had sent 4 of 6 bytes.", ""),
    "zombie": ("The server has not waited for a child that ended.", "waitpid(2)"),
    "exits": ("The server exited with status 1 before it was ready.", "It said nothing on stderr."),
    "fake-ready": ("Nobody answers at 127.0.0.1:1 over IPv4.", "It has no listening socket"),
    "never-listens": (
        "The server exited with status 1 just after its ready line.",
        "listen(2) was not called. It said: subject: accept4: Invalid argument",
    ),
    "odd-line": ("The first line on stdout is not `listening on ADDRESS`.", "tcp:HOST:PORT"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(backend: Backend, mistake: str) -> None:
    result = backend.run(GOOD.replace("start()", f'start("--mistake", "{mistake}")')).only
    message, why = MISTAKES[mistake]
    assert result["outcome"] == "fail"
    assert result["message"] == message
    assert why in result["why"]
    assert [step["failed"] for step in result["steps"]] == [False] * (len(result["steps"]) - 1) + [True]


def test_more_data_is_no_mistake_of_the_buffer_for_the_zeros_in_it(backend: Backend) -> None:
    source = GOOD.replace("start()", 'start("--mistake", "more-data")')
    source = source.replace("sees_close()", 'sees_close(hint="An answer is one line.")')
    result = backend.run(source).only
    assert result["message"] == "The server sent 58 bytes more than it should have."
    assert result["why"] == "An answer is one line."


SLOW = {
    "never-flushes": ("The server did not print its ready line.", "fflush(stdout)"),
    "spins": ("The server sent nothing.", "It keeps the CPU busy."),
    "silent": ("The server sent nothing.", ""),
    "stays-open": ("The server keeps the connection open.", "the accepted descriptor is still open"),
}


def test_what_never_comes_is_waited_for_once_and_named(backend: Backend) -> None:
    source = "".join(
        GOOD.replace("test_hello", f"test_{name.replace('-', '_')}").replace("start()", f'start("--mistake", "{name}")')
        for name in SLOW
    )
    results = backend.run(source).results
    for name, (message, why) in SLOW.items():
        result = results[f"test_{name.replace('-', '_')}"]
        assert (result["outcome"], result["message"]) == ("fail", message)
        assert why in result["why"]


def test_a_response_is_said_to_be_wrong_where_it_is(backend: Backend) -> None:
    source = """
def test_status(server, tcp):
    server.start("--mistake", "not-found")
    peer = tcp.connect(server)
    peer.sends(b"GET / HTTP/1.1\\r\\n\\r\\n")
    peer.receives_response(200, body=b"yes\\n")

def test_body(server, tcp):
    server.start("--mistake", "not-found")
    peer = tcp.connect(server)
    peer.sends(b"GET / HTTP/1.1\\r\\n\\r\\n")
    peer.receives_response(404, body=b"yes\\n")
"""
    results = backend.run(source).results
    status, body = results["test_status"], results["test_body"]
    assert status["message"] == "The status is 404, where 200 was expected."
    assert status["steps"][-1]["text"] == "received HTTP/1.1 404 Not Found, not 200:"
    assert status["diff"] is None
    assert body["message"] == "The body is not what was expected."
    assert body["steps"][-1]["text"] == "received HTTP/1.1 404 Not Found:"
    assert body["diff"] == {"expected": b"yes\n".hex(), "received": b"no\n".hex()}


def test_what_is_shown_is_of_the_program_that_the_test_dealt_with_last(backend: Backend) -> None:
    source = """
def test_first(server):
    first = server.run("--bogus")
    server.run("--other")
    first.exits(0)

def test_second(server):
    first = server.run("--bogus")
    second = server.run("--other")
    first.exits(2)
    second.exits(0)
"""
    results = backend.run(source).results
    assert results["test_first"]["stderr"] == "subject: unknown option --bogus\n"
    assert results["test_second"]["stderr"] == "subject: unknown option --other\n"


def test_health_sees_a_descriptor_that_stays_open(backend: Backend) -> None:
    source = """
def test_a(server, tcp):
    server.start("--mistake", "leaks")
    peer = tcp.connect(server)
    peer.sends(b"x\\n")
    peer.receives(b"hello\\n")
"""
    result = backend.run(source).only
    assert result["message"] == "The server leaks 1 descriptor: still open after the test's peers have gone."
    assert "socket:[" in result["steps"][-1]["text"]


def test_health_sees_a_server_that_has_died_and_one_that_spins(backend: Backend) -> None:
    source = """
def test_dies(server, tcp):
    server.start("--mistake", "dies")
    tcp.connect(server).sends(b"x\\n")

def test_spins(server, tcp):
    server.start("--mistake", "spins")
    tcp.connect(server).sends(b"x\\n")
"""
    results = backend.run(source).results
    assert results["test_dies"]["message"] == "The server was killed by SIGSEGV."
    assert results["test_spins"]["message"] == "The server keeps the CPU busy while there is nothing to do."


def test_programs_that_end_by_themselves(backend: Backend) -> None:
    source = r"""
def test_good(server):
    program = server.run("--bogus")
    program.exits(2)
    assert program.prints_one_line(matching=r"subject: unknown option.*") == "subject: unknown option --bogus"
    assert program.stdout == ""

def test_status(server):
    server.run("--bogus").exits(0)

def test_line(server):
    program = server.run("--bogus")
    program.exits(2)
    program.prints_one_line("stdout")
"""
    results = backend.run(source).results
    assert results["test_good"]["outcome"] == "pass"
    assert results["test_status"]["message"] == "The program exited with status 2, where status 0 was expected."
    assert "unknown option --bogus" in results["test_status"]["why"]
    assert results["test_line"]["message"] == "The program did not print one line on stdout."


def test_the_end_after_sigterm(backend: Backend) -> None:
    source = """
def test_good(server, tcp):
    program = server.start()
    peer = tcp.connect(server)
    program.stops()
    tcp.refused(program)

def test_status(server):
    server.start("--mistake", "bad-exit").stops()

def test_never(server):
    server.start("--mistake", "ignores-sigterm").stops()

def test_signals(server, tcp):
    program = server.start()
    for _ in range(3):
        tcp.connect(server).closes()
    program.signals(signal.SIGTERM)
    program.exits(0, within=1)

def test_late(server):
    program = server.start()
    program.signals(signal.SIGTERM)
    program.exits(0, within=-1)  # whatever it takes is too long
"""
    results = backend.run(source).results
    assert results["test_good"]["outcome"] == "pass"
    assert results["test_signals"]["outcome"] == "pass"
    late = results["test_late"]["message"]
    assert re.fullmatch(r"The program ends 0\.\d s after SIGTERM, where -1 s are allowed\.", late)
    assert results["test_status"]["message"] == "The program exited with status 7, where status 0 was expected."
    assert results["test_never"]["message"] == "The server does not end within a second of SIGTERM."


def test_facts_about_a_program(backend: Backend) -> None:
    source = """
def test_a(server, tcp):
    program = server.start()
    assert program.address.kind == "tcp" and program.address.host == "0.0.0.0" and program.address.port > 0
    assert [each.fd for each in program.descriptors()] == [0, 1, 2, 3]
    assert [each.cloexec for each in program.descriptors()] == [False, False, False, True]
    program.settles()
    peer = tcp.connect(program)
    assert peer.remote.port == program.address.port
    peer.half_closes()
    assert peer.receives_to_end() == b""
    peer = tcp.connect(program)
    peer.resets()
    tcp.connect(program).closes()
    tcp.refused(program, port=1)
"""
    result = backend.run(source).only
    assert (result["outcome"], result["message"]) == ("pass", "")


def test_a_flood_on_stdout_neither_blocks_nor_passes(backend: Backend) -> None:
    result = backend.run(GOOD.replace("start()", 'start("--mistake", "floods")')).only
    assert result["outcome"] == "fail"
    assert result["message"] == "The server leaves 2 bytes unread: it has not accepted the connection."
    assert len(result["stdout"]) <= 8 << 10


def test_a_stream_that_has_ended_on_one_side_goes_on_on_the_other(backend: Backend) -> None:
    backend.programs.install("halves", HALF_CLOSER)
    source = """
def talk(server, tcp, *arguments):
    program = server.start(*arguments)
    peer = tcp.connect(program)
    peer.sees_close()
    peer.sends(b"x" * 5000)
    peer.stays_silent_until(program.has_read(peer))

def test_good(server, tcp):
    talk(server, tcp)

def test_resets(server, tcp):
    talk(server, tcp, "reset")

def test_host(server, tcp):
    program = server.start()
    assert server.host(4) == "127.0.0.1"
    tcp.refused(program, family=6)
"""
    results = backend.run(source, program="halves", floor=1.0).results
    assert (results["test_good"]["outcome"], results["test_good"]["message"]) == ("pass", "")
    assert results["test_resets"]["message"] == "The server reset the connection too early."
    assert (results["test_host"]["outcome"], results["test_host"]["message"]) == ("pass", "")


HALF_CLOSER = b"""#!/usr/bin/env python3
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("listening on tcp:127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    peer = listener.accept()[0]
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(10) and sys.argv[1:] != ["reset"]:
        pass
    peer.close()
"""


def test_a_flood_is_to_be_given_up(backend: Backend) -> None:
    backend.programs.install("takes", TAKER)
    source = """
def flood(server, tcp, mistake, at_most, within=None):
    peer = tcp.connect(server.start(mistake), receive_buffer=4096)
    peer.floods(b"12345", at_most, within=within)

def test_good(server, tcp):
    flood(server, tcp, "", 64 << 20)

def test_takes_all(server, tcp):
    flood(server, tcp, "all", 2 << 20)

def test_takes_none(server, tcp):
    flood(server, tcp, "none", 64 << 20)

def test_takes_long(server, tcp):
    flood(server, tcp, "all", 1 << 60, within=0.1)
"""
    results = backend.run(source, program="takes").results
    good, all_, none, long = (results[f"test_{name}"] for name in ("good", "takes_all", "takes_none", "takes_long"))
    assert (good["outcome"], good["message"]) == ("pass", "")
    assert re.search(r"A peer sent 2,\d+,\d+ bytes and read none of the answers; .* goes on reading", all_["message"])
    assert re.search(r"sent [\d,]+ bytes .* reads no more, but keeps the connection open", none["message"])
    assert re.search(r"sent [\d,]+ bytes .* goes on reading", long["message"])


# Checks as well that the flood is the data in its order, wherever the kernel has cut it.
TAKER = b"""#!/usr/bin/env python3
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server(("127.0.0.1", 0))
print("listening on tcp:127.0.0.1:%d" % listener.getsockname()[1], flush=True)
peer, mistake, count = listener.accept()[0], sys.argv[1], 0
while mistake == "none":
    signal.pause()
while count < 1 << 18 or mistake == "all":
    data = peer.recv(1 << 16)
    if not data:
        break
    assert data == (b"12345" * (1 << 14))[count % 5 :][: len(data)]
    count += len(data)
peer.close()
signal.pause()
"""


def test_silence_after_an_answer_does_not_wait_for_a_late_acknowledgement(backend: Backend) -> None:
    backend.programs.install("answers", ANSWERER)
    source = """
def test_a(server, tcp):
    program = server.start()
    peer = tcp.connect(program)
    for _ in range(20):
        peer.sends(b"x")
        peer.receives(b"ok")
        peer.stays_silent_until(program.has_read(peer))
"""
    result = backend.run(source, program="answers", floor=10.0).only
    assert (result["outcome"], result["message"]) == ("pass", "")
    assert result["seconds"] < 5.0, "one silence has cost a whole deadline"


ANSWERER = b"""#!/usr/bin/env python3
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server(("127.0.0.1", 0))
print("listening on tcp:127.0.0.1:%d" % listener.getsockname()[1], flush=True)
peer = listener.accept()[0]
while peer.recv(10):
    peer.send(b"ok")
peer.close()
signal.pause()
"""
