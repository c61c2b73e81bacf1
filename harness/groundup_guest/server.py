"""The fixture `server`: starts programs in the server machine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from groundup_guest.address import Address
from groundup_guest.conditions import Condition
from groundup_guest.directory import Directory
from groundup_guest.launch import CANNOT_RUN
from groundup_guest.program import Program
from groundup_guest.rpc import Body, RpcError
from groundup_guest.scene import Scene
from groundup_guest.steps import InfraError

if TYPE_CHECKING:
    from groundup_guest.peer import Peer


class Server:
    """The fixture: starts programs. What it starts is ended when the test is over."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._directories = 0

    @property
    def program(self) -> Program:
        """The program that was started last."""
        assert self._scene.programs, "server.start has not been called"
        return self._scene.programs[-1]

    @property
    def address(self) -> Address:
        """Where the program that was started last listens."""
        return self.program.address

    def directory(self, contents: Mapping[str, bytes] | None = None) -> Directory:
        """Make a directory of files in the program's home, which is its current directory; `contents` by their paths.

        It is removed when the test is over.
        """
        self._directories += 1
        return Directory(self._scene, f"files{self._directories}", contents or {})

    def host(self, family: int) -> str:
        """Return the server machine's address: of IPv4 (family 4) or of IPv6 (6)."""
        return self._scene.settings.addresses[family]

    def start(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        inject: str | None = None,
        privileged: bool = True,
        hint: str = "",
    ) -> Program:
        """Start the chapter's server and expect its ready line.

        `env` is added to its environment; `inject` makes system calls fail, in the words of strace(1)'s `-e inject=`.
        Where it is not `privileged`, it has no capability, and may not use ports below 1024.
        """
        patience = self._scene.deadlines.default
        rest = {"privileged": privileged, "ready": True, "deadline": patience}
        argv, started = self._start(arguments, env, inject, rest)
        program = Program(self._scene, argv, started, serves=True)
        self._scene.programs.append(program)
        program.become_ready(started, patience, hint)
        return program

    def run(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        inject: str | None = None,
        privileged: bool = True,
    ) -> Program:
        """Start a program that is to end by itself; no ready line is expected."""
        rest = {"privileged": privileged, "ready": False, "deadline": self._scene.deadlines.default}
        argv, started = self._start(arguments, env, inject, rest)
        program = Program(self._scene, argv, started, serves=False)
        self._scene.programs.append(program)
        self._scene.steps.add("server", f"started: ./{' '.join(argv)}")
        return program

    def _start(
        self, arguments: tuple[str, ...], env: dict[str, str] | None, inject: str | None, rest: dict[str, Any]
    ) -> tuple[list[str], Body]:
        argv = [self._scene.settings.program, *map(str, arguments)]
        params: dict[str, Any] = {"argv": argv, **rest}
        if env:
            params["env"] = env
        if inject:
            params["inject"] = inject
        try:
            started = self._scene.host.server("start", **params)
        except InfraError as error:
            if isinstance(error.__cause__, RpcError) and error.__cause__.message.startswith(CANNOT_RUN):
                self._scene.steps.fail("server", error.__cause__.message, "The program cannot be started.")
            raise
        if not rest["privileged"]:
            self._scene.steps.add("server", "is started as an ordinary user, without any capability")
        if inject:
            self._scene.steps.add("server", "is run under strace, which makes calls fail", f"-e inject={inject}")
        return argv, started

    def has_read(self, peer: "Peer") -> Condition:
        """Return the condition that the program started last has read all that `peer` sent, and waits again."""
        return self.program.has_read(peer)

    def waits_for_next(self) -> Condition:
        """Return the condition that the program started last waits."""
        return self.program.waits_for_next()
