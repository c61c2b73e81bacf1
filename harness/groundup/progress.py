"""A learner's progress through the ladder: best score, last outcome, attempts. Kept in `work/.progress.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from groundup.errors import MachineryError
from groundup.files import write_atomically
from groundup.paths import WORK
from groundup.report.text import Style, columns, pad, plural, points_text, visible
from groundup.result import ChapterResult, Outcome, Points, whole
from groundup.storage import locked

FILE = WORK / ".progress.json"
SCHEMA = "groundup/progress/v1"
BAR = 20


@dataclass(frozen=True)
class ChapterProgress:
    """Where a learner stands in one chapter. Times are ISO 8601 in UTC, empty for never."""

    best_score: Points = 0
    max_score: Points = 0
    last_outcome: str = ""  # "pass" or "fail"; an incomplete run leaves it alone
    attempts: int = 0
    last_at: str = ""
    passed_at: str = ""


@dataclass(frozen=True)
class Progress:
    """All chapters that were tried. `warning` is a line for the learner, where the file could not be read."""

    chapters: dict[str, ChapterProgress] = field(default_factory=dict)
    warning: str = ""

    def with_result(self, result: ChapterResult, when: datetime) -> Progress:
        """Return the progress after a run.

        A run that the machinery spoiled changes nothing. A run of selected tests is an attempt, but no measure of
        the chapter: the best score, and whether it was passed, come from whole runs.
        """
        if not result.complete:
            return self
        old = self.chapters.get(result.chapter, ChapterProgress())
        now = when.astimezone(UTC).isoformat(timespec="seconds")
        outcome = Outcome.PASS if result.passed else Outcome.FAIL
        new = replace(old, attempts=old.attempts + 1, last_outcome=str(outcome), last_at=now)
        if not result.selected and result.max_score:
            # A chapter's points may change between versions of the course, so shares are compared.
            if result.judged_score / result.max_score >= _share(old):
                new = replace(new, best_score=result.judged_score, max_score=result.max_score)
            if result.passed and not old.passed_at:
                new = replace(new, passed_at=now)
        return replace(self, chapters={**self.chapters, result.chapter: new})


def _share(chapter: ChapterProgress) -> float:
    return chapter.best_score / chapter.max_score if chapter.max_score else 0.0


def record(result: ChapterResult, path: Path = FILE, when: datetime | None = None) -> Progress:
    """Add a run to the file and return the progress. Raises MachineryError if it cannot be written.

    Two tools at once do not lose each other's run: the file is read and replaced under a lock.
    """
    try:
        with locked(path.with_name(f"{path.name}.lock")):
            progress = load(path).with_result(result, when or datetime.now(UTC))
            chapters = {name: asdict(chapter) for name, chapter in sorted(progress.chapters.items())}
            content = json.dumps({"schema": SCHEMA, "chapters": chapters}, indent=2, allow_nan=False) + "\n"
            write_atomically(path, content.encode())
    except OSError as error:  # of the lock: the others have been given their words
        raise MachineryError(f"cannot lock {path}: {error.strerror}", "make its directory writable") from error
    return progress


def load(path: Path = FILE) -> Progress:
    """Read the file; one that does not exist is no progress yet.

    One that makes no sense is renamed, not overwritten, and the returned progress carries a warning that says so.
    Raises MachineryError if the file is there and cannot be read or renamed.
    """
    try:
        return Progress(_parse(path.read_bytes()))
    except FileNotFoundError:
        return Progress()
    except (ValueError, RecursionError) as error:  # the JSON decoder gives up on deep nesting by the second
        aside = _set_aside(path)
        return Progress(
            warning=f"{path} makes no sense ({error}); it is kept as {aside.name}, and progress begins anew"
        )
    except OSError as error:
        raise MachineryError(f"cannot read {path}: {error.strerror}", "make it readable, or move it away") from error


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise MachineryError(
            f"{path} makes no sense, and cannot be renamed: {error.strerror}", "move it away"
        ) from error
    return aside


def _parse(data: bytes) -> dict[str, ChapterProgress]:
    """Raise ValueError if `data` is not what `record` writes. Fields of later versions are passed over."""
    content = json.loads(data.decode("utf-8"))
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    chapters = content.get("chapters")
    if not isinstance(chapters, dict):
        raise ValueError("it has no chapters")  # noqa: TRY004 - the content is wrong, not the caller's type
    return {name: _parse_chapter(name, entry) for name, entry in chapters.items()}


def _parse_chapter(name: str, entry: object) -> ChapterProgress:
    if not isinstance(entry, dict):
        raise ValueError(f"chapter {name} is not an object")  # noqa: TRY004
    return ChapterProgress(
        best_score=whole(_number(entry, "best_score")),
        max_score=whole(_number(entry, "max_score")),
        last_outcome=_text(entry, "last_outcome"),
        attempts=int(_number(entry, "attempts")),
        last_at=_text(entry, "last_at"),
        passed_at=_text(entry, "passed_at"),
    )


def _number(entry: dict[str, object], key: str) -> float:
    value = entry.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f"{key} is not a number that makes sense")
    return float(value)


def _text(entry: dict[str, object], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{key} is not text that makes sense")
    return value


def progress_lines(progress: Progress, chapters: Sequence[str], style: Style) -> list[str]:
    """Return the table that `groundup progress` prints: every chapter of the ladder, and how far the learner got."""
    names = [*chapters, *(name for name in progress.chapters if name not in chapters)]
    titles = [visible(name.replace("-", " ", 1)) for name in names]
    width = max((columns(title) for title in titles), default=0)
    lines = [
        f"  {_chapter_line(pad(title, width), progress.chapters.get(name), style)}"
        for name, title in zip(names, titles, strict=True)
    ]
    passed = sum(bool(progress.chapters.get(name, ChapterProgress()).passed_at) for name in names)
    return [*lines, "", f"  {passed} of {len(names)} chapters passed"]


def _chapter_line(title: str, chapter: ChapterProgress | None, style: Style) -> str:
    if chapter is None or not chapter.attempts:
        return style.paint(f"{'·'} {title}  {'·' * BAR}  not tried yet", "dim")
    share = _share(chapter)
    filled = BAR if share >= 1 else min(BAR - 1, int(share * BAR))
    state = Outcome.PASS if chapter.passed_at else Outcome.FAIL
    bar = style.tint("█" * filled, state) + style.paint("·" * (BAR - filled), "dim")
    points = f"{points_text(chapter.best_score)}/{points_text(chapter.max_score)}"
    tries = plural(chapter.attempts, "attempt")
    last = f"last {chapter.last_outcome} {visible(chapter.last_at[:16].replace('T', ' '))} UTC"
    return f"{style.mark(state)} {title}  {bar}  {points:>9}  {tries}, {last}"
