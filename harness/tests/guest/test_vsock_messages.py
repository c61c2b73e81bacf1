"""Messages as a test receives them; over a Unix socket, for no vsock of this machine's own is ever used."""

import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from groundup_guest.program import Program
from groundup_guest.scene import Deadlines, Host, Scene, Settings
from groundup_guest.steps import FailedError
from groundup_guest.vsock import Messages


class Subject:
    """What a failure says of the program."""

    def doing(self) -> str:
        return "It waits."

    last_words = doing


@pytest.fixture
def ends() -> Iterator[tuple[Messages, socket.socket]]:
    """The test's end, and the program's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    scene = Scene("test", cast(Host, None), Deadlines(floor=0.5, unit=0.0001), Settings("subject"))
    with ours, theirs:
        yield Messages(scene, cast(Program, Subject()), ours), theirs


def test_a_message_is_waited_for(ends: tuple[Messages, socket.socket]) -> None:
    messages, program = ends
    sender = threading.Timer(0.01, program.send, [b"one"])
    sender.start()
    messages.receives_message(b"one")
    sender.join()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (None, "A message of 3 bytes did not come back."),
        (b"", "A message of 3 bytes did not come back: the server ended its stream."),
        (b"on", "A message of 3 bytes did not come back as one."),
        (b"two", "A message of 3 bytes came back with other bytes."),
    ],
)
def test_what_came_instead_is_told(ends: tuple[Messages, socket.socket], sent: bytes | None, said: str) -> None:
    messages, program = ends
    if sent:
        program.send(sent)
    elif sent is not None:
        program.close()
    with pytest.raises(FailedError) as raised:
        messages.receives_message(b"one")
    assert (raised.value.message, raised.value.why) == (said, "It waits.")
