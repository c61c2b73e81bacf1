"""Where the program under test is a client, the test plays the server: a listening socket, and those who call."""

import select
import socket
import time
from collections.abc import Iterable, Mapping

from groundup_guest import http, mistakes
from groundup_guest.address import Address, of_socket
from groundup_guest.http import Request
from groundup_guest.peer import Peer
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.steps import count, preview, said

LOOK_SECONDS = 0.1
"""How often it is asked whether a program that has not connected yet still runs."""
BACKLOG = 16


class Caller(Peer):
    """A connection that the program has made: a peer like any other, which also understands requests."""

    def receives_request(
        self,
        method: str = "GET",
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        hint: str = "",
    ) -> Request:
        """Expect the head of one HTTP request and return it; `headers` as in `receives_response`."""
        try:
            request = self._read_request(hint)
        except http.MalformedError as error:
            self._scene.steps.fail(
                "peer",
                f"expected a request, but received {count(len(self._stream.buffer), 'byte')}:",
                error.message,
                hint or error.why,
                detail=preview(bytes(self._stream.buffer), 400),
            )
        line = f"{request.method} {request.target} HTTP/{request.version}"
        if problem := request.difference(method, target, headers or {}):
            detail = preview(request.raw_head, 600)
            self._scene.steps.fail("peer", f"expected another request than {line[:80]}:", problem, hint, detail=detail)
        self._scene.steps.add("peer", "received a request", line)
        return request

    def sends_cut(self, data: bytes, cuts: Iterable[int], *, hint: str = "") -> None:
        """Send bytes in pieces that begin at `cuts`: before each the program has read all so far, and said nothing."""
        steps, at = self._scene.steps, 0
        shown = len(steps.steps)
        places = sorted(set(cuts) - {0, len(data)})
        for cut in places:
            self.sends(data[at:cut], of=data, hint=hint)
            self.stays_silent_until(self._program.has_read(self), hint=hint)
            at = cut
        self.sends(data[at:], of=data, hint=hint)
        del steps.steps[shown:]  # one act for a reader
        steps.add("peer", f"sent {count(len(data), 'byte')} in {len(places) + 1} pieces", preview(data))

    def sends_bytes(self, data: bytes) -> None:
        """Send bytes in segments of one each, as fast as they go."""
        steps = self._scene.steps
        shown = len(steps.steps)
        for at in range(len(data)):
            self.sends(data[at : at + 1], of=data)
        del steps.steps[shown:]
        steps.add("peer", f"sent {count(len(data), 'byte')}, each in a segment of its own", preview(data))

    def _read_request(self, hint: str) -> Request:
        deadline = time.monotonic() + self._scene.deadlines.default
        while not (length := http.head_length(bytes(self._stream.buffer))):
            if not self._stream.fill(deadline):
                self._fail_request(hint)
        request = http.parse_request(bytes(self._stream.buffer[:length]))
        del self._stream.buffer[:length]
        return request

    def _fail_request(self, hint: str) -> None:
        data = bytes(self._stream.buffer)
        then = {"eof": "closed the connection", "reset": "reset the connection", "": "sent nothing more"}
        amount = count(len(data), "byte")
        guess = "Every line of the head ends in \\r\\n, the blank one too (RFC 9112, section 2.1)." if data else ""
        self._scene.steps.fail(
            "peer",
            f"expected a request, but the program {then[self._stream.end]} after {amount}" + (":" if data else ""),
            f"The program {then[self._stream.end]} before its request was whole: {amount} came.",
            self._why(hint, guess),
            detail=preview(data, 400),
        )


def bound(family: int, host: str, port: int) -> socket.socket:
    """Return a TCP socket that is bound to an address of family 4 or 6."""
    end = socket.socket({4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    end.bind((host, port))
    return end


class Listener:
    """A listening socket of this machine. It owns the socket, which has its address already."""

    caller: type[Caller] = Caller
    scheme = "http"

    def __init__(self, scene: Scene, end: socket.socket) -> None:
        self._scene = scene
        self._socket = end
        end.listen(BACKLOG)
        end.setblocking(False)
        self.address = self._address(of_socket(end, end.getsockname()))
        self.host, self.port = self.address.host, self.address.port
        scene.closers.append(end.close)
        scene.steps.program_is_client = True
        scene.steps.add("peer", f"listens on {self.authority}")

    def _address(self, name: Address) -> Address:
        """Return the address under which a program reaches a socket of this name."""
        return name

    @property
    def authority(self) -> str:
        """The address as a URL has it: `192.0.2.2:8080`, `[2001:db8::2]:8080`."""
        return self.address.text.partition(":")[2]

    def url(self, target: str = "/", host: str | None = None) -> str:
        """Return the URL of a target here, under this address or another name for it."""
        return f"{self.scheme}://{self.authority if host is None else f'{host}:{self.port}'}{target}"

    def accepts(self, program: Program, *, hint: str = "") -> Caller:
        """Expect the program to connect; return this end of the connection."""
        if not self._somebody_comes(program):
            self._fail_nobody(program, hint)
        connection, _ = self._socket.accept()
        connection.setblocking(False)
        if connection.family in (socket.AF_INET, socket.AF_INET6):  # each send is a segment, as tests cut them
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = self.caller(self._scene, program, connection)
        self._scene.closers.append(peer.close)
        self._scene.steps.add("peer", f"accepted a connection from {peer.remote.text.partition(':')[2]}")
        return peer

    def sees_nobody(self, *, hint: str = "") -> None:
        """Expect that nobody has connected (any more). Certain once the program has ended."""
        if self._ready(0):
            where = f"a connection to {self.authority}"
            self._scene.steps.fail(
                "peer",
                f"expected nobody, but there is {where}",
                f"The program made {where}, and should not have.",
                hint,
            )
        self._scene.steps.add("peer", f"nobody has connected to {self.authority}")

    def closes(self) -> None:
        """Listen no more: from now on this port refuses connections."""
        self._socket.close()
        self._scene.steps.add("peer", f"listens on {self.authority} no more: connections are refused")

    def _ready(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def _somebody_comes(self, program: Program) -> bool:
        deadline = time.monotonic() + self._scene.deadlines.default
        while not self._ready(LOOK_SECONDS):
            ended = program.call("wait", deadline=0)["exit"] is not None
            if ended or time.monotonic() > deadline:
                return self._ready(0)
        return True

    def _fail_nobody(self, program: Program, hint: str) -> None:
        exit_ = program.call("wait", deadline=0)["exit"]
        quoted = said(program.stderr)
        then = f"it {mistakes.ending(exit_)}" if exit_ else "it still runs"
        words = f"It said: {quoted}" if quoted else program.doing()
        self._scene.steps.fail(
            "peer",
            f"expected a connection to {self.authority}, but nobody came: {then}",
            f"The program did not connect to {self.authority}: {then}.",
            f"{hint} {words}".strip(),
        )
