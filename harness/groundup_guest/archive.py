"""A chapter's test files as one tar archive: the host packs them, the client machine unpacks them."""

import io
import py_compile
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, by their names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def pack_tests(directory: Path) -> bytes:
    """Return an archive of a directory's Python files, with their compiled form beside them.

    Compiling is what the client machine would be slowest at. Where its Python has another version than ours it does not
    find the compiled form, and compiles. Raises py_compile.PyCompileError for a file that is not Python.
    """
    files = {path.name: path.read_bytes() for path in sorted(directory.glob("*.py"))}
    with tempfile.TemporaryDirectory() as scratch:
        for name in list(files):
            compiled = Path(scratch) / "compiled"
            unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(directory / name), str(compiled), name, doraise=True, invalidation_mode=unchecked)
            files[f"__pycache__/{Path(name).stem}.{sys.implementation.cache_tag}.pyc"] = compiled.read_bytes()
    return pack(files)


def unpack(archive: bytes, directory: Path) -> None:
    """Unpack an archive of the host's into a directory, which holds nothing else afterwards."""
    for path in directory.iterdir():  # of an earlier run in this machine
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                continue
            path = directory / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
