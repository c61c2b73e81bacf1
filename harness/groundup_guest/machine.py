"""The fixture `machine`: files and names of the machine in which the programs run."""

from dataclasses import dataclass

from groundup_guest.scene import Scene


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: its bytes and its permission bits."""

    content: bytes
    mode: int


class Machine:
    """The fixture. Names last until the test ends."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def hosts(self, names: dict[str, list[str]]) -> None:
        """Let names stand for addresses, in the machine's /etc/hosts."""
        self._scene.closers.append(lambda: self._scene.host.server_later("hosts", names={}))
        self._scene.host.server("hosts", names=names)
        shown = "; ".join(f"{name} is {', '.join(addresses)}" for name, addresses in names.items())
        self._scene.steps.add("machine", f"/etc/hosts: {shown}")

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

    def files(self) -> list[str]:
        """Return the names in the directory in which programs run."""
        return [str(name) for name in self._scene.host.server("files")["names"]]

    def file(self, name: str) -> File | None:
        """Return a regular file of that directory, None if there is none of that name."""
        found, content = self._scene.host.call("server.file", name=name)
        return File(content, found["mode"]) if found["exists"] else None
