"""Chapter 03's server and clients that nobody here wrote."""

import contextlib
import http.client
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import PATIENCE, Address, needs, run, serving


@pytest.fixture
def server(http_parse: Path, host: str, tmp_path: Path) -> Iterator[Address]:
    with serving(http_parse, tmp_path / "server.log", host=host) as address:
        yield address


@pytest.fixture
def data() -> bytes:
    """What a line would not survive: every byte, and more than a read brings."""
    return random.Random(4711).randbytes(300_000)


def curl(*arguments: str | Path, stdin: bytes = b"") -> tuple[bytes, str]:
    """Run curl; return what it printed, and what it says of the conversation."""
    finished = run(needs("curl", "curl"), "--silent", "--show-error", "--verbose", "--globoff", *arguments, stdin=stdin)
    assert finished.status == 0, finished.errors
    return finished.output, finished.errors


def test_curl_sends_chunks(server: Address, data: bytes) -> None:
    output, log = curl("--upload-file", "-", server.url("/echo"), stdin=data)
    assert output == data
    assert "> Transfer-Encoding: chunked" in log


def test_curl_waits_for_100_continue(server: Address, data: bytes) -> None:
    # Ten minutes are what curl waits before it sends the body uninvited: longer than `run` waits.
    arguments = ("--expect100-timeout", "600", "--header", "Expect: 100-continue", "--data-binary", "@-")
    output, log = curl(*arguments, server.url("/echo"), stdin=data)
    assert output == data
    assert log.index("< HTTP/1.1 100 Continue") < log.index("< HTTP/1.1 200 OK")


def test_curl_speaks_http_1_0(server: Address, data: bytes) -> None:
    output, log = curl("--http1.0", "--data-binary", "@-", server.url("/echo"), stdin=data)
    assert output == data
    assert "< Connection: close" in log


def test_curl_keeps_the_connection(server: Address) -> None:
    output, log = curl(*[server.url(path) for path in ("/", "/?again", "/")])
    assert output.count(b"hello from the ground up") == 3
    assert log.count("Connected to") == 1, log


def test_curl_sees_the_refusals(server: Address) -> None:
    form = "%{response_code} "
    cases: dict[str, list[str]] = {
        "404": ["/nowhere"],
        "405": ["/", "--request", "DELETE"],
        "501": ["/", "--request", "BREW"],
        "411": ["/echo", "--request", "POST"],
        "417": ["/echo", "--header", "Expect: tea"],
        "413": ["/echo", "--header", "Content-Length: 99999999999999999999", "--request", "POST"],
        "431": ["/", "--header", f"X: {'x' * 9000}"],
        "414": [f"/{'x' * 9000}"],
    }
    for status, (path, *arguments) in cases.items():
        output, _ = curl("--output", "/dev/null", "--write-out", form, *arguments, server.url(path))
        assert output.decode().strip() == status, (path, arguments)


def test_python_keeps_the_connection(server: Address, data: bytes) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.connect()
        sock = connection.sock
        for size in (0, 1, 4096, len(data)):
            connection.request("POST", "/echo", body=data[:size])
            assert connection.getresponse().read() == data[:size]
            # Without a length http.client sends chunks.
            connection.request("PUT", "/echo", body=_pieces(data[:size]))
            assert connection.getresponse().read() == data[:size]
            connection.request("HEAD", "/")
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"")
        assert connection.sock is sock


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut data into pieces of growing size."""
    at = 0
    while at < len(data):
        size = 1 + at // 3
        yield data[at : at + size]
        at += size


def test_pipelined_requests_are_answered_in_their_order(server: Address) -> None:
    count = 200
    asked = b"".join(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(str(n)), str(n).encode())
        for n in range(count)
    )
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as peer:
        peer.sendall(asked)
        peer.shutdown(socket.SHUT_WR)
        with peer.makefile("rb") as stream:
            for n in range(count):
                status = stream.readline()
                length = int(http.client.parse_headers(stream)["Content-Length"])
                assert (status, stream.read(length)) == (b"HTTP/1.1 200 OK\r\n", str(n).encode())
            assert stream.read() == b""


@pytest.mark.parametrize(("what", "path"), [("chunks", "/echo"), ("waits", "/echo"), ("reuses", "/")])
def test_go(go_client: Path, server: Address, what: str, path: str) -> None:
    finished = run(go_client, what, server.url(path))
    assert finished.status == 0, finished.errors
