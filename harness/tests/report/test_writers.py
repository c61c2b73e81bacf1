"""The files: JSON against its schema, JUnit against the rules of junit-10.xsd; whole or not at all."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as Xml

import jsonschema
import pytest

from groundup.report import json_writer, junit
from groundup.result import ChapterResult

from . import samples
from .test_terminal import RUNS

SCHEMA = json.loads(json_writer.SCHEMA_FILE.read_text(encoding="utf-8"))
ISSUED = {"schema", "chapter", "score", "max_score", "outcomes", "seed", "tests", "build", "pair", "seconds"}
ISSUED_TEST = {"id", "title", "outcome", "score", "max_score", "seconds", "message", "needs"}


@pytest.mark.parametrize("name", RUNS)
def test_json_follows_its_schema(name: str) -> None:
    text = json_writer.dumps(RUNS[name]())
    written = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(written, SCHEMA)
    assert set(written) >= ISSUED
    assert all(set(test) >= ISSUED_TEST for test in written["tests"])
    assert text.isascii()
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("change", "valid"),
    [({"score": 0}, False), ({"complete": True}, False), ({"later": 1}, True), ({"schema": "other"}, False)],
)
def test_the_schema_refuses_a_score_for_what_was_not_judged(change: dict[str, object], valid: bool) -> None:
    written = {**json_writer.as_object(samples.machinery_failure()), **change}
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(written) is valid


def test_json_of_a_run() -> None:
    written = json_writer.as_object(samples.early_answer())
    assert written["schema"] == "groundup/result/v1"
    assert written["chapter"] == "02-http-hello"
    assert (written["score"], written["max_score"], written["complete"]) == (25, 45, True)
    assert written["outcomes"] == {"pass": 2, "fail": 1, "skipped": 1, "infra": 0}
    assert written["pair"] == {"accelerator": "tcg", "restore_seconds": 0.113}


@pytest.mark.parametrize("writer", [json_writer, junit])
def test_nothing_of_a_hidden_test_is_written(writer: object) -> None:
    text = writer.dumps(samples.hidden_failure())  # type: ignore[attr-defined]
    assert "secret" not in text.lower()
    assert "moon" not in text
    assert "a hidden test failed" in text


CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}
REQUIRED = {
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name"},
    "property": {"name", "value"},
}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname"},
    "testcase": {"name", "time", "classname"},
    "property": {"name", "value"},
    **{kind: {"type", "message"} for kind in ("failure", "error", "skipped")},
}


def check_structure(element: Xml.Element) -> None:
    """Hold an element to junit-10.xsd, with `error` where its text says `errors`, as pytest and Jenkins do."""
    names = set(element.attrib)
    assert REQUIRED.get(element.tag, set()) <= names <= ALLOWED.get(element.tag, set()), element.tag
    if "time" in element.attrib:
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.attrib["time"])
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, set()), f"{child.tag} in {element.tag}"
        check_structure(child)


@pytest.mark.parametrize("name", RUNS)
def test_junit_has_the_structure(name: str) -> None:
    text = junit.dumps(RUNS[name]())
    assert all(char in "\t\n" or char.isprintable() for char in text)
    root = Xml.fromstring(text)
    assert root.tag == "testsuites"
    check_structure(root)
    (suite,) = root
    cases = suite.findall("testcase")
    found = Counter(child.tag for case in cases for child in case)
    assert int(suite.attrib["tests"]) == len(cases)
    assert int(suite.attrib["failures"]) == found["failure"]
    assert int(suite.attrib["errors"]) == found["error"]
    assert int(suite.attrib["skipped"]) == found["skipped"]


def properties(result: ChapterResult) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in junit.as_element(result).iter("property")}


def test_junit_holds_the_points() -> None:
    values = properties(samples.early_answer())
    assert (values["score"], values["max_score"], values["complete"]) == ("25", "45", "true")
    assert (values["score[test_request_cut_anywhere]"], values["max_score[test_request_cut_anywhere]"]) == ("0", "10")
    unjudged = properties(samples.machinery_failure())
    assert (unjudged["score"], unjudged["complete"], unjudged["score[test_request_cut_anywhere]"]) == ("", "false", "")


def test_junit_tells_failures_from_errors() -> None:
    cases = {case.attrib["name"]: case for case in junit.as_element(samples.machinery_failure()).iter("testcase")}
    assert cases["machinery"].find("error") is not None
    assert cases["test_request_cut_anywhere"].find("error") is not None
    failed = {c.attrib["name"]: c for c in junit.as_element(samples.early_answer()).iter("testcase")}
    failure = failed["test_request_cut_anywhere"].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "the server answered before the blank line had arrived"
    assert "▸ 5  peer" in (failure.text or "")
    build = junit.as_element(samples.build_failure()).find(".//testcase[@name='build']/failure")
    assert build is not None
    assert "expected ‘;’ before ‘return’" in (build.text or "")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    json_writer.write(samples.passing(), path)
    json_writer.write(samples.early_answer(), path)
    assert json.loads(path.read_text(encoding="utf-8"))["score"] == 25
    assert os.listdir(path.parent) == ["result.json"]  # noqa: PTH208 - hidden files too
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
