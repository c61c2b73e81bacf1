"""The fixture `machine`: files and names of the machine in which the programs run."""

from dataclasses import dataclass

from groundup_guest.scene import Scene
from groundup_guest.steps import InfraError


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: its bytes and its permission bits."""

    content: bytes
    mode: int


class Machine:
    """The fixture. Names and addresses last until the test ends."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def hosts(self, names: dict[str, list[str]]) -> None:
        """Let names stand for addresses, in the machine's /etc/hosts."""
        self._scene.closers.append(lambda: self._scene.host.server_later("hosts", names={}))
        self._scene.host.server("hosts", names=names)
        shown = "; ".join(f"{name} is {', '.join(addresses)}" for name, addresses in names.items())
        self._scene.steps.add("machine", f"/etc/hosts: {shown}")

    def has_address(self, address: str, interface: str = "eth0") -> None:
        """Give the machine one more address beside its own."""
        host, params = self._scene.host, {"address": address, "interface": interface}
        host.server("address", present=True, **params)
        self._scene.closers.append(lambda: host.server_later("address", present=False, **params))
        self._scene.steps.add("machine", f"has the address {address} as well, on {interface}")

    def promiscuous(self, interface: str) -> None:
        """Let an interface hand on whatever comes over the wire, as while somebody looks with tcpdump(8)."""
        self._ip(interface, "promisc", "on")
        self._scene.closers.append(lambda: self._ip(interface, "promisc", "off"))
        self._scene.steps.add("machine", f"{interface} is promiscuous: it hands on what is meant for others as well")

    def restarts(self, interface: str) -> None:
        """Take an interface down and up again."""
        self._ip(interface, "down")
        self._ip(interface, "up")
        self._scene.steps.add("machine", f"{interface} went down and came up again")

    def loses_its_network(self) -> None:
        """Take every network interface of the server machine down, the loopback one too, until the test ends."""
        self._scene.closers.append(lambda: self._scene.host.server_later("network", present=True))
        self._scene.host.server("network", present=False)
        self._scene.steps.add("machine", "has no network any more: all its interfaces are down, lo too")

    def loses_its_vsock(self) -> None:
        """Take the vsock device from the server machine, until the test ends."""
        self._scene.closers.append(lambda: self._scene.host.server_later("vsock_device", present=True))
        self._scene.host.server("vsock_device", present=False)
        self._scene.steps.add("machine", "has no vsock device any more")

    def _ip(self, interface: str, *words: str) -> None:
        found = self._scene.host.server("sh", argv=["ip", "link", "set", interface, *words])
        if found["status"] != 0:
            raise InfraError(f"ip link set {interface} {' '.join(words)}: {found['stderr'].strip()}")

    def files(self) -> list[str]:
        """Return the names in the directory in which programs run."""
        return [str(name) for name in self._scene.host.server("files")["names"]]

    def file(self, name: str) -> File | None:
        """Return a regular file of that directory, None if there is none of that name."""
        found, content = self._scene.host.call("server.file", name=name)
        return File(content, found["mode"]) if found["exists"] else None
