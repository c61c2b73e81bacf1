"""Messages as a test receives them; over a Unix socket, for no vsock of this machine's own is ever used."""

import socket
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


class Late(socket.socket):
    """A socket whose first message is not whole yet when poll(2) says that there is one."""

    calls = 0

    def recv(self, *arguments: int) -> bytes:
        self.calls += 1
        if self.calls == 1:
            raise BlockingIOError
        return super().recv(*arguments)


@pytest.fixture
def ends() -> Iterator[tuple[Messages, socket.socket]]:
    """The test's end, and the program's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    late = Late(fileno=ours.detach())
    late.setblocking(False)
    scene = Scene("test", cast(Host, None), Deadlines(floor=0.05, unit=0.0001), Settings("subject"))
    with late, theirs:
        yield Messages(scene, cast(Program, Subject()), late), theirs


def test_a_message_that_is_not_whole_yet_is_waited_for(ends: tuple[Messages, socket.socket]) -> None:
    messages, program = ends
    program.send(b"one")
    messages.receives_message(b"one")


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
