"""The tests of chapter 05 with the server of chapter 09: they hold over every transport that has the means for them."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.course.chapter import Chapter, find
from groundup.course.submission import read_submission
from groundup.grade import Job, grade
from groundup.vm.snapshot import Snapshot

from .conftest import SEED

pytestmark = pytest.mark.pair

_UNSEEN = dict.fromkeys(
    (
        *("test_link_that_changes_meanwhile", "test_file_that_grows", "test_file_that_shrinks"),
        *("test_client_that_leaves_in_the_middle", "test_stopped_and_continued", "test_stops_in_the_middle"),
    ),
    "that a request has reached the server, and it has begun to answer, only TCP's kernels tell",
)
_NO_ORDER = {"test_client_that_stops_reading": "of two clients whom a relay connects either may be the first"}
_NO_RESET = dict.fromkeys(
    ("test_large_file", "test_every_descriptor_is_closed"), "a peer that resets at will (SO_LINGER) is TCP's"
)
LEFT_OUT: dict[str, dict[str, str]] = {"tcp": {}, "unix": _UNSEEN | _NO_ORDER, "vsock": _UNSEEN | _NO_RESET}
"""Tests of chapter 05 whose means a transport does not have, and which those are."""


def chapter_over(kind: str, directory: Path) -> Chapter:
    """Return chapter 09 with the tests of chapter 05, whose fixtures are those of `over_transport`."""
    tests = directory / "09-vsock-http" / "tests"
    shutil.copytree(find("05").tests_directory, tests)
    for module in tests.glob("test_*.py"):
        text = module.read_text().replace("^http-files: ", "^vsock-http: ")  # whose name begins an error line
        module.write_text(f"{text}\nfrom over_transport import server, tcp\n")
    shutil.copy(Path(__file__).with_name("over_transport.py"), tests)
    shutil.copy(find("09").tests_directory / "conn_stage.py", tests)
    (tests / "transport.py").write_text(f'"""Which transport it is."""\n\nKIND = "{kind}"\n')
    return replace(find("09"), directory=tests.parent)


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_files(snapshot: Snapshot, tmp_path: Path, kind: str) -> None:
    chapter = chapter_over(kind, tmp_path)
    names = {test.name for test in chapter.tests}
    assert names >= LEFT_OUT[kind].keys()
    select = tuple(sorted(names - LEFT_OUT[kind].keys()))
    solution = read_submission(find("09"), find("09").directory)
    job = Job(chapter, solution, select=select, seed=SEED, independent=True)
    result = asyncio.run(grade(job, snapshot, tmp_path))
    assert len(result.tests) == len(select)
    failures = [f"{test.id}: {test.message}" for test in result.tests if test.message]
    assert result.passed, "\n".join(failures)
