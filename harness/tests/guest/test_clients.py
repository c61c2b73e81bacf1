"""Programs that are clients: a test listens, looks at what they ask, write and leave behind, and expects their end."""

import re
import shutil
from pathlib import Path

import pytest

from groundup_guest.programs import ProgramError
from groundup_guest.surroundings import FILE_BYTES, Surroundings
from tests.guest.backend import Backend

CALLER = rb"""#!/usr/bin/python3
import os, socket, sys, time

def main(what, port="0"):
    if what == "connects-not":
        sys.exit("caller: no")
    if what == "sleeps":
        time.sleep(60)
    connection = socket.create_connection(("127.0.0.1", int(port)))
    if what == "asks-nonsense":
        connection.sendall(b"GET / HTTP/1.1\nHost: a\n\r\n\r\n")
    elif what == "asks-half":
        connection.sendall(b"GET / HT")
        connection.shutdown(socket.SHUT_WR)
    else:
        connection.sendall(b"GET /a?b HTTP/1.1\r\nHost: there\r\nX: 1\r\nX: 2\r\n\r\n")
    data = b""
    while part := connection.recv(4096):
        data += part
        if what == "gives-up" and len(data) > 6:
            break
        if what == "answers":
            connection.sendall(b"too early")
    if what == "stays":
        time.sleep(60)
    with open("out", "wb") as file:
        file.write(data)
    os.write(1, data)

main(*sys.argv[1:])
"""
GOOD = r"""
def test_caller(server, tcp, machine):
    machine.hosts({"there.example": ["127.0.0.1", "::1"]})
    listener = tcp.listens()
    program = server.run("WHAT", str(listener.port))
    peer = listener.accepts(program)
    request = peer.receives_request(target="/a?b", headers={"host": "there", "x": "1, 2"})
    assert request.header("Y") is None
    peer.sends_cut(bytes(range(256)), [1, 2, 250])
    peer.closes()
    program.exits(0)
    program.wrote(bytes(range(256)))
    assert 0 < program.seconds < 60
    assert machine.file("out").content == bytes(range(256))
    assert machine.file("missing") is None
    assert "out" in machine.files()
    listener.sees_nobody()
"""


@pytest.fixture
def caller(backend: Backend) -> Backend:
    """A backend with a client that does what its first argument says."""
    backend.programs.install("caller", CALLER)
    return backend


def run(caller: Backend, what: str, source: str = GOOD) -> dict[str, object]:
    return caller.run(source.replace("WHAT", what), program="caller").only


def test_a_good_client_passes(caller: Backend) -> None:
    result = run(caller, "fetches")
    assert (result["outcome"], result["message"]) == ("pass", "")


MISTAKES = {
    "connects-not": (r"The program did not connect to 127.0.0.1:\d+: it exited with status 1.", "It said: caller: no"),
    "asks-nonsense": (r"A line of the request's head ends in a bare", "RFC 9112, section 2.2"),
    "asks-half": (r"The program closed the connection before its request was whole: 8 bytes came.", ""),
    "answers": (r"The program answered after \d+ of 256 bytes.", "One read"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_clients_mistake_is_named(caller: Backend, mistake: str) -> None:
    result = run(caller, mistake)
    message, why = MISTAKES[mistake]
    assert result["outcome"] == "fail"
    assert re.match(message, str(result["message"])), result["message"]
    assert why in str(result["why"])


def test_the_steps_speak_of_a_program_not_of_a_server(caller: Backend) -> None:
    result = run(caller, "answers")
    steps: list[dict[str, str]] = result["steps"]  # type: ignore[assignment]
    assert {step["actor"] for step in steps} == {"machine", "peer", "program"}
    assert not any("the server" in step["text"] for step in steps)


def test_what_a_client_asked_and_wrote_is_compared(caller: Backend) -> None:
    result = run(caller, "fetches", GOOD.replace('"/a?b", h', '"/other", h'))
    assert result["message"] == "The request's target is `/a?b`, where `/other` was expected."
    result = run(caller, "fetches", GOOD.replace('"host": "there"', '"accept": "*"'))
    assert result["message"] == "The request has no Accept field."
    result = run(caller, "fetches", GOOD.replace("wrote(bytes(range(256)))", "wrote(bytes(range(255)))"))
    assert result["message"] == "On stdout 255 bytes were expected, but the program wrote 256."
    result = run(caller, "fetches", GOOD.replace("wrote(bytes(range(256)))", 'wrote(b"\\0\\1x")'))
    assert result["message"] == "On stdout 3 bytes were expected, but the program wrote other bytes, from offset 2 on."


def test_a_client_that_runs_on_is_no_good_health(caller: Backend) -> None:
    source = """
def test_runs_on(server, tcp):
    listener = tcp.listens()
    listener.accepts(server.run("stays", str(listener.port))).receives_request()
"""
    result = run(caller, "", source)
    assert result["message"] == "The program runs on after the test's end of the connection was closed."


def test_a_drip_is_to_be_given_up(caller: Backend) -> None:
    source = """
def drip(server, tcp, what):
    listener = tcp.listens()
    peer = listener.accepts(server.run(what, str(listener.port)))
    peer.receives_request()
    peer.drips(b"abc" * 5000, 0.2, piece=3)
    assert peer.sent >= 9 and peer.sent % 3 == 0

def test_gives_up(server, tcp):
    drip(server, tcp, "gives-up")

def test_takes_all(server, tcp):
    drip(server, tcp, "fetches")
"""
    results = caller.run(source, program="caller").results
    assert (results["test_gives_up"]["outcome"], results["test_gives_up"]["message"]) == ("pass", "")
    message = results["test_takes_all"]["message"]
    assert re.match(r"The program lets [\d,]+ bytes that come in pieces of 3 hold it up for longer", message), message


def test_signals_names_and_refused_ports(caller: Backend) -> None:
    source = """
def test_dies(server, tcp):
    program = server.run("sleeps")
    program.signals(signal.SIGTERM)
    program.dies_of(signal.SIGTERM)

def test_lives(server, tcp):
    server.run("sleeps").dies_of(signal.SIGTERM, within=0.01)

def test_refused(server, tcp):
    listener = tcp.listens(6)
    assert listener.url("/x").startswith("http://[::1]:")
    assert listener.url("/x", "there") == f"http://there:{listener.port}/x"
    listener.closes()
    program = server.run("fetches", str(listener.port))
    program.exits(1)

def test_somebody(server, tcp):
    listener = tcp.listens()
    program = server.run("asks-half", str(listener.port))
    program.settles()
    listener.sees_nobody()
"""
    results = caller.run(source, program="caller").results
    assert results["test_dies"]["outcome"] == "pass"
    assert results["test_lives"]["message"] == "The program still runs 0.01 s after it."
    assert results["test_refused"]["outcome"] == "pass"
    assert "should not have" in results["test_somebody"]["message"]


def test_a_client_whose_reader_has_gone(caller: Backend) -> None:
    source = """
def test_reader(server, tcp):
    listener = tcp.listens()
    program = server.run("fetches", str(listener.port))
    peer = listener.accepts(program)
    peer.receives_request()
    program.loses_its_reader()
    peer.sends(b"hello")
    peer.closes()
    assert program.ends()["status"] == 1
    assert "Broken pipe" in program.stderr
    program.wrote(b"")

def test_never(server):
    server.run("sleeps").ends()
"""
    results = caller.run(source, program="caller").results
    assert results["test_reader"]["outcome"] == "pass", results["test_reader"]["message"]
    assert results["test_never"]["message"] == "The program does not end."


def test_names_last_as_long_as_the_test(caller: Backend) -> None:
    surroundings = caller.surroundings
    surroundings.hosts({"a.example": ["192.0.2.9", "2001:db8::9"]})
    path = surroundings._hosts
    assert path.read_text() == "127.0.0.1 localhost\n192.0.2.9 a.example\n2001:db8::9 a.example\n"
    run(caller, "fetches")
    assert path.read_text() == "127.0.0.1 localhost\n"


def test_only_regular_files_of_the_home_are_read(caller: Backend) -> None:
    surroundings: Surroundings = caller.surroundings
    home = caller.programs._confinement.home
    (home / "link").symlink_to("/etc/passwd")
    (home / "large").write_bytes(bytes(FILE_BYTES + 1))
    assert surroundings.file("link") == ({"exists": False, "mode": 0}, b"")
    assert surroundings.file("large")[1] == bytes(FILE_BYTES)
    assert surroundings.files() == {"names": ["caller", "large", "link", "subject"]}
    for name in ("", "..", "../x", "a/b"):
        with pytest.raises(ProgramError, match="is not the name of a file"):
            surroundings.file(name)


@pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip(8)")
def test_an_address_that_the_machine_does_not_take(tmp_path: Path) -> None:
    surroundings = Surroundings(tmp_path, tmp_path / "hosts")
    for address, length in (("192.0.2.9", 24), ("2001:db8::9", 64)):
        with pytest.raises(ProgramError, match=f"ip address add {address}/{length} dev nowhere.*: .+"):
            surroundings.address(address, "nowhere", present=True)
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        surroundings.address("nowhere", "lo", present=True)
