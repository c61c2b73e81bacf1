import asyncio
import os
import struct
from pathlib import Path

import pytest

from groundup.build import build
from groundup.course.program import MAX_BYTES, accept_program
from groundup.course.submission import Submission
from groundup.errors import UsageError


def elf(  # the smallest file that has what is looked at
    *, machine: int = 62, kind: int = 2, entry: int = 0x401000, segments: tuple[int, ...] = (1,), ident: bytes = b""
) -> bytes:
    head = (ident or b"\x7fELF\2\1\1\0").ljust(16, b"\0")
    header = struct.pack("<16sHHIQQQIHHHHHH", head, kind, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return header + b"".join(struct.pack("<IIQQQQQQ", segment, 5, 0, 0, 0, 0, 0, 0) for segment in segments)


@pytest.mark.parametrize("kind", [2, 3])
def test_a_static_program_is_taken(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "prog"
    path.write_bytes(elf(kind=kind))
    assert accept_program(path) == path.resolve()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not an ELF executable"),
        (b"\x7fELF", "is not an ELF executable"),
        (b"int main(void) { return 0; }" * 9, "is not an ELF executable"),
        (b"#!/usr/bin/python3\n", "is a script"),
        (elf(machine=183), "is for AArch64, not for 64-bit x86-64"),
        (elf(machine=3, ident=b"\x7fELF\1\1\1"), "is for 32-bit x86"),
        (elf(machine=999), "is for ELF machine 999"),
        (elf(ident=b"\x7fELF\2\2\1"), "not for 64-bit x86-64"),
        (elf(ident=b"\x7fELF\2\1\1\x09"), "another system than Linux"),
        (elf(kind=1), "an object file or a library"),
        (elf(kind=3, entry=0), "an object file or a library"),
        (elf(segments=(1, 3)), "is dynamically linked"),
        (elf(segments=(6,)), "nothing to load"),
        (elf(segments=()), "nothing to load"),
        (elf(segments=(1, 1))[:-1], "is cut short or damaged"),
        (elf()[:54] + b"\1\0" + elf()[56:], "is cut short or damaged"),
        (elf()[:32] + b"\xff" * 8 + elf()[40:], "is cut short or damaged"),
    ],
)
def test_anything_else_is_refused_with_its_cause_and_the_way_out(tmp_path: Path, data: bytes, complaint: str) -> None:
    (tmp_path / "prog").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        accept_program(tmp_path / "prog")
    assert complaint in caught.value.message
    for way in ("gcc -static", "CGO_ENABLED=0", "x86_64-unknown-linux-musl"):
        assert way in caught.value.remedy


def test_too_large_missing_and_irregular(tmp_path: Path) -> None:
    path = tmp_path / "prog"
    with pytest.raises(UsageError, match="No such file"):
        accept_program(path)
    path.write_bytes(elf())
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(UsageError, match="more than the 67108864 allowed"):
        accept_program(path)
    path.unlink()
    os.mkfifo(path)
    for irregular in (path, tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageError, match="is not a regular file"):
            accept_program(irregular)


def test_what_the_compiler_makes(tmp_path: Path, root: Path) -> None:
    source = Submission.of_texts({"a.c": "int main(void) { return 0; }\n"})
    asyncio.run(build(source, root, tmp_path / "static", static=True))
    assert accept_program(tmp_path / "static") == tmp_path / "static"
    asyncio.run(build(source, root, tmp_path / "pie", cflags=("-static-pie",)))
    assert accept_program(tmp_path / "pie") == tmp_path / "pie"
    asyncio.run(build(source, root, tmp_path / "dynamic"))
    with pytest.raises(UsageError, match="dynamically linked"):
        accept_program(tmp_path / "dynamic")
    asyncio.run(build(source, root, tmp_path / "library", cflags=("-shared", "-fPIC")))
    with pytest.raises(UsageError, match="a library"):
        accept_program(tmp_path / "library")
