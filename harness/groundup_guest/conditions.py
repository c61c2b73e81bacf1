"""What a test waits for, or finds, in a program."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundup_guest.peer import Peer
    from groundup_guest.program import Program


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One open descriptor of a program: its number, what it refers to, whether execve(2) closes it."""

    fd: int
    target: str
    cloexec: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """Something about a program that `peer.stays_silent_until` waits for."""

    program: "Program"
    peer: "Peer | None"
    text: str
