"""What a learner may hand in instead of sources: a ready program, made from any language, that needs nothing else."""

import os
import stat
import struct
from pathlib import Path

from groundup.errors import UsageError

MAX_BYTES = 64 << 20

# elf(5)
_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_ELFCLASS64, _ELFDATA2LSB = 2, 1
_ELFOSABI_SYSV, _ELFOSABI_LINUX = 0, 3
_ET_EXEC, _ET_DYN = 2, 3
_EM_X86_64 = 62
_PT_LOAD, _PT_INTERP = 1, 3
_OTHER_MACHINES = {
    3: "32-bit x86",
    8: "MIPS",
    21: "PowerPC",
    22: "S/390",
    40: "32-bit ARM",
    183: "AArch64",
    243: "RISC-V",
}

_HOW = (
    "build it so: C: gcc -static; Go: CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build; "
    "Rust: cargo build --target x86_64-unknown-linux-musl"
)


def accept_program(path: Path) -> Path:
    """Return `path` made absolute if the server machine can run it: a static x86-64 Linux executable of at most 64 MiB.

    Raises `UsageError` that says what it is instead and how to build what is wanted. Only headers are looked at: a
    file that lies in them fails later, in the machine, at nobody else's cost.
    """
    try:
        # O_NONBLOCK: opening a FIFO to read would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            complaint, remedy = _complaint(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "give the file of a program") from error
    if complaint:
        raise UsageError(f"{path} {complaint}", remedy)
    return path.resolve()


def _complaint(descriptor: int) -> tuple[str, str]:
    """Return what is wrong with an open file and the remedy, two empty texts if nothing is."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file", "give the file of a program"
    if status.st_size > MAX_BYTES:
        return f"has {status.st_size} bytes, more than the {MAX_BYTES} allowed", "remove its symbols with strip(1)"
    head = os.pread(descriptor, _ELF_HEADER.size, 0)
    if complaint := _header_complaint(head):
        return complaint, _HOW
    return _segments_complaint(descriptor, head), _HOW


def _header_complaint(head: bytes) -> str:
    if head.startswith(b"#!"):
        return "is a script, and its interpreter is not in the machine"
    if len(head) < _ELF_HEADER.size or not head.startswith(b"\x7fELF"):
        return "is not an ELF executable"
    ident, kind, machine, _, entry, *_ = _ELF_HEADER.unpack(head)
    if machine != _EM_X86_64 or ident[4] != _ELFCLASS64 or ident[5] != _ELFDATA2LSB:
        return f"is for {_OTHER_MACHINES.get(machine, f'ELF machine {machine}')}, not for 64-bit x86-64"
    if ident[7] not in (_ELFOSABI_SYSV, _ELFOSABI_LINUX):
        return f"is for another system than Linux (ELF OS/ABI {ident[7]})"
    if kind not in (_ET_EXEC, _ET_DYN) or entry == 0:
        return "is not an executable but an object file or a library: it has no entry point"
    return ""


def _segments_complaint(descriptor: int, head: bytes) -> str:
    _, _, _, _, _, offset, _, _, _, size, count, _, _, _ = _ELF_HEADER.unpack(head)
    table = os.pread(descriptor, count * _PROGRAM_HEADER.size, offset) if offset < MAX_BYTES else b""
    if size != _PROGRAM_HEADER.size or len(table) < count * _PROGRAM_HEADER.size:
        return "is cut short or damaged: its program headers are not in the file"
    kinds = {segment[0] for segment in _PROGRAM_HEADER.iter_unpack(table)}
    if _PT_INTERP in kinds:
        return "is dynamically linked, and its libraries are not in the machine"
    if _PT_LOAD not in kinds:
        return "has nothing to load into memory"
    return ""
