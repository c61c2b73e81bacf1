"""What a learner hands in: C sources.

Whoever hands in may be hostile and the files may change while they are looked at, so each is opened once, without
following symbolic links and without waiting (a FIFO), looked at through the descriptor, and read into memory. Nothing
later looks at the learner's directory again.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from groundup.course.chapter import Chapter
from groundup.course.starter import given_files
from groundup.errors import UsageError

NOTHING: Mapping[str, str] = {}
MAX_BYTES = 1 << 20
MAX_FILES = 64
MAX_ENTRIES = 1000

# A name that the compiler takes for a C file and for nothing else: no option (-o), no response file (@file).
_SAFE_NAME = re.compile(r"\w[\w.+ -]*\.c")


class _RefusedError(Exception):
    """A file is not taken; the text tells the learner why."""


@dataclass(frozen=True)
class SourceFile:
    """A file of a submission: its bare name and its bytes, whatever they are."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Submission:
    """The files to compile and the headers beside them, or the reason why they were not taken.

    A refusal is a verdict on the submission, as a syntax error is: building it fails with that text.
    """

    sources: tuple[SourceFile, ...] = ()
    headers: tuple[SourceFile, ...] = ()
    refusal: str = ""

    @classmethod
    def read(cls, path: Path, names: Sequence[str], given: Mapping[str, str] = NOTHING) -> "Submission":
        """Read a submission for the chapter whose program is made of `names` (`Chapter.sources`).

        `path` is one C file of any name, or a directory that holds all of `names`; there, the headers beside them
        belong to it and everything else is ignored. A file that is `given` (names to texts) may be missing: then the
        course's own is taken. Raises `UsageError` if there is nothing at `path` or it may not
        be read; whatever is wrong with what is there ends in `refusal`.
        """
        try:
            return _read_directory(path, names, given) if path.is_dir() else _read_single(path, names, given)
        except _RefusedError as refusal:
            return cls(refusal=str(refusal))
        except FileNotFoundError as error:
            raise UsageError(f"there is nothing at {error.filename}", "give a C file or a directory") from error
        except OSError as error:
            raise UsageError(f"cannot read {error.filename or path}: {error.strerror}") from error

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> "Submission":
        """Return a submission of the course's own making: file names to texts, headers among them."""
        return _with_given([], texts)


def read_submission(chapter: Chapter, path: Path) -> Submission:
    """Read a submission for `chapter`; see `Submission.read`. Raises `UsageError`, `CourseError`."""
    return Submission.read(path, chapter.sources, given_files(chapter))


def _read_single(path: Path, names: Sequence[str], given: Mapping[str, str]) -> Submission:
    data = _read_file(path, path.name, MAX_BYTES)
    if len(names) > 1:
        raise _RefusedError(f"this program is made of {', '.join(names)}: hand in the directory that holds them")
    name = path.name if _SAFE_NAME.fullmatch(path.name) else names[0]
    return _with_given([SourceFile(name, data)], given)


def _with_given(files: list[SourceFile], given: Mapping[str, str]) -> Submission:
    """Return a submission of `files`, and of what is given and not among them."""
    present = {file.name for file in files}
    files += [SourceFile(name, text.encode()) for name, text in given.items() if name not in present]
    headers = tuple(file for file in files if file.name.endswith(".h"))
    return Submission(tuple(file for file in files if file not in headers), headers)


def _read_directory(path: Path, names: Sequence[str], given: Mapping[str, str]) -> Submission:
    with os.scandir(path) as entries:
        present = [entry.name for entry in islice(entries, MAX_ENTRIES + 1)]
    if len(present) > MAX_ENTRIES:
        raise _RefusedError(f"the directory holds more than {MAX_ENTRIES} files")
    for name in names:
        if name not in present:
            raise _RefusedError(f"there is no {name} in the directory")
    sources = [*names, *(name for name in given if name.endswith(".c") and name in present)]
    headers = sorted(name for name in present if name.endswith(".h"))
    if len(sources) + len(headers) > MAX_FILES:
        raise _RefusedError(f"the directory holds more than {MAX_FILES} C files and headers")
    room = MAX_BYTES
    files: list[SourceFile] = []
    for name in (*sources, *headers):
        files.append(SourceFile(name, _read_file(path / name, name, room)))
        room -= len(files[-1].data)
    return _with_given(files, given)


def _read_file(path: Path, name: str, limit: int) -> bytes:
    _check_kind(path.lstat(), name)
    # The file may have changed since: O_NOFOLLOW for a link, O_NONBLOCK for a FIFO, which would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check_kind(os.fstat(descriptor), name)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _RefusedError(f"{name} is too large: all files together may have {MAX_BYTES} bytes")
    return data


def _check_kind(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _RefusedError(f"{name} is a symbolic link: hand in the file itself")
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedError(f"{name} is not a regular file")
