"""From what a test raised to its outcome: pass, fail, skipped or infra, and the words for it."""

import linecache
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from groundup_guest import mistakes
from groundup_guest.rpc import Body
from groundup_guest.scene import Scene
from groundup_guest.steps import FailedError, InfraError

LAST_SYSCALLS = 12
SHOWN_OUTPUT = 8 << 10
DIFF_BYTES = 64 << 10
MESSAGE = 900


class TestTimeoutError(Exception):
    """A test has used up its time."""

    __test__ = False

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The test did not end within {seconds:g} s.")


@dataclass(slots=True)
class Verdict:
    """What became of a test."""

    outcome: str
    message: str = ""
    why: str = ""
    diff: dict[str, str] | None = None


def judge(error: BaseException | None, file: str) -> Verdict:
    """Return the verdict over a test that raised `error`, or nothing; `file` is where the test is written."""
    match error:
        case None:
            return Verdict("pass")
        case FailedError():
            diff = None
            if error.expected is not None and error.received is not None:
                diff = {"expected": error.expected[:DIFF_BYTES].hex(), "received": error.received[:DIFF_BYTES].hex()}
            return Verdict("fail", _line(error.message), error.why, diff)
        case TestTimeoutError():
            return Verdict("fail", _line(str(error)), "Something was waited for that never came.")
        case AssertionError() | pytest.fail.Exception():
            return Verdict("fail", _line(str(error) or f"The test expected: {_source_line(error, file)}"))
        case pytest.skip.Exception():
            return Verdict("skipped", _line(str(error.msg)))
    return Verdict("infra", _line(_unexpected(error)))


def _unexpected(error: BaseException) -> str:
    """Return what to say of an exception that no test is meant to raise: the harness or the test itself is wrong."""
    if isinstance(error, InfraError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"


def _line(text: str) -> str:
    return " ".join(text.split())[:MESSAGE]


def _source_line(error: BaseException, file: str) -> str:
    """Return the condition of the `assert` without words at which a test failed, as it is written in `file`."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if not frames:
        return "something else"
    line = (frames[-1].line or linecache.getline(file, frames[-1].lineno or 0)).strip()
    return line.removeprefix("assert ").strip()


def diagnose(scene: Scene, verdict: Verdict) -> dict[str, Any]:
    """Return what the server machine can say about a failure: output and last system calls of one program.

    It is the one that the test has dealt with last.
    If a program has died that should not have, that is the failure's cause, and is what the verdict then says.
    """
    found: dict[str, Any] = {"stdout": "", "stderr": "", "syscalls": []}
    if scene.latest is None:
        return found
    chosen = scene.latest
    ends = [program.call("wait", deadline=0)["exit"] for program in scene.programs]
    for program, exit_ in zip(scene.programs, ends, strict=True):
        if exit_ is not None and not program.expected_to_end:
            chosen = program
            _blame_death(verdict, exit_)
            break
    output = chosen.call("output")
    found["stdout"], found["stderr"] = output["stdout"][-SHOWN_OUTPUT:], output["stderr"][-SHOWN_OUTPUT:]
    found["syscalls"] = _texts(chosen.call("syscalls", last=LAST_SYSCALLS)["lines"])
    if report := mistakes.sanitizer_report(output["stderr"]):
        verdict.why = f"A sanitizer reported: {report}"
    return found


def _blame_death(verdict: Verdict, exit_: Body) -> None:
    ending = mistakes.ending(exit_)
    if ending in verdict.message:
        return
    verdict.message = f"The server {ending}."
    if exit_["signal"] is not None:
        verdict.why = mistakes.death(exit_["signal"], oom=exit_["oom"]) or verdict.why


def _texts(lines: Sequence[Body]) -> list[str]:
    return [str(line["text"]) for line in lines]
