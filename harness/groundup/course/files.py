"""Reading the course's files."""

from pathlib import Path

from groundup.errors import MachineryError


class CourseError(MachineryError):
    """A chapter's own files are wrong: for whoever writes the course, never a verdict on a submission."""


def read_text(path: Path) -> str:
    """Return the whole of a text file of the course; a missing or unreadable one is a `CourseError`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CourseError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from error


def lines_of(text: str) -> list[str]:
    """Return a text's lines without their ends: what str.splitlines does, except that only a newline ends a line."""
    return text.removesuffix("\n").split("\n") if text else []
