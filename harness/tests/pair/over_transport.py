"""Chapter 05's fixtures over another transport: for its tests, in the client machine, with chapter 09's server.

Its calls stay as they are: `server.start("--port", "0", …)` listens at an address of the transport that the file
`transport.py` names, and `tcp.connect(program)` connects to it.
"""

from typing import Any

import pytest
from conn_stage import any_address
from transport import KIND

from groundup_guest.scene import Scene
from groundup_guest.testing import Program, Server, Tcp, Unix, Vsock


class Elsewhere(Server):
    """Starts programs at an address of the transport where a port is asked for."""

    def __init__(self, scene: Scene, unix: Unix) -> None:
        super().__init__(scene)
        self._unix = unix

    def start(self, *arguments: str, **options: Any) -> Program:
        return super().start(*self._translated(arguments), **options)

    def run(self, *arguments: str, **options: Any) -> Program:
        return super().run(*self._translated(arguments), **options)

    def _translated(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        if arguments[:2] != ("--port", "0"):
            return arguments
        return ("--listen", any_address(KIND, self._unix), *arguments[2:])


@pytest.fixture
def server(scene: Scene, unix: Unix) -> Server:
    return Elsewhere(scene, unix)


@pytest.fixture
def tcp(tcp: Tcp, unix: Unix, vsock: Vsock) -> Tcp | Unix | Vsock:
    return {"tcp": tcp, "unix": unix, "vsock": vsock}[KIND]
