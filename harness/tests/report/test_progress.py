"""A learner's progress is kept, and never lost silently."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from groundup.errors import MachineryError
from groundup.progress import ChapterProgress, Progress, load, progress_lines, record
from groundup.report.text import Style

from . import samples

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHAPTER = "02-http-hello"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work" / ".progress.json"


def test_nothing_yet(path: Path) -> None:
    assert load(path) == Progress()


def test_the_best_stays_and_the_last_is_told(path: Path) -> None:
    record(samples.passing(), path, NOON)
    record(samples.early_answer(), path, NOON.replace(hour=13))
    assert load(path).chapters[CHAPTER] == ChapterProgress(
        45, 45, "fail", 2, "2026-03-01T13:00:00+00:00", "2026-03-01T12:00:00+00:00"
    )


def test_what_the_machinery_spoiled_changes_nothing(path: Path) -> None:
    record(samples.passing(), path, NOON)
    before = load(path)
    record(samples.machinery_failure(), path, NOON)
    assert load(path) == before


def test_a_run_of_selected_tests_is_an_attempt_only(path: Path) -> None:
    record(samples.early_answer(), path, NOON)
    record(replace(samples.passing(), selected=("test_x",)), path, NOON)
    chapter = load(path).chapters[CHAPTER]
    assert (chapter.best_score, chapter.attempts, chapter.last_outcome, chapter.passed_at) == (25, 2, "pass", "")


def test_when_the_points_of_a_chapter_change_shares_are_compared(path: Path) -> None:
    record(samples.early_answer(), path, NOON)
    small = replace(samples.passing(), tests=samples.passing().tests[:1])
    record(small, path, NOON)
    assert load(path).chapters[CHAPTER].max_score == 20


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"schema": "groundup/progress/v2", "chapters": {}}',
        b'{"schema": "groundup/progress/v1", "chapters": []}',
        b'{"schema": "groundup/progress/v1", "chapters": {"x": 3}}',
        b'{"schema": "groundup/progress/v1", "chapters": {"x": {"attempts": -1}}}',
        b'{"schema": "groundup/progress/v1", "chapters": {"x": {"best_score": NaN}}}',
        b'{"schema": "groundup/progress/v1", "chapters": {"x": {"last_outcome": "\\u001b[2J"}}}',
    ],
)
def test_a_corrupt_file_is_kept_aside_with_a_warning(path: Path, content: bytes) -> None:
    for number in (1, 2):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        progress = record(samples.passing(), path, NOON)
        assert f"kept as .progress.json.corrupt-{number}" in progress.warning
        assert path.with_name(f".progress.json.corrupt-{number}").read_bytes() == content
    assert load(path).warning == ""
    assert load(path).chapters[CHAPTER].best_score == 45


def test_fields_of_a_later_version_are_passed_over(path: Path) -> None:
    record(samples.passing(), path, NOON)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["chapters"][CHAPTER]["later"] = 1
    path.write_text(json.dumps(content), encoding="utf-8")
    assert load(path).chapters[CHAPTER].best_score == 45


def test_a_directory_in_its_place_is_a_clear_error(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(MachineryError, match="cannot read"):
        load(path)


def _record_often(path: Path, times: int) -> None:
    for _ in range(times):
        record(samples.passing(), path)


def test_two_tools_at_once_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    tools = [context.Process(target=_record_often, args=(path, 15)) for _ in range(3)]
    for tool in tools:
        tool.start()
    for tool in tools:
        tool.join()
    assert load(path).chapters[CHAPTER].attempts == 45


def test_table(golden: Callable[[str, str], None]) -> None:
    progress = Progress().with_result(replace(samples.passing(), chapter="01-listen"), NOON)
    progress = progress.with_result(samples.early_answer(), NOON).with_result(samples.byte_diff(), NOON)
    golden("progress", "\n".join(progress_lines(progress, ["01-listen", CHAPTER, "03-http-parse"], Style())) + "\n")
