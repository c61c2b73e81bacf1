"""Writes a result as `groundup/result/v1`: one JSON object, described by `result.v1.schema.json` beside this file.

Fields may be added to it, never renamed. Text is escaped to ASCII, so that printing the file on a terminal is safe
whatever a submission printed.
"""

from __future__ import annotations

import json
from pathlib import Path

from groundup.files import write_atomically
from groundup.result import SCHEMA, ChapterResult, Step, TestResult

SCHEMA_FILE = Path(__file__).with_name("result.v1.schema.json")


def as_object(result: ChapterResult) -> dict[str, object]:
    """Return the result as the object that `--json` writes. Hidden tests are redacted."""
    result = result.redacted()
    return {
        "schema": SCHEMA,
        "chapter": result.chapter,
        "score": result.score,
        "max_score": result.max_score,
        "complete": result.complete,
        "judged_score": result.judged_score,
        "judged_max_score": result.judged_max_score,
        "outcomes": {str(outcome): count for outcome, count in result.outcomes.items()},
        "seed": result.seed,
        "selected": list(result.selected),
        "tests": [_test(test) for test in result.tests],
        "build": None
        if result.build is None
        else {"ok": result.build.ok, "seconds": _seconds(result.build.seconds), "output": result.build.output},
        "pair": None
        if result.pair is None
        else {"accelerator": result.pair.accelerator, "restore_seconds": _seconds(result.pair.restore_seconds)},
        "problems": list(result.problems),
        "runs": result.runs,
        "seconds": _seconds(result.seconds),
    }


def dumps(result: ChapterResult) -> str:
    """Return the result as JSON text that ends with a newline."""
    return json.dumps(as_object(result), indent=2, allow_nan=False) + "\n"


def write(result: ChapterResult, path: Path) -> None:
    """Write the result to `path`, whole or not at all. Raises MachineryError."""
    write_atomically(path, dumps(result).encode())


def _test(test: TestResult) -> dict[str, object]:
    return {
        "id": test.id,
        "title": test.title,
        "outcome": str(test.outcome),
        "score": test.score,
        "max_score": test.max_score,
        "seconds": _seconds(test.seconds),
        "message": test.message,
        "needs": list(test.needs),
        "why": test.why,
        "hidden": test.hidden,
        "read": list(test.read),
        "steps": [_step(step) for step in test.steps],
    }


def _step(step: Step) -> dict[str, object]:
    return {"n": step.n, "actor": step.actor, "text": step.text, "detail": step.detail, "failed": step.failed}


def _seconds(seconds: float) -> float:
    """Round to microseconds: more digits are noise."""
    return round(seconds, 6)
