"""The same act over each transport: where the program listens or dials, and how a peer gets there."""

from collections.abc import Iterator

from groundup_guest.testing import Directory, Listener, Peer, Program, Server, Tcp, Unix, Vsock

KINDS = ("tcp", "unix", "vsock")
ANY = 0xFFFFFFFF
"""VMADDR_CID_ANY."""


def any_address(kind: str, unix: Unix) -> str:
    """Return an address to listen at: all of the machine's, with a port that the kernel chooses; a new path."""
    return {"tcp": "tcp:[::]:0", "unix": f"unix:{unix.path('http')}", "vsock": f"vsock:{ANY}:0"}[kind]


class Stage:
    """The fixtures of one test, and what is the same with all of them."""

    def __init__(self, server: Server, tcp: Tcp, unix: Unix, vsock: Vsock) -> None:
        self.server, self.tcp, self.unix, self.vsock = server, tcp, unix, vsock

    def address(self, kind: str) -> str:
        """Return an address to listen at; see `any_address`."""
        return any_address(kind, self.unix)

    def serves(self, kind: str, root: Directory, *options: str, hint: str = "") -> Program:
        """Start the server for the files of `root` at such an address."""
        return self.server.start("--root", root.name, *options, "--listen", self.address(kind), hint=hint)

    def connect(self, program: Program, *, hint: str = "") -> Peer:
        """Connect to where the program says that it listens."""
        match program.address.kind:
            case "unix":
                return self.unix.connect(program, hint=hint)
            case "vsock":
                return self.vsock.connect(program, hint=hint)
        return self.tcp.connect(program, hint=hint)

    def listens(self, kind: str) -> Listener:
        """Listen where a client can dial."""
        match kind:
            case "unix":
                return self.unix.listens()
            case "vsock":
                return self.vsock.listens()
        return self.tcp.listens()

    def all(self, root: Directory, *options: str, hint: str = "") -> Iterator[tuple[str, Program]]:
        """Start the server at an address of each kind, one after the other; return kind and program."""
        for kind in KINDS:
            yield kind, self.serves(kind, root, *options, hint=hint)


def request(target: str, *fields: str, method: str = "GET") -> bytes:
    """Return a request's bytes."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: ground", *fields, "", "")).encode()
