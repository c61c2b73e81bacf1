"""The fixture `trace`: what a program has called, and what the kernel did for it, as the server machine recorded it."""

from collections import Counter
from dataclasses import dataclass

from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.server import Server
from groundup_guest.steps import InfraError


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: arguments decoded where they can be (`AF_INET6`), `…` for memory; result None while it waits."""

    pid: int
    t: float
    name: str
    args: tuple[str, ...]
    result: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Function:
    """One call of a kernel function, made in a system call (its text, empty if in none), and the way to it, if kept."""

    name: str
    caller: str
    system_call: str
    stack: tuple[str, ...]


class Kernel:
    """The functions of the kernel that are recorded for the programs started since."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def calls(self, program: Program | Server, system_call: str = "") -> list[Function]:
        """Return the calls that were made for a program, in order; only those in one kind of system call, if named."""
        owner = program.program if isinstance(program, Server) else program
        found = owner.call("functions")
        if found["lost"]:
            raise InfraError("the kernel had no room for all functions that it was to record: ask for fewer")
        texts = [*map(str, found["system_calls"]), ""]  # the last one is that of the index -1
        return [
            Function(name, caller, texts[index], tuple(stack))
            for index, name, caller, stack in found["calls"]
            if not system_call or texts[index].partition("(")[0] == system_call
        ]

    def counts(self, program: Program | Server, system_call: str = "") -> Counter[str]:
        """Return how often each function was called for a program."""
        return Counter(call.name for call in self.calls(program, system_call))


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

    def kernel(self, *patterns: str, stacks: bool = False) -> Kernel:
        """Record, for programs started from now on, the kernel's functions whose names fit a pattern (`udp_*`).

        It takes the kernel a second or so to begin with it. It ends with the test.
        """
        self._scene.host.server("arm", patterns=list(patterns), stacks=stacks)
        self._scene.closers.append(lambda: self._scene.host.server_later("disarm"))
        self._scene.steps.add("machine", f"records the kernel's functions {', '.join(patterns)}")
        return Kernel(self._scene)
