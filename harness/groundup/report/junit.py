"""Writes a result as JUnit XML, the way pytest does (its `xunit2` family, checked by Jenkins' junit-10.xsd).

`fail` is a failure, `infra` an error, `skipped` is skipped. The format has no points and, in that family, no
properties of a single test; so the suite's properties hold `score`, `max_score`, `complete` and `seed`, and for each
test `score[ID]` and `max_score[ID]`. A build that failed is a test case `build`, a failure of the machinery that
belongs to no test one called `machinery`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from groundup.files import write_atomically
from groundup.report.failure import failure_lines
from groundup.report.text import Style, points_text, visible, visible_lines
from groundup.result import BuildOutcome, ChapterResult, Outcome, Points, TestResult

_PLAIN = Style(width=100)


def as_element(result: ChapterResult) -> Xml.Element:
    """Return the `testsuites` element. Hidden tests are redacted; no character that XML forbids remains in any text."""
    result = result.redacted()
    cases = [_machinery_case(result, problem) for problem in result.problems]
    if result.build is not None and not result.build.ok:
        cases.append(_build_case(result, result.build))
    cases += [_test_case(result, test) for test in result.tests]
    root = Xml.Element("testsuites", name="groundup")
    suite = Xml.SubElement(
        root,
        "testsuite",
        name=result.chapter,
        errors=_count(cases, "error"),
        failures=_count(cases, "failure"),
        skipped=_count(cases, "skipped"),
        tests=str(len(cases)),
        time=_seconds(result.seconds),
    )
    _properties(suite, result)
    suite.extend(cases)
    return root


def dumps(result: ChapterResult) -> str:
    """Return the result as an XML document."""
    root = as_element(result)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def write(result: ChapterResult, path: Path) -> None:
    """Write the result to `path`, whole or not at all. Raises MachineryError."""
    write_atomically(path, dumps(result).encode())


def _properties(suite: Xml.Element, result: ChapterResult) -> None:
    properties = Xml.SubElement(suite, "properties")
    values = {
        "score": _points(result.score),
        "max_score": _points(result.max_score),
        "complete": str(result.complete).lower(),
        "seed": str(result.seed),
    }
    for test in result.tests:
        values[f"score[{test.id}]"] = _points(test.score)
        values[f"max_score[{test.id}]"] = _points(test.max_score)
    for name, value in values.items():
        Xml.SubElement(properties, "property", name=visible(name), value=value)


def _test_case(result: ChapterResult, test: TestResult) -> Xml.Element:
    module = Path(test.file).stem if test.file else "tests"
    case = _case(result, visible(test.id), test.seconds, module)
    if test.outcome is Outcome.SKIPPED:
        Xml.SubElement(case, "skipped", type="pytest.skip", message=visible(test.message))
    elif test.outcome is not Outcome.PASS:
        kind = "failure" if test.outcome is Outcome.FAIL else "error"
        element = Xml.SubElement(case, kind, message=visible(test.message))
        element.text = "\n".join(failure_lines(test, result.number, result.seed, _PLAIN))
        for name, text in (("system-out", test.stdout), ("system-err", test.stderr)):
            if text:
                Xml.SubElement(case, name).text = "\n".join(visible_lines(text))
    return case


def _build_case(result: ChapterResult, build: BuildOutcome) -> Xml.Element:
    case = _case(result, "build", build.seconds)
    Xml.SubElement(case, "failure", message="the program did not build").text = "\n".join(visible_lines(build.output))
    return case


def _machinery_case(result: ChapterResult, problem: str) -> Xml.Element:
    case = _case(result, "machinery", 0.0)
    Xml.SubElement(case, "error", message=visible(problem))
    return case


def _case(result: ChapterResult, name: str, seconds: float, module: str = "") -> Xml.Element:
    classname = visible(f"{result.chapter}.{module}" if module else result.chapter)
    return Xml.Element("testcase", classname=classname, name=name, time=_seconds(seconds))


def _count(cases: Sequence[Xml.Element], kind: str) -> str:
    return str(sum(case.find(kind) is not None for case in cases))


def _points(points: Points | None) -> str:
    return "" if points is None else points_text(points)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
