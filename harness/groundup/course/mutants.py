"""Mutants: small patches to a chapter's solution, each a mistake that people make, and the test that must catch it.

`mutants/NAME.patch` is a header, an empty line and a unified diff against the solution with its marks:

    mistake: searches for the blank line in the last piece only
    killed-by: test_request_cut_anywhere
    message: answered|waits for ever|blank line

    --- http-hello.c
    +++ http-hello.c
    @@ -40,7 +40,7 @@
    …

`message` is a regular expression that must be found, in any case, in the message of the test that fails.

Patches are applied here and not by a program: `patch` need not be installed and guesses where a hunk might belong,
`git apply` passes over files outside its directory in silence. Here a hunk's old lines must be in the source exactly:
at the stated line or, so that an edit further up does not break every mutant, at one single other place.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError, lines_of, read_text
from groundup.course.starter import given_files

_KEYS = ("mistake", "killed-by", "message")
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@.*")


@dataclass(frozen=True)
class _Hunk:
    """A hunk: its number from 1, the line from 1 at which it says it begins, and its lines before and after."""

    number: int
    line: int
    old: list[str]
    new: list[str]


@dataclass(frozen=True)
class Mutant:
    """A mistake in one sentence, the test that must fail because of it, and what its message must say."""

    name: str
    file: Path
    mistake: str
    killed_by: str
    message: re.Pattern[str]
    changes: Mapping[str, list[_Hunk]]

    def named_by(self, message: str) -> bool:
        """Tell whether a failed test's message names the mistake."""
        return self.message.search(message) is not None


def list_mutants(chapter: Chapter) -> list[Mutant]:
    """Return the chapter's mutants by name. Raises `CourseError` for the first that cannot be read."""
    return [parse_mutant(path) for path in sorted(chapter.mutants_directory.glob("*.patch"))]


def parse_mutant(path: Path) -> Mutant:
    """Read one mutant. Raises `CourseError` that names the file and what is wrong with it."""
    header, _, diff = read_text(path).partition("\n\n")
    fields: dict[str, str] = {}
    for line in header.splitlines():
        key, colon, value = line.partition(":")
        if not colon or key not in _KEYS or key in fields or not value.strip():
            raise CourseError(f"{path}: {line!r} is not one of the header's lines", "they are " + ", ".join(_KEYS))
        fields[key] = value.strip()
    if missing := [key for key in _KEYS if key not in fields]:
        raise CourseError(f"{path}: the header has no line '{missing[0]}:'")
    try:
        message = re.compile(fields["message"], re.IGNORECASE)
    except re.error as error:
        raise CourseError(f"{path}: 'message' is not a regular expression: {error}") from error
    return Mutant(path.stem, path, fields["mistake"], fields["killed-by"], message, _parse_diff(path, diff))


def mutated_files(chapter: Chapter, mutant: Mutant) -> dict[str, str]:
    """Return the mutant's sources and headers by name, as `Submission.of_texts` takes them.

    Raises `CourseError` that names the patch and the hunk if it does not fit the solution or changes nothing.
    """
    original = {path.name: read_text(path) for path in chapter.files}
    if strangers := mutant.changes.keys() - original.keys():
        raise CourseError(f"{mutant.file}: it changes {min(strangers)}, which is not a source of {chapter.name}")
    mutated = {name: _apply(mutant.file, text, mutant.changes.get(name, [])) for name, text in original.items()}
    if mutated == original:
        raise CourseError(f"{mutant.file}: it changes nothing")
    return {**mutated, **given_files(chapter)}


def _parse_diff(path: Path, diff: str) -> dict[str, list[_Hunk]]:
    lines = diff.splitlines()
    changes: dict[str, list[_Hunk]] = {}
    hunks: list[_Hunk] | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            # A tab and a time may follow the name; git puts a/ and b/ before it.
            hunks = changes.setdefault(Path(lines[at + 1][4:].partition("\t")[0].strip()).name, [])
            at += 2
        elif match := _HUNK.fullmatch(line):
            if hunks is None:
                raise CourseError(f"{path}: hunk 1 comes before the line '--- FILE'")
            number = sum(map(len, changes.values())) + 1
            hunk, at = _parse_hunk(path, lines, at + 1, number, match)
            hunks.append(hunk)
        elif line.strip() and not line.startswith(("diff ", "index ", "\\")):
            raise CourseError(f"{path}: not a line of a unified diff: {line!r}")
        else:
            at += 1
    if not any(changes.values()):
        raise CourseError(f"{path}: no unified diff after the header's empty line")
    return changes


def _parse_hunk(path: Path, lines: list[str], at: int, number: int, match: re.Match[str]) -> tuple[_Hunk, int]:
    """Return the hunk whose first line is `lines[at]` and the index of the line after it."""
    old_count, new_count = (int(match[group] or "1") for group in (2, 4))
    hunk = _Hunk(number, int(match[1]), [], [])
    while len(hunk.old) < old_count or len(hunk.new) < new_count:
        line = lines[at] if at < len(lines) else "(end)"
        # An editor that strips blanks at line ends turns an empty line's mark " " into "".
        kind, text = line[:1] or " ", line[1:]
        if kind not in " +-\\":
            raise CourseError(f"{path}: hunk {number} has fewer lines than its @@ line says")
        if kind in " -":
            hunk.old.append(text)
        if kind in " +":
            hunk.new.append(text)
        at += 1
    if len(hunk.old) > old_count or len(hunk.new) > new_count or (at < len(lines) and lines[at][:1] in {"+", " "}):
        raise CourseError(f"{path}: hunk {number} has more lines than its @@ line says")
    return hunk, at


def _apply(path: Path, text: str, hunks: list[_Hunk]) -> str:
    lines = lines_of(text)
    done = 0  # lines up to here were changed by earlier hunks and are not looked at again
    shift = 0  # by how many lines those hunks have moved what follows
    for hunk in hunks:
        at = _place(path, lines, hunk, done, shift)
        lines[at : at + len(hunk.old)] = hunk.new
        done = at + len(hunk.new)
        shift = done - (hunk.line - 1 + len(hunk.old))
    return "".join(line + "\n" for line in lines)


def _place(path: Path, lines: list[str], hunk: _Hunk, done: int, shift: int) -> int:
    """Return the index at which the hunk's old lines are: where it says, or at the only place there is."""
    if not hunk.old:
        raise CourseError(f"{path}: hunk {hunk.number} has no line of context: make the diff with diff -u")
    places = [at for at in range(done, len(lines)) if lines[at : at + len(hunk.old)] == hunk.old]
    stated = hunk.line - 1 + shift
    if stated in places:
        return stated
    if len(places) == 1:
        return places[0]
    found = "are in the source more than once, but not" if places else "are not in the source, nor"
    raise CourseError(f"{path}: hunk {hunk.number} does not apply: its lines {found} at line {hunk.line}")
