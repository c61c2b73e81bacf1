"""Addresses as the course writes them: `tcp:HOST:PORT`, `tcp:[V6]:PORT`, `vsock:CID:PORT`, `packet:IFACE`, …."""

import os
import re
import socket
from dataclasses import dataclass
from typing import Any

_INET = re.compile(r"(?P<kind>tcp|udp):(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<v4>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")
_VSOCK = re.compile(r"vsock:(?P<host>[0-9]{1,10}):(?P<port>[0-9]{1,10})")
_NAMED = re.compile(r"(?P<kind>unix|packet):(?P<host>\S+)")
PATH_LIMIT = 107
"""Bytes of a Unix socket's path (unix(7)); more than an interface's name has, too."""
ANY = ("", "0.0.0.0", "::", "*")


@dataclass(frozen=True, slots=True)
class Address:
    """One address. `host` is a numeric host, a CID, a path or an interface; `port` is 0 where there is none."""

    kind: str
    host: str
    port: int = 0

    @property
    def text(self) -> str:
        """The address as the course writes it."""
        if self.kind in ("unix", "packet"):
            return f"{self.kind}:{self.host}"
        return f"{self.kind}:[{self.host}]:{self.port}" if ":" in self.host else f"{self.kind}:{self.host}:{self.port}"

    @property
    def family(self) -> int:
        """4 or 6, by the host."""
        return 6 if ":" in self.host else 4

    @property
    def is_any(self) -> bool:
        """Whether it stands for every address of the machine."""
        return self.host in ANY

    def __str__(self) -> str:
        return self.text


def of_socket(end: socket.socket, name: Any) -> Address:
    """Return the address of a stream socket that `getsockname` or `getpeername` has told."""
    if end.family == socket.AF_VSOCK:
        return Address("vsock", str(name[0]), int(name[1]))
    if end.family == socket.AF_UNIX:
        return Address("unix", str(name))
    return Address("tcp", name[0], name[1])


def parse(text: str) -> Address | None:
    """Return the address that `text` is, None if it is none."""
    if match := _INET.fullmatch(text):
        port, host = int(match["port"]), match["v6"] or match["v4"]
        try:
            socket.inet_pton(socket.AF_INET6 if match["v6"] else socket.AF_INET, host)
        except (OSError, ValueError):  # a name: nobody here resolves it; ValueError: a NUL, a surrogate
            return None
        return Address(match["kind"], host, port) if port < 1 << 16 else None
    if match := _VSOCK.fullmatch(text):
        port, host = int(match["port"]), match["host"]
        return Address("vsock", host, port) if max(port, int(host)) < 1 << 32 else None
    if match := _NAMED.fullmatch(text):
        return Address(match["kind"], match["host"]) if len(os.fsencode(match["host"])) <= PATH_LIMIT else None
    return None
