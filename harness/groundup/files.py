"""Writes files so that a reader sees the old content or the new, never a part."""

import errno
import os
import secrets
from pathlib import Path

from groundup.errors import MachineryError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Make `path` hold `data`: written to a file beside it, brought to the disk, then renamed.

    As with open(2), the process's umask is taken off `mode`. A symbolic link at `path` is replaced, not followed.
    Raises MachineryError; nothing is left behind then.
    """
    # Not tempfile: its files have mode 0600, and the umask that would say what they should have can be read only by
    # setting it, for every thread.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        remedy = "free some space, or choose another place" if error.errno in _FULL else "choose a place to write to"
        raise MachineryError(f"cannot write {path}: {error.strerror}", remedy) from error
