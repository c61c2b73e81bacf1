"""What a program finds around it in the server machine, and leaves there: names of machines, addresses, files."""

import ipaddress
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from groundup_guest.programs import ProgramError

HOSTS = Path("/etc/hosts")
FILE_BYTES = 4 << 20
"""How much of a file is read at most."""


class Surroundings:
    """The programs' home directory, the machine's hosts file and addresses. Methods of the protocol; see the agent."""

    def __init__(self, home: Path, hosts: Path = HOSTS) -> None:
        self._home = home
        self._hosts = hosts
        self._usual = hosts.read_bytes() if hosts.exists() else b""

    def hosts(self, names: dict[str, list[str]]) -> dict[str, Any]:
        """Let these names, and no others beside the usual ones, stand for these addresses (hosts(5))."""
        lines = [f"{address} {name}\n" for name, addresses in names.items() for address in addresses]
        self._hosts.write_bytes(self._usual + "".join(lines).encode())
        return {}

    def address(self, address: str, interface: str, *, present: bool) -> dict[str, Any]:
        """Give the machine one more address, of the prefix length of its own, or take it away again."""
        prefix = 24 if ipaddress.ip_address(address).version == 4 else 64
        verb = "add" if present else "del"
        options = ["nodad"] if present and prefix == 64 else []  # usable at once
        argv = ["ip", "address", verb, f"{address}/{prefix}", "dev", interface, *options]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ProgramError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return {}

    def files(self) -> dict[str, Any]:
        """Return the names in the home directory."""
        return {"names": sorted(path.name for path in self._home.iterdir())}

    def file(self, name: str) -> tuple[dict[str, Any], bytes]:
        """Return what a regular file of the home directory holds, `exists` false if there is none of that name."""
        if not name or "/" in name or name in (".", ".."):
            raise ProgramError(f"{name!r} is not the name of a file")
        try:
            # The program may have left anything under the name: a link out of its home, a FIFO without a writer.
            descriptor = os.open(self._home / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return {"exists": False, "mode": 0}, b""
        with open(descriptor, "rb") as file:  # noqa: PTH123
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return {"exists": False, "mode": 0}, b""
            return {"exists": True, "mode": stat.S_IMODE(found.st_mode)}, file.read(FILE_BYTES)
