"""The fixture `trace`: which system calls a program has made, as the server machine's kernel recorded them."""

from dataclasses import dataclass

from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.server import Server


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: arguments decoded where they can be (`AF_INET6`), `…` for memory; result None while it waits."""

    pid: int
    t: float
    name: str
    args: tuple[str, ...]
    result: str | None
    text: str


class Trace:
    """The fixture."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def calls(self, program: Program | Server, *names: str) -> list[Call]:
        """Return the calls that a program has made since main(3) began; only those named, if any are."""
        owner = program.program if isinstance(program, Server) else program
        found = owner.call("syscalls", last=0)["lines"]
        return [
            Call(each["pid"], each["t"], each["name"], tuple(each["args"]), each["result"], each["text"])
            for each in found
            if not names or each["name"] in names
        ]
