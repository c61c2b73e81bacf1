"""The fixture `unix`: peers of programs that listen on, or dial, a Unix socket in the server machine.

The peer is in the client machine as always; a relay in the server machine stands between TCP and the Unix socket.
"""

import itertools
import socket
import urllib.parse

from groundup_guest.listener import Caller, Listener, bound
from groundup_guest.peer import Peer
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.server import Server
from groundup_guest.settled_peer import SettledPeer
from groundup_guest.tcp import FAMILIES

NUMBERS = itertools.count(1)


class UnixCaller(SettledPeer, Caller):
    """A connection that the program has made to a Unix socket."""


class UnixListener(Listener):
    """A Unix socket of the server machine at which the test answers."""

    caller = UnixCaller
    scheme = "http+unix"

    def __init__(self, scene: Scene, end: socket.socket, path: str) -> None:
        self.path = path
        super().__init__(scene, end)

    @property
    def authority(self) -> str:
        """The path as the host of a URL has it: every byte that is not plain is percent-encoded, slashes too."""
        return urllib.parse.quote(self.path, safe="")

    def url(self, target: str = "/", host: str | None = None) -> str:
        """Return the URL of a target here."""
        return f"{self.scheme}://{self.authority if host is None else host}{target}"


class Unix:
    """The fixture. Its relays last until the test ends."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._paths: list[str] = []
        scene.closers.append(lambda: scene.host.server_later("relays_end"))

    def path(self, name: str) -> str:
        """Return a path for a socket, relative to the directory in which programs run: another one each time in a run.

        What a program leaves there, and its author is still to remove, is in the way of no other test.
        """
        self._paths.append(f"{name}{next(NUMBERS)}.sock")
        return self._paths[-1]

    def connect(self, program: Program | Server, *, hint: str = "") -> Peer:
        """Connect to a program that listens on a Unix socket."""
        owner = program.program if isinstance(program, Server) else program
        address = owner.address
        if address.kind != "unix":
            self._scene.steps.fail(
                "peer",
                f"expected to reach the server at a Unix socket, but it listens on {address.text}",
                "The server's ready line names no Unix socket.",
                hint,
            )
        if address.host not in self._paths:
            self._scene.steps.fail(
                "peer",
                f"expected to reach the server at {' or '.join(self._paths)}, but it listens on {address.text}",
                "The server's ready line names another path than it was told.",
                hint,
            )
        port = self._scene.host.server("relay", path=address.host)["port"]
        connection = socket.socket(FAMILIES[4], socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.settimeout(self._scene.deadlines.default)
        connection.connect((self._scene.settings.addresses[4], port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        peer = SettledPeer(self._scene, owner, connection)
        self._scene.closers.append(peer.close)
        self._scene.steps.add("peer", f"connected to {address.text}, by a relay in the server machine")
        return peer

    def is_full(self) -> str:
        """Let somebody listen at a path in the server machine who has no room for a connection; return the path."""
        path = self.path("full")
        self._scene.host.server("full_socket", path=path)
        self._scene.steps.program_is_client = True
        self._scene.steps.add("machine", f"somebody listens at unix:{path}, whose queue is full, and takes nobody")
        return path

    def listens(self) -> UnixListener:
        """Listen at a path in the server machine. The program is a client from now on."""
        own, path = self._scene.settings.own[4], self.path("peer")
        end = bound(4, own, 0)
        self._scene.host.server("relay", path=path, host=own, port=end.getsockname()[1])
        return UnixListener(self._scene, end, path)
