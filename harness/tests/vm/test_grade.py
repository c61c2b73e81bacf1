"""Results of jobs that never came to a pair."""

from groundup.course.chapter import find
from groundup.errors import EXIT_MACHINERY, MachineryError
from groundup.grade import Job, failed
from groundup.report import json_writer
from groundup.result import Outcome


def test_failed_before_it_began() -> None:
    chapter = find("01")
    result = failed(Job(chapter, seed=7), MachineryError("the guest image could not be built", "see the network"))
    assert result.score is None
    assert result.exit_status == EXIT_MACHINERY
    assert result.max_score == chapter.max_score
    assert result.problems == ("the guest image could not be built; see the network",)
    assert {test.outcome for test in result.tests} == {Outcome.INFRA}
    assert '"score": null' in json_writer.dumps(result)


def test_failed_with_some_tests_selected() -> None:
    chapter = find("01")
    name = chapter.tests[0].name
    result = failed(Job(chapter, select=(name,)), MachineryError("x"))
    assert [test.id for test in result.tests] == [name]
