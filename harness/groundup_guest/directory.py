"""A directory of files in the server machine, as a test sees it: `server.directory({...})`."""

from collections.abc import Mapping
from typing import Any, Self

from groundup_guest.scene import Scene
from groundup_guest.steps import count, preview

SECOND = 1_000_000_000


class Directory:
    """A directory in the program's home, which is its current directory. It is removed when the test is over.

    All in it belongs to root and can be read by everybody, unless `mode` says otherwise. Paths are relative to it;
    directories on the way are made. Methods return the directory itself.
    """

    def __init__(self, scene: Scene, name: str, contents: Mapping[str, bytes]) -> None:
        self._scene = scene
        self.name = name
        """Its path, as the program's options take it."""
        scene.closers.append(self._drop)
        writes = [{"do": "write", "path": path, "size": len(content)} for path, content in contents.items()]
        shown = ", ".join(f"{path} ({count(len(content), 'byte')})" for path, content in contents.items())
        self._change(
            f"{name}/ was made" + (f": {shown}" if shown else ""), *writes, payload=b"".join(contents.values())
        )

    def write(self, path: str, content: bytes) -> Self:
        """Write a file, in place of what it held; it stays the same file."""
        operation = {"do": "write", "path": path, "size": len(content)}
        return self._change(f"{self._at(path)}: {count(len(content), 'byte')} written", operation, payload=content)

    def append(self, path: str, content: bytes) -> Self:
        """Write at the end of a file."""
        operation = {"do": "append", "path": path, "size": len(content)}
        return self._change(f"{self._at(path)}: {count(len(content), 'byte')} appended", operation, payload=content)

    def truncate(self, path: str, length: int) -> Self:
        """Give a file a length: what is behind it goes, what is missing is zeros."""
        operation = {"do": "truncate", "path": path, "length": length}
        return self._change(f"{self._at(path)}: is now {count(length, 'byte')} long", operation)

    def sparse(self, path: str, length: int, end: bytes = b"") -> Self:
        """Make a file of zeros, which take no room, with `end` behind them."""
        operations: list[dict[str, Any]] = [{"do": "truncate", "path": path, "length": length}]
        operations.append({"do": "append", "path": path, "size": len(end)})
        text = f"{self._at(path)}: a sparse file of {count(length + len(end), 'byte')}"
        return self._change(text, *operations, payload=end)

    def directory(self, path: str) -> Self:
        """Make a directory."""
        return self._change(f"{self._at(path)}/ was made", {"do": "directory", "path": path})

    def links(self, targets: Mapping[str, str]) -> Self:
        """Make symbolic links: what each leads to, by its path."""
        operations = [{"do": "symlink", "path": path, "target": target} for path, target in targets.items()]
        shown = ", ".join(f"{_shown(path)} → {_shown(target)}" for path, target in targets.items())
        return self._change(f"{self.name}/ has symbolic links: {shown}", *operations)

    def fifo(self, path: str) -> Self:
        """Make a FIFO."""
        return self._change(f"{self._at(path)}: a FIFO", {"do": "special", "path": path, "kind": "fifo"})

    def socket(self, path: str) -> Self:
        """Make the name of a UNIX socket to which nobody listens."""
        return self._change(f"{self._at(path)}: a socket", {"do": "special", "path": path, "kind": "socket"})

    def mode(self, path: str, mode: int) -> Self:
        """Change who may do what with a file."""
        operation = {"do": "mode", "path": path, "mode": mode}
        return self._change(f"{self._at(path)}: mode {mode:04o}, owner root", operation)

    def unreadable(self, path: str) -> Self:
        """Let nobody but root read a file, or look into a directory."""
        return self.mode(path, 0)

    def mtime(self, path: str, seconds: int, nanoseconds: int = 0) -> Self:
        """Set when a file was last modified, since 1970."""
        operation = {"do": "mtime", "path": path, "ns": seconds * SECOND + nanoseconds}
        return self._change(f"{self._at(path)}: last modified at {seconds}.{nanoseconds:09}", operation)

    def rename(self, path: str, to: str) -> Self:
        """Give a file another name in the same directory, over another file perhaps, whose place it takes."""
        operation = {"do": "rename", "path": path, "to": to}
        return self._change(f"{self._at(path)}: renamed to {_shown(to)}", operation)

    def remove(self, path: str) -> Self:
        """Remove a file, or a directory with all that is in it."""
        return self._change(f"{self._at(path)}: removed", {"do": "remove", "path": path})

    def _at(self, path: str) -> str:
        return _shown(f"{self.name}/{path}")

    def _change(self, text: str, *operations: dict[str, Any], payload: bytes = b"") -> Self:
        self._scene.host.call("server.tree", payload, name=self.name, operations=list(operations))
        self._scene.steps.add("server", text)
        return self

    def _drop(self) -> None:
        self._scene.host.server_later("tree", name=self.name, operations=None)


def _shown(path: str) -> str:
    return preview(path.encode("utf-8", "replace"), 80)
