"""The relay between TCP and Unix sockets: bytes, ends and resets go through, in both directions."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup_guest.address import of_socket, parse
from groundup_guest.programs import ProgramError
from groundup_guest.relay import Relays

SECONDS = 10


@pytest.fixture
def known() -> list[int]:
    """The processes that were told of."""
    return []


@pytest.fixture
def relays(tmp_path: Path, known: list[int]) -> Iterator[Relays]:
    """Relays in a home of their own."""
    found = Relays(tmp_path, known.append)
    yield found
    found.relays_end()


def unix_server(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(SECONDS)
    return listener


def through(relays: Relays, home: Path) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection through a relay: over TCP, and at a Unix socket."""
    with unix_server(home / "s") as listener:
        port = relays.relay(path="s")["port"]
        near = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        far = listener.accept()[0]
        far.settimeout(SECONDS)
    return near, far


def test_bytes_and_ends_go_through(relays: Relays, tmp_path: Path, known: list[int]) -> None:
    near, far = through(relays, tmp_path)
    assert len(known) == 1
    with near, far:
        near.sendall(b"question")
        assert far.recv(100) == b"question"
        near.shutdown(socket.SHUT_WR)
        assert far.recv(100) == b""
        far.sendall(b"answer")
        far.close()
        assert near.recv(100) == b"answer"
        assert near.recv(100) == b""


def test_a_full_socket_has_no_room(relays: Relays, tmp_path: Path) -> None:
    relays.full_socket(path="f")
    with socket.socket(socket.AF_UNIX) as end:
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.connect(str(tmp_path / "f"))
        relays.relays_end()
        assert not (tmp_path / "f").exists()


def test_a_reset_goes_through(relays: Relays, tmp_path: Path) -> None:
    near, far = through(relays, tmp_path)
    with far:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
        with contextlib.suppress(ConnectionResetError):  # a Unix socket knows one only if something was unread
            assert far.recv(100) == b""


def test_where_nobody_listens_the_peer_is_reset(relays: Relays) -> None:
    port = relays.relay(path="nobody")["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as near, pytest.raises(ConnectionResetError):
        near.recv(100)


def test_it_listens_at_a_path(relays: Relays, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        relays.relay(path="p", host="127.0.0.1", port=listener.getsockname()[1])
        with socket.socket(socket.AF_UNIX) as near:
            near.settimeout(SECONDS)
            near.connect(str(tmp_path / "p"))
            near.sendall(b"hello")
            far = listener.accept()[0]
            with far:
                assert far.recv(100) == b"hello"
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o666
    relays.relays_end()
    assert not (tmp_path / "p").exists()


def test_nothing_is_left(relays: Relays, known: list[int]) -> None:
    relays.relay(path="a")
    relays.relay(path="b", host="127.0.0.1", port=1)
    relays.relays_end()
    for pid in known:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_path_that_does_not_fit_is_refused(relays: Relays) -> None:
    with pytest.raises(ProgramError, match="too long"):
        relays.relay(path="x" * 108)
    for path in ("/run/x", "../x", "a/../../x"):
        with pytest.raises(ProgramError, match="elsewhere"):
            relays.relay(path=path)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (f"vsock:{(1 << 32) - 1}:{(1 << 32) - 1}", True),
        (f"vsock:3:{1 << 32}", False),
        (f"vsock:{1 << 32}:3", False),
        ("unix:" + "x" * 107, True),
        ("unix:" + "x" * 108, False),
        ("tcp:192.0.2.1:65536", False),
    ],
)
def test_an_address_that_nobody_could_have_is_none(text: str, good: bool) -> None:
    found = parse(text)
    assert (found is not None) == good
    assert found is None or found.text == text


def test_addresses_of_sockets(tmp_path: Path) -> None:
    with unix_server(tmp_path / "s") as listener:
        assert of_socket(listener, listener.getsockname()).text == f"unix:{tmp_path / 's'}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert of_socket(listener, listener.getsockname()).text == f"tcp:127.0.0.1:{listener.getsockname()[1]}"
