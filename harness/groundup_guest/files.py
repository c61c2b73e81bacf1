"""Directories of files in the server machine, which a test fills and the program serves.

They lie in the program's home, so they count against its 64 MiB, and belong to root: the program can read them, but
cannot change what is in them, nor lead this code, which is root, out of them by a link. The home is the program's own,
and there it could put one directory in another's place; so each is held by a descriptor, and names are followed from
it, part by part, never through a link.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE, DIRECTORY_MODE = 0o644, 0o755
SPECIAL = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}


class FilesError(Exception):
    """An operation that makes no sense, or that the system refused. One line."""


def _parts(path: str) -> list[str]:
    """Return the names that a relative path is made of. Raises FilesError for one that might lead elsewhere."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise FilesError(f"{path!r} is not a path below a directory of files")
    return parts


class Files:
    """All such directories of one machine, by their names in the home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._directories: dict[str, int] = {}
        self._operations: dict[str, Callable[..., None]] = {
            "write": self._write,
            "append": self._append,
            "truncate": self._truncate,
            "directory": self._directory,
            "symlink": self._symlink,
            "special": self._special,
            "mode": self._mode,
            "mtime": self._mtime,
            "rename": self._rename,
            "remove": self._remove,
        }

    def change(self, name: str, operations: list[dict[str, Any]] | None, payload: bytes = b"") -> dict[str, Any]:
        """Carry out operations, in order, on what is in the directory `name`, which is made if it is not there.

        None in place of operations removes the directory. Each operation has its verb as `do`, the `path` that it
        concerns, and what else the verb takes. The contents of those that carry some lie in `payload` one behind the
        other, `size` bytes each.
        """
        if operations is None:
            self._drop(name)
            return {}
        root = self._root(name)
        for number, operation in enumerate(operations, 1):
            taken = int(operation.get("size", 0)) if operation["do"] in ("write", "append") else 0
            content, payload = payload[:taken], payload[taken:]
            try:
                self._perform(root, operation, content)
            except OSError as error:
                raise FilesError(f"operation {number}, {operation['do']} {operation['path']}: {error}") from error
        return {}

    def reset(self) -> None:
        """Remove all of them."""
        for name in list(self._directories):
            self._drop(name)

    # How it is done

    def _drop(self, name: str) -> None:
        descriptor = self._directories.pop(name, None)
        if descriptor is None:
            return
        try:
            for entry in os.listdir(descriptor):  # noqa: PTH208
                self._remove(descriptor, entry)
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # the program may have moved it, which is its own affair
            (self._home / name).rmdir()

    def _root(self, name: str) -> int:
        if name in self._directories:
            return self._directories[name]
        if len(_parts(name)) != 1:
            raise FilesError(f"{name!r} is not a name for a directory")
        path = self._home / name
        try:
            path.mkdir(mode=DIRECTORY_MODE)
            descriptor = os.open(path, DIRECTORY)
        except OSError as error:
            raise FilesError(f"cannot make the directory {name}: {error.strerror}") from error
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            raise FilesError(f"the program has put a directory of its own at {name}")
        self._directories[name] = descriptor
        return descriptor

    def _perform(self, root: int, operation: dict[str, Any], content: bytes) -> None:
        arguments = {key: value for key, value in operation.items() if key not in ("do", "path")}
        verb = self._operations.get(operation["do"])
        if verb is None:
            raise FilesError(f"there is no operation {operation['do']!r}")
        if operation["do"] in ("write", "append"):
            arguments = {"content": content}
        with self._parent(root, operation["path"]) as (parent, name):
            verb(parent, name, **arguments)

    @contextlib.contextmanager
    def _parent(self, root: int, path: str) -> Iterator[tuple[int, str]]:
        """Give a descriptor of the directory in which `path` is, and its last name. Directories are made as needed."""
        *directories, name = _parts(path)
        current = os.dup(root)
        try:
            for directory in directories:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(directory, DIRECTORY_MODE, dir_fd=current)
                below = os.open(directory, DIRECTORY, dir_fd=current)
                os.close(current)
                current = below
            yield current, name
        finally:
            os.close(current)

    def _write(self, parent: int, name: str, content: bytes) -> None:
        self._put(parent, name, os.O_TRUNC, content)

    def _append(self, parent: int, name: str, content: bytes) -> None:
        self._put(parent, name, os.O_APPEND, content)

    def _put(self, parent: int, name: str, flags: int, content: bytes) -> None:
        descriptor = os.open(name, NEW | flags, FILE_MODE, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def _truncate(self, parent: int, name: str, length: int) -> None:
        descriptor = os.open(name, NEW, FILE_MODE, dir_fd=parent)
        try:
            os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)

    def _directory(self, parent: int, name: str) -> None:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)

    def _symlink(self, parent: int, name: str, target: str) -> None:
        os.symlink(target, name, dir_fd=parent)

    def _special(self, parent: int, name: str, kind: str) -> None:
        os.mknod(name, SPECIAL[kind] | 0o666, dir_fd=parent)
        os.chmod(name, 0o666, dir_fd=parent)  # whatever the umask

    def _mode(self, parent: int, name: str, mode: int) -> None:
        os.chmod(name, mode, dir_fd=parent)

    def _mtime(self, parent: int, name: str, ns: int) -> None:
        os.utime(name, ns=(ns, ns), dir_fd=parent, follow_symlinks=False)

    def _rename(self, parent: int, name: str, to: str) -> None:
        if len(_parts(to)) != 1:
            raise FilesError(f"{to!r} is not a name in the same directory")
        os.rename(name, to, src_dir_fd=parent, dst_dir_fd=parent)

    def _remove(self, parent: int, name: str) -> None:
        if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
