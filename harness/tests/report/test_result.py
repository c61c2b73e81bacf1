"""Verdicts and points: what the events of a run add up to, whatever a guest sends."""

import json
from dataclasses import replace

import pytest

from groundup.report.events import KEPT_FIRST_STEPS, KEPT_LAST_STEPS, ResultBuilder
from groundup.result import ByteDiff, ChapterResult, Outcome, TestResult, merge_retry

from . import samples
from .samples import NAMES, PLAN, builder, finished, run, skipped


def outcomes(result: ChapterResult) -> list[str]:
    return [str(test.outcome) for test in result.tests]


def test_all_passed() -> None:
    result = samples.passing()
    assert (result.score, result.max_score, result.complete, result.exit_status) == (45, 45, True, 0)
    assert (result.number, result.slug, result.seed) == ("02", "http-hello", samples.SEED)


def test_a_failure_takes_its_points() -> None:
    result = samples.early_answer()
    assert outcomes(result) == ["pass", "fail", "skipped", "pass"]
    assert (result.score, result.max_score, result.exit_status) == (25, 45, 1)
    assert result.tests[1].failed_step is not None
    assert result.tests[1].failed_step.n == 5
    assert result.tests[1].syscalls[1] == "read(4, …, 4096) = 14"


def test_a_failed_test_may_earn_a_part() -> None:
    result = run(finished(NAMES[0], "fail", score=12.5), *(finished(name) for name in NAMES[1:]))
    assert result.score == 37.5


def test_what_the_machinery_failed_to_judge_is_no_zero() -> None:
    result = samples.machinery_failure()
    assert (result.score, result.max_score, result.complete, result.exit_status) == (None, 45, False, 3)
    assert (result.judged_score, result.judged_max_score) == (20, 20)
    assert [test.score for test in result.tests] == [20, None, None, None]


def test_a_test_that_was_never_reported_is_infra() -> None:
    assert outcomes(run(finished(NAMES[0]))) == ["pass", "infra", "infra", "infra"]


def test_skipped_chain_says_which_test_failed() -> None:
    result = samples.byte_diff()
    assert outcomes(result) == ["fail", "skipped", "skipped", "pass"]
    assert result.tests[1].message == f"not run: it needs {NAMES[0]}, which failed"
    assert result.tests[2].message == f"not run: it needs {NAMES[1]}, which was not run because {NAMES[0]} failed"
    assert [test.cause for test in result.tests] == ["", NAMES[0], NAMES[0], ""]


def test_a_skip_after_an_unjudged_test_is_unjudged_too() -> None:
    result = run(finished(NAMES[0], "infra", score=None, message="no agent"), *(skipped(n) for n in NAMES[1:3]))
    assert outcomes(result) == ["infra", "infra", "infra", "infra"]
    assert result.tests[1].message == f"not run: it needs {NAMES[0]}, which could not be judged"


def test_a_skip_without_a_failed_need_is_unjudged() -> None:
    assert outcomes(run(*(finished(n) for n in NAMES[:3]), skipped(NAMES[3])))[3] == "infra"


def test_a_need_stands_for_all_its_parameters() -> None:
    plan = [{**PLAN[0], "id": f"test_a[{n}]"} for n in (4, 6)] + [{**PLAN[1], "id": "test_b", "needs": ["test_a"]}]
    made = builder(plan)
    for params in (finished("test_a[4]", score=20), finished("test_a[6]", "fail"), finished("test_b", "skipped")):
        made.event("test_finished", params)
    result = made.finish(1.0)
    assert outcomes(result) == ["pass", "fail", "skipped"]
    assert result.tests[2].cause == "test_a[6]"


def test_a_failed_build_is_a_verdict() -> None:
    result = samples.build_failure()
    assert (result.score, result.max_score, result.complete, result.exit_status) == (0, 45, True, 1)
    made = ResultBuilder("02-http-hello", 1)
    made.build = samples.build_failure().build
    made.event("collected", {"tests": PLAN})
    planned = made.finish(0.1)
    assert outcomes(planned) == ["skipped"] * 4
    assert (planned.score, planned.max_score, planned.exit_status) == (0, 45, 1)


def test_a_run_without_tests_is_a_problem() -> None:
    result = ResultBuilder("02-http-hello", 1, points=45).finish(0.5)
    assert (result.score, result.max_score, result.judged_max_score, result.exit_status) == (None, 45, 45, 3)
    assert result.problems == ("the run ended before any test was collected",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcome": "passed"}, "outcome is none of"),
        ({"outcome": ["pass"]}, "outcome is none of"),
        ({"outcome": None}, "outcome is none of"),
        ({"score": 21}, "score 21 does not go with outcome pass"),
        ({"score": 0}, "score 0 does not go with outcome pass"),
        ({"score": "20"}, "score is not a number"),
        ({"score": float("nan")}, "score is not a number"),
        ({"score": True}, "score is not a number"),
        ({"score": -1}, "score is not a number"),
        ({"seconds": float("inf")}, "seconds is not a number"),
        ({"seconds": None}, "seconds is not a number"),
        ({"seconds": 10**400}, "seconds is not a number"),
        ({"message": 3}, "message is not text"),
        ({"steps": {}}, "steps is not a list"),
        ({"steps": [3]}, "a step is not an object"),
        ({"steps": [{"n": "1", "actor": "a", "text": "b"}]}, "n is not a number"),
        ({"steps": [{"n": 1, "actor": "a", "text": "b", "failed": 1}]}, "failed is neither"),
        ({"read": [3]}, "read is not a list of text"),
        ({"read": ["x"] * 21}, "read has 21 elements"),
        ({"diff": "xy"}, "diff is not an object"),
        ({"diff": {"expected": "zz", "received": ""}}, "hexadecimal"),
        ({"diff": {"expected": 3}}, "hexadecimal"),
        ({"syscalls": [3]}, "syscalls is not a list of text"),
        ({"stdout": ["x"]}, "stdout is not text"),
    ],
)
def test_a_malformed_result_judges_nothing(change: dict[str, object], words: str) -> None:
    result = run({**finished(NAMES[0]), **change}, *(finished(name) for name in NAMES[1:]))
    assert result.tests[0].outcome is Outcome.INFRA
    assert words in result.tests[0].message
    assert result.exit_status == 3
    assert result.judged_score == 25


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("collected", []),
        ("collected", {"tests": 3}),
        ("collected", {"tests": [{**PLAN[0], "id": "\x1b[2Jtest"}]}),
        ("collected", {"tests": [{**PLAN[0], "id": "test_" + "x" * 1000}]}),
        ("collected", {"tests": [PLAN[0], PLAN[0]]}),
        ("collected", {"tests": [{**PLAN[0], "max_score": 1e9}]}),
        ("collected", {"tests": [PLAN[0]] * 501}),
        ("test_finished", finished("test_never_collected")),
        ("test_finished", {"id": ["x"]}),
        ("test_finished", None),
        ("test_started", {}),
        ("log", {"text": 3}),
        ("no_such_event", {}),
        ("x" * 10_000, {}),
    ],
)
def test_an_event_that_belongs_to_no_test_is_a_problem(method: str, params: object) -> None:
    made = ResultBuilder("02-http-hello", 1)
    assert made.event(method, params) is None
    assert len(made.problems) == 1
    assert len(made.problems[0]) < 200
    assert made.finish(0.1).exit_status == 3


def test_a_flood_of_malformed_events_is_bounded() -> None:
    made = builder()
    for number in range(1000):
        made.event(f"nonsense {number:03}", {})
        made.event("log", {"text": f"word {number:03}"})
    assert len(made.problems) == 20


def test_why_the_tests_could_not_be_run_is_said_once() -> None:
    """The guest logs each file that it cannot import; the run's end quotes the last one."""
    made = ResultBuilder("02-http-hello", 1)
    why = "test_b.py: ModuleNotFoundError: No module named 'nothing'"
    made.event("log", {"text": "test_a.py: SyntaxError:\n invalid syntax"})
    made.event("log", {"text": why})
    made.problem(f"the tests ended early: {why}")
    result = made.finish(0.1)
    assert result.problems == ("test_a.py: SyntaxError: invalid syntax", f"the tests ended early: {why}")
    assert result.exit_status == 3


def test_a_result_that_comes_twice_judges_nothing() -> None:
    assert outcomes(run(finished(NAMES[0], "fail"), finished(NAMES[0])))[0] == "infra"


def test_long_text_is_cut_and_many_steps_are_thinned() -> None:
    steps = [{"n": n, "actor": "peer", "text": "sent", "failed": n == 700} for n in range(1, 1001)]
    result = run(finished(NAMES[0], "fail", message="x" * 10**6, stderr="y" * 10**6, steps=steps)).tests[0]
    assert len(result.message) < 1100
    assert len(result.stderr) < 80_000
    assert len(result.steps) == KEPT_FIRST_STEPS + KEPT_LAST_STEPS + 1
    assert result.failed_step is not None
    assert result.failed_step.n == 700


def test_text_can_be_written_whatever_json_carried() -> None:
    result = run(finished(NAMES[0], "fail", message=json.loads('"\\ud800 half"')))
    assert result.tests[0].message.encode() == "\ufffd half".encode()


def test_hidden_tests_say_nothing_of_themselves() -> None:
    result = samples.hidden_failure().redacted()
    assert "SECRET" not in repr(result)
    assert "secret" not in repr(result)
    assert result.tests[3] == TestResult(
        "hidden-1", "A hidden test.", Outcome.FAIL, 0, 5, 0.031, "a hidden test failed", hidden=True
    )


def test_a_visible_test_does_not_name_the_hidden_one_that_it_needs() -> None:
    plan = [PLAN[3], {**PLAN[0], "needs": [PLAN[3]["id"]]}]
    made = builder(plan)
    made.event("test_finished", finished(NAMES[3], "fail"))
    made.event("test_finished", skipped(NAMES[0]))
    test = made.finish(1.0).redacted().tests[1]
    assert (test.needs, test.cause, test.message) == (
        ("hidden-1",),
        "hidden-1",
        "not run: it needs hidden-1, which failed",
    )


def test_a_hidden_test_at_the_root_of_a_chain_is_not_named() -> None:
    plan = [PLAN[3], {**PLAN[0], "needs": [PLAN[3]["id"]]}, PLAN[1]]
    made = builder(plan)
    made.event("test_finished", finished(NAMES[3], "fail"))
    made.event("test_finished", skipped(NAMES[0]))
    made.event("test_finished", skipped(NAMES[1]))
    result = made.finish(1.0).redacted()
    assert result.tests[2].cause == "hidden-1"
    assert "secret" not in repr(result)


def test_a_retry_replaces_what_was_not_judged_and_nothing_else() -> None:
    first = run(finished(NAMES[0], "fail"), finished(NAMES[1], "infra", score=None), finished(NAMES[3]))
    assert outcomes(first) == ["fail", "infra", "infra", "pass"]
    second = builder(PLAN[:3])
    for name in NAMES[:3]:
        second.event("test_finished", finished(name))
    merged = merge_retry(first, second.finish(1.0))
    assert outcomes(merged) == ["fail", "pass", "pass", "pass"]
    assert (merged.runs, merged.complete, merged.score) == (2, True, 25)
    assert merged.seconds == pytest.approx(2.324)


def test_a_retry_after_nothing_is_the_whole_result() -> None:
    first = ResultBuilder("02-http-hello", samples.SEED)
    first.problem("no pair")
    merged = merge_retry(first.finish(1.0), samples.passing())
    assert merged == replace(samples.passing(), runs=2, seconds=merged.seconds)


@pytest.mark.parametrize(
    ("expected", "received", "offset"),
    [(b"abc", b"abd", 2), (b"abc", b"ab", 2), (b"", b"x", 0), (b"abc", b"abc", 3)],
)
def test_first_difference(expected: bytes, received: bytes, offset: int) -> None:
    assert ByteDiff(expected, received).first_difference == offset
