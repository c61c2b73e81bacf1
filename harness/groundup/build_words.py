"""What a build may use, how it ended, and what of the compiler's words a learner reads."""

import re
from dataclasses import dataclass

TAIL = 4096
"""Of the compiler's words, how many bytes are kept from the end: there it says how it ended."""


@dataclass(frozen=True)
class Limits:
    """What one build may use. Memory is for each process; scratch is for all files in the sandbox's /tmp together.

    A compile of a chapter takes about 0.1 s and 40 MB. The processor time is the fair measure on a busy machine, the
    wall time is there for what waits instead of computing.
    """

    wall_seconds: float = 10
    processor_seconds: int = 8
    memory_bytes: int = 1 << 30
    file_bytes: int = 32 << 20
    scratch_bytes: int = 128 << 20
    output_bytes: int = 64 << 10


@dataclass(frozen=True)
class Run:
    """How a sandboxed command ended. `status` is None if its time was up."""

    status: int | None
    product: bytes
    words: "Kept"


@dataclass(frozen=True)
class Kept:
    """The beginning and the end of a stream; `dropped` bytes between them were not kept."""

    head: bytes
    tail: bytes
    dropped: int


def words_of(run: Run, limits: Limits) -> tuple[str, str]:
    """Return what the learner reads, and the limit that stopped the build if one did (it is in there, too)."""
    text = _readable(run.words.head)
    if run.words.dropped:
        text += f"\n… {run.words.dropped} bytes left out …\n"
    text += _readable(run.words.tail)
    stopped = _limit_reached(run, limits)
    if stopped:
        text += f"the build was stopped: {stopped}\n"
    return text, stopped


def _limit_reached(run: Run, limits: Limits) -> str:
    """Tell from the last words of gcc and its programs (C locale, beginning of a line) which limit they ran into."""
    if run.status is None:
        return f"it took longer than {limits.wall_seconds:g} s"
    if run.status == 0:
        return ""
    words = run.words.head[-TAIL:] + run.words.tail
    for pattern, limit in (
        (rb"CPU time limit exceeded signal", f"it took more than {limits.processor_seconds} s of processor time"),
        (
            rb"out of memory|memory exhausted|Killed signal",
            f"it took more than {limits.memory_bytes >> 20} MiB of memory",
        ),
        (rb"File size limit exceeded|File too large", f"a file grew beyond {limits.file_bytes >> 20} MiB"),
        (rb"No space left on device", f"its files grew beyond {limits.scratch_bytes >> 20} MiB in all"),
    ):
        if re.search(
            rb"^(gcc: |cc1: |as: |/usr/bin/ld: |collect2: |virtual |/tmp/|{).*?(" + pattern + rb")", words, re.MULTILINE
        ):
            return limit
    return ""


def _readable(words: bytes) -> str:
    """Return gcc's words without the sandbox's paths and without anything that a terminal would act upon."""
    text = words.decode("utf-8", errors="replace")
    # Only the linker's and the assembler's own lines name such paths; a line that quotes the source is left alone.
    text = re.sub(r"^(/usr/bin/ld: |/tmp/cc\w{6}\.|\./).*$", _without_paths, text, flags=re.MULTILINE)
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def _without_paths(line: re.Match[str]) -> str:
    text = re.sub(r"/tmp/cc\w{6}\.o: ?", "", line[0])
    text = re.sub(r"/tmp/cc\w{6}\.s\b", "assembly", text)
    return text.replace("/usr/bin/ld: ", "ld: ").replace("././", "")


def last_line(words: Kept) -> str:
    """Return the last line of a command's words, for an error of one line."""
    lines = _readable(words.head + words.tail).strip().splitlines()
    return lines[-1] if lines else "it said nothing"
