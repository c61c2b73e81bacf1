"""The fixture `vsock`: peers that talk to the program over vsock, from the client machine, or are called by it.

The other half of it is on the host, which carries the packets: it can disturb them, and play the hypervisor's end.
"""

import errno
import select
import socket
import struct
import time
from typing import Any

from groundup_guest import mistakes
from groundup_guest.address import Address
from groundup_guest.listener import Caller, Listener
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.server import Server
from groundup_guest.settled_peer import SettledPeer
from groundup_guest.steps import count, preview

HOST, SERVER, CLIENT = 2, 3, 4
"""The CIDs of the machines of a run, and of their host."""
ANY = 0xFFFFFFFF
"""VMADDR_CID_ANY and VMADDR_PORT_ANY."""
MOST = 1 << 16
SO_VM_SOCKETS_CONNECT_TIMEOUT = 6
"""<linux/vm_sockets.h>: the kernel itself gives a connection up after two seconds, and busy machines need more."""


class VsockPeer(SettledPeer):
    """A vsock connection."""

    def exchanges(self, data: bytes, *, ends: bool = True, hint: str = "") -> None:
        """Send bytes and expect the same ones back, meanwhile; with `ends` half-close after them, and see the end."""
        began, stream = time.monotonic(), self._stream
        patience, rest = self._scene.deadlines.default, memoryview(data)
        deadline, shut = began + patience, False
        while len(stream.buffer) < len(data) or (ends and not stream.end):
            if not rest and ends and not shut:
                stream.socket.shutdown(socket.SHUT_WR)
                shut = True
            if not stream.wait(select.POLLIN | (select.POLLOUT if rest else 0), deadline):
                break
            moved = 0
            if rest:
                try:
                    moved = stream.socket.send(rest[:MOST])
                except BlockingIOError:
                    moved = 0
                except OSError as error:
                    self._fail_exchange(data, len(data) - len(rest), f"then: {error.strerror}", hint)
                rest = rest[moved:]
                self.sent += moved
            if stream.fill(time.monotonic()) or moved:
                deadline = time.monotonic() + patience
            elif stream.end and len(stream.buffer) < len(data):
                break
        received = bytes(stream.buffer)
        if received != data or (ends and not stream.end):
            then = "then the end" if stream.end else "then nothing more"
            self._fail_exchange(data, len(data) - len(rest), then, hint)
        stream.buffer.clear()
        what = "sent and received" if not ends else "sent, half-closed, and received to the end"
        self._scene.steps.add("peer", f"{what} the same {count(len(data), 'byte')}", preview(data))

    def _fail_exchange(self, data: bytes, sent: int, then: str, hint: str) -> None:
        received = bytes(self._stream.buffer)
        same = data.startswith(received)
        at = mistakes.first_difference(data, received)
        what = f"{len(received):,} came back" if same else f"others came back, from offset {at:,} on"
        message = (
            f"The server sent back {len(received):,} of {count(len(data), 'byte')}."
            if same and len(received) < len(data)
            else "The server sent back other bytes than it was sent."
            if not same
            else "The server does not end its stream after the peer has ended its own."
        )
        self._scene.steps.fail(
            "peer",
            f"sent {sent:,} of {count(len(data), 'byte')} and expected the same, but {what}, {then}",
            message,
            self._why(hint, "" if same else mistakes.compare(data, received)),
        )


def _limit(end: socket.socket, level: int, option: int, seconds: float) -> None:
    """Set an option of a socket that is a struct timeval."""
    whole, rest = divmod(seconds, 1)
    # On a socket of AF_VSOCK Python sets numbers alone; what it takes for another family's may have any bytes.
    view = socket.socket(socket.AF_UNIX, end.type, fileno=end.fileno())
    try:
        view.setsockopt(level, option, struct.pack("ll", int(whole), int(rest * 1e6)))
    finally:
        view.detach()


class Messages(VsockPeer):
    """A connection of SOCK_SEQPACKET: what is sent and received are messages."""

    def echoes(self, message: bytes, *, hint: str = "") -> None:
        """Send one message and expect it back, as one."""
        self.sends(message, hint=hint)
        self.receives_message(message, hint=hint)

    def receives_message(self, message: bytes, *, hint: str = "") -> None:
        """Expect exactly this message next."""
        received, size = self._next_message(), count(len(message), "byte")
        if received == message:
            self._scene.steps.add("peer", f"received a message of {size}", preview(message))
            return
        if received is None:
            found, what = "nothing came", f"A message of {size} did not come back."
        elif not received:
            found, what = "the stream ended", f"A message of {size} did not come back: the server ended its stream."
        elif len(received) != len(message):
            found, what = f"received one of {len(received):,}", f"A message of {size} did not come back as one."
        else:
            found, what = "received another", f"A message of {size} came back with other bytes."
        self._scene.steps.fail("peer", f"expected a message of {size}, but {found}", what, self._why(hint))

    def _next_message(self) -> bytes | None:
        """Wait for a message; return it, nothing at the stream's end, None if neither comes.

        It is recv(2) that waits: poll(2) sees a message's first bytes, and recv(2) gives it out when it is whole.
        """
        end = self._stream.socket
        _limit(end, socket.SOL_SOCKET, socket.SO_RCVTIMEO, self._scene.deadlines.default)
        end.setblocking(True)
        try:
            return end.recv(2 * MOST)
        except BlockingIOError:  # EAGAIN: the time is up (socket(7), SO_RCVTIMEO)
            return None
        finally:
            end.setblocking(False)


class Crowd:
    """Many connections to one program, made at once, each with a line of its own sent and its stream ended."""

    def __init__(self, scene: Scene, program: Program, ends: list[socket.socket]) -> None:
        self._scene = scene
        self._program = program
        self._ends = ends

    def gets_its_bytes_back(self, *, hint: str = "") -> None:
        """Expect from each connection its own line, and the end."""
        for number, end in enumerate(self._ends):
            end.settimeout(self._scene.deadlines.default)
            received, line = b"", _line(number)
            try:
                while len(received) <= len(line) and (data := end.recv(MOST)):
                    received += data
            except OSError as error:
                self._fail(number, f"{len(received)} bytes, then: {error.strerror or error}", hint)
            if received != line:
                self._fail(number, f"{len(received)} of {len(line)} bytes, or others", hint)
            end.close()
        self._scene.steps.add("peer", f"each of {len(self._ends)} connections has got its line back, and the end")

    def _fail(self, number: int, what: str, hint: str) -> None:
        self._scene.steps.fail(
            "peer",
            f"expected each of {len(self._ends)} connections to get its line back; the {number + 1}th got {what}",
            f"Of {len(self._ends)} connections {number} were answered; the next one was not.",
            f"{hint} {self._program.doing()}".strip(),
        )


def _line(number: int) -> bytes:
    return b"peer %d\n" % number


class VsockCaller(VsockPeer, Caller):
    """A vsock connection that the program has made."""


class VsockListener(Listener):
    """A listening vsock socket of this machine."""

    caller = VsockCaller
    scheme = "http+vsock"

    def _address(self, name: Address) -> Address:
        return Address("vsock", str(CLIENT), name.port)


class Vsock:
    """The fixture. Faults, and ends that the host plays, last until the test ends."""

    host, server, client = HOST, SERVER, CLIENT

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        scene.closers.append(self._clear)

    def connect(
        self,
        program: Program | Server,
        *,
        cid: int | None = None,
        port: int | None = None,
        hint: str = "",
    ) -> VsockPeer:
        """Connect to a program at the address in its ready line, or at this CID and port."""
        owner = program.program if isinstance(program, Server) else program
        return VsockPeer(self._scene, owner, self._connected(owner, socket.SOCK_STREAM, cid, port, hint))

    def messages(self, program: Program | Server, *, hint: str = "") -> Messages:
        """Connect to a program for messages (SOCK_SEQPACKET)."""
        owner = program.program if isinstance(program, Server) else program
        return Messages(self._scene, owner, self._connected(owner, socket.SOCK_SEQPACKET, None, None, hint))

    def crowd(self, program: Program, number: int, *, hint: str = "") -> Crowd:
        """Make so many connections at once, send a line over each and end its stream; nothing is read yet."""
        address = self._target(program, None, None)
        ends: list[socket.socket] = []
        for _ in range(number):  # all are asked for before one is waited for
            end = self._socket(socket.SOCK_STREAM)
            end.connect_ex(address)
            ends.append(end)
            self._scene.closers.append(end.close)
        for index, end in enumerate(ends):
            if error := self._outcome(end):
                code = errno.errorcode.get(error, str(error))
                refused = error == errno.ECONNRESET
                self._scene.steps.fail(
                    "peer",
                    f"asked for {number} connections to port {address[1]}; {index} were made, the next was not: {code}",
                    f"Of {number} peers at once only {index} could connect.",
                    hint if refused else program.doing(),
                )
            end.send(_line(index))
            end.shutdown(socket.SHUT_WR)
        self._scene.steps.add("peer", f"made {number} connections, sent a line over each, half-closed")
        return Crowd(self._scene, program, ends)

    def refused(self, program: Program | Server, *, hint: str = "") -> None:
        """Expect a connection to be refused: nobody listens there any more. vsock's word for that is ECONNRESET."""
        owner = program.program if isinstance(program, Server) else program
        cid, port = self._target(owner, None, None)
        connection, error = self._try(socket.SOCK_STREAM, cid, port)
        connection.close()
        if error != errno.ECONNRESET:
            outcome = "it was accepted" if not error else errno.errorcode.get(error, str(error))
            self._scene.steps.fail(
                "peer",
                f"expected a connection to {cid}:{port} to be refused, but {outcome}",
                f"A connection to vsock:{cid}:{port} was not refused.",
                hint,
            )
        self._scene.steps.add("peer", f"was refused at {cid}:{port}")

    def listens(self, port: int = ANY) -> VsockListener:
        """Listen in this machine, on a port that the kernel chooses or on this one. The program is a client now."""
        end = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        end.bind((ANY, port))
        return VsockListener(self._scene, end)

    # What the host does

    def faults(self, **plan: Any) -> None:
        """Disturb the packets by a plan: delay, jitter (seconds), reset_chance, reset_after, credit (bytes), port."""
        self._scene.host.call("vsock.faults", plan={"seed": self._scene.settings.seed, **plan})
        self._scene.steps.add("host", "faults on vsock: " + ", ".join(f"{name} {plan[name]}" for name in plan))

    def clears(self) -> None:
        """End the faults: what was held back for want of credit goes on."""
        self._scene.host.call("vsock.faults", plan={})
        self._scene.steps.add("host", "no more faults on vsock")

    def host_echoes(self) -> str:
        """Let the host echo at one of its ports; return that address. The program is a client from now on."""
        return self._host_listens("echo", "echoes")

    def host_is_silent(self) -> str:
        """Let the host say nothing at one of its ports, not even no; return that address."""
        return self._host_listens("silent", "does not answer")

    def host_dials(self, program: Program | Server, data: bytes, *, hint: str = "") -> bytes:
        """Let the host connect to a program, send `data` and its end; expect the program's end; return what came."""
        owner = program.program if isinstance(program, Server) else program
        _, port = self._target(owner, None, None)
        found, received = self._scene.host.call(
            "vsock.dial", data, cid=SERVER, port=port, deadline=self._scene.deadlines.default
        )
        if not found["connected"] or not found["ended"]:
            if found["connected"]:
                what, message = f"after {len(received):,} bytes no end came", "did not get its whole stream"
            elif found["reset"]:
                what, message = "was refused", "was refused"
            else:
                what, message = "nobody answered", "was not answered"
            self._scene.steps.fail(
                "host",
                f"dialled {SERVER}:{port}, but {what}",
                f"The host, CID 2, {message}.",
                f"{hint} {owner.doing()}".strip(),
            )
        self._scene.steps.add("host", f"sent {count(len(data), 'byte')}, and received {len(received):,} and the end")
        return received

    # How it is done

    def _clear(self) -> None:
        self._scene.host.call("vsock.clear")

    def _host_listens(self, end: str, what: str) -> str:
        port = self._scene.host.call("vsock.listen", end=end)[0]["port"]
        self._scene.steps.program_is_client = True
        self._scene.steps.add("host", f"{what} at {HOST}:{port}")
        return f"vsock:{HOST}:{port}"

    def _target(self, program: Program, cid: int | None, port: int | None) -> tuple[int, int]:
        address = program.address
        if address.kind != "vsock":
            self._scene.steps.fail(
                "peer",
                f"expected to reach the server over vsock, but it listens on {address.text}",
                "The server's ready line names no vsock address.",
            )
        return SERVER if cid is None else cid, address.port if port is None else port

    def _connected(self, program: Program, kind: int, cid: int | None, port: int | None, hint: str) -> socket.socket:
        cid, port = self._target(program, cid, port)
        connection, error = self._try(kind, cid, port)
        if error:
            self._fail_connect(program, f"{cid}:{port}", error, hint)
        self._scene.closers.append(connection.close)
        self._scene.steps.add("peer", f"connected to {cid}:{port}")
        return connection

    def _try(self, kind: int, cid: int, port: int) -> tuple[socket.socket, int]:
        connection = self._socket(kind)
        error = connection.connect_ex((cid, port))
        return connection, self._outcome(connection) if error == errno.EINPROGRESS else error

    def _socket(self, kind: int) -> socket.socket:
        """Make a socket that does not block, and waits for a connection as long as everything here is waited for."""
        connection = socket.socket(socket.AF_VSOCK, kind | socket.SOCK_CLOEXEC)
        connection.setblocking(False)
        _limit(connection, socket.AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, self._scene.deadlines.default)
        return connection

    def _outcome(self, connection: socket.socket) -> int:
        """Wait for a connection that is being made; return 0, or the error."""
        poller = select.poll()
        poller.register(connection, select.POLLOUT)
        if not poller.poll(self._scene.deadlines.default * 1000):
            return errno.ETIMEDOUT
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _fail_connect(self, program: Program, where: str, error: int, hint: str) -> None:
        facts = program.call("facts", sockets=False)
        if not facts["alive"]:
            program.fail_dead(facts["exit"])
        why = {
            errno.ECONNRESET: "ECONNRESET is vsock's refusal: the machine is there, and nobody listens at this port.",
            errno.ETIMEDOUT: "Nobody answered at all.",
        }.get(error, "")
        self._scene.steps.fail(
            "peer",
            f"could not connect to {where}: {errno.errorcode.get(error, str(error))}",
            f"Nobody answers at vsock:{where}.",
            hint or f"{why} {program.doing()}".strip(),
        )
