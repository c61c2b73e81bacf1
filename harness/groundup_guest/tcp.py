"""The fixture `tcp`: peers that talk to the program over TCP, from the client machine, or are called by it."""

import errno
import select
import socket

from groundup_guest.address import ANY, Address
from groundup_guest.listener import Listener, bound
from groundup_guest.peer import Peer
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.server import Server

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def target(
    scene: Scene, program: Program | Server, family: int | None, port: int | None, kind: str = "tcp"
) -> tuple[int, str, int]:
    """Return family (4 or 6), host and port at which a program can be reached from this machine."""
    address = program.address
    if address.kind != kind:
        scene.steps.fail(
            "peer",
            f"expected to reach the server over {kind.upper()}, but it listens on {address.text}",
            f"The server's ready line names no {kind.upper()} address.",
        )
    if family is None:
        family = address.family if address.host not in ANY else 4
    # A program that is bound to one address is asked for there, and under the machine's own in the other family.
    host = scene.settings.addresses[family] if address.host in ANY or address.family != family else address.host
    return family, host, address.port if port is None else port


class Tcp:
    """The fixture: connects to programs, and listens for those that connect."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def connect(
        self,
        program: Program | Server,
        family: int | None = None,
        port: int | None = None,
        *,
        receive_buffer: int = 0,
        hint: str = "",
    ) -> Peer:
        """Connect to a program; over IPv4 unless it listens on one IPv6 address or `family` (4 or 6) says so.

        `receive_buffer` is how many bytes the kernel here takes of what the peer does not read, roughly (SO_RCVBUF).
        """
        family, host, port = target(self._scene, program, family, port)
        connection, error = self._try(family, host, port, receive_buffer)
        owner = program.program if isinstance(program, Server) else program
        if error:
            self._fail_connect(owner, (family, host, port), error, hint)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each send is a segment, as tests cut them
        peer = Peer(self._scene, owner, connection)
        self._scene.closers.append(peer.close)
        self._scene.steps.add("peer", f"connected from {Address('tcp', peer.local.host, peer.local.port).text[4:]}")
        return peer

    def listens(self, family: int = 4, port: int = 0) -> Listener:
        """Listen in this machine, on its IPv4 or IPv6 address (4 or 6), on a free port or on this one.

        From now on the program is a client.
        """
        return Listener(self._scene, bound(family, self._scene.settings.own[family], port))

    def refused(
        self, program: Program | Server, family: int | None = None, port: int | None = None, *, hint: str = ""
    ) -> None:
        """Expect a connection to be refused: nobody listens there (any more)."""
        family, host, port = target(self._scene, program, family, port)
        connection, error = self._try(family, host, port)
        connection.close()
        where = Address("tcp", host, port).text[4:]
        if error != errno.ECONNREFUSED:
            outcome = "it was accepted" if not error else errno.errorcode.get(error, str(error))
            self._scene.steps.fail(
                "peer",
                f"expected a connection to {where} to be refused, but {outcome}",
                f"A connection to {where} was not refused.",
                hint,
            )
        self._scene.steps.add("peer", f"was refused at {where}")

    def _try(self, family: int, host: str, port: int, receive_buffer: int = 0) -> tuple[socket.socket, int]:
        connection = socket.socket(FAMILIES[family], socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setblocking(False)
        error = connection.connect_ex((host, port))
        if error == errno.EINPROGRESS:
            poller = select.poll()
            poller.register(connection, select.POLLOUT)
            if not poller.poll(self._scene.deadlines.default * 1000):
                return connection, errno.ETIMEDOUT
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return connection, error

    def _fail_connect(self, program: Program, where_to: tuple[int, str, int], error: int, hint: str) -> None:
        family, host, port = where_to
        where = Address("tcp", host, port).text[4:]
        facts = program.call("facts")
        if not facts["alive"]:
            program.fail_dead(facts["exit"])
        listening = [found for found in facts["sockets"] if found["state"] == "LISTEN"]
        at_port = [found for found in listening if found["local"]["port"] == port]
        why = "A full backlog leaves a SYN without an answer: the server does not come back to accept(2)."
        if error == errno.ECONNREFUSED:
            why = "It has no listening socket, whatever its ready line says."
            if listening:
                shown = ", ".join(
                    Address("tcp", each["local"]["host"], each["local"]["port"]).text for each in listening
                )
                why = f"It listens on {shown}. A port in network byte order needs htons(3), one in a text ntohs(3)."
                if at_port and family == 4 and at_port[0]["kind"] == "tcp6":
                    why = f"It listens on {shown}. A socket of AF_INET6 takes IPv4 too only if IPV6_V6ONLY is off."
                elif at_port and family == 6 and at_port[0]["kind"] == "tcp":
                    why = f"It listens on {shown}, which is IPv4 alone; one AF_INET6 socket can serve both."
        self._scene.steps.fail(
            "peer",
            f"could not connect to {where} over IPv{family}: {errno.errorcode.get(error, str(error))}",
            f"Nobody answers at {where} over IPv{family}.",
            hint or why,
        )
