"""The plugin over real programs, natively: outcomes, needs, order, broken machinery, what the host is told."""

from tests.guest.backend import Backend

GOOD = '''
@points(10)
@read("read(2)")
def test_hello(server, tcp):
    """A line is answered. Nothing else is said here."""
    server.start()
    peer = tcp.connect(server)
    peer.sends(b"hi", of=3)
    peer.stays_silent_until(server.has_read(peer))
    peer.sends(b"\\n")
    peer.receives(b"hello\\n")
    peer.sees_close()
'''


def test_a_good_server_passes(backend: Backend) -> None:
    outcome = backend.run(GOOD)
    assert outcome.status == 0
    (collected,) = outcome.of("collected")
    assert collected["tests"] == [
        {
            "id": "test_hello",
            "title": "A line is answered.",
            "max_score": 10,
            "needs": [],
            "hidden": False,
            "file": "test_subject.py",
            "line": 5,
        }
    ]
    result = outcome.only
    assert (result["outcome"], result["score"], result["message"]) == ("pass", 10, "")
    assert outcome.of("test_started")[0]["id"] == "test_hello"


def test_a_failure_carries_all_that_the_report_shows(backend: Backend) -> None:
    outcome = backend.run(GOOD.replace("start()", 'start("--mistake", "answers-early")'))
    result = outcome.only
    assert outcome.status == 1
    assert (result["outcome"], result["score"]) == ("fail", 0)
    assert result["message"] == "The server answered after 2 of 3 bytes."
    assert result["why"] == "One read(2) returns what is there, not what was sent."
    assert result["read"] == ["read(2)"]
    assert result["stdout"].startswith("listening on tcp:0.0.0.0:")
    steps = result["steps"]
    assert [step["actor"] for step in steps] == ["server", "peer", "peer", "peer"]
    assert [step["n"] for step in steps] == [1, 2, 3, 4]
    assert steps[0]["text"].startswith("started: ./subject --mistake answers-early → listening on tcp:")
    assert steps[2] == {"n": 3, "actor": "peer", "text": "sent 2 of 3 bytes", "detail": "hi", "failed": False}
    assert steps[3]["failed"]
    assert steps[3]["text"] == "expected silence until the server has read all 2 bytes, but received 6 bytes:"
    assert steps[3]["detail"] == r"hello\n"


def test_bytes_that_differ_come_with_both_sides(backend: Backend) -> None:
    result = backend.run(GOOD.replace("start()", 'start("--mistake", "wrong-bytes")')).only
    assert result["diff"] == {"expected": b"hello\n".hex(), "received": b"hallo\n".hex()}
    assert "from offset 1 on" in result["steps"][-1]["text"]


def test_a_test_is_skipped_where_one_that_it_needs_has_not_passed(backend: Backend) -> None:
    outcome = backend.run(
        """
@points(1)
@needs("test_b")
def test_a():
    pass

@points(2)
def test_b():
    assert 1 + 1 == 3

@points(4)
@needs("test_a")
def test_c():
    pass
"""
    )
    assert [result["id"] for result in outcome.of("test_finished")] == ["test_b", "test_a", "test_c"]
    results = outcome.results
    assert results["test_b"]["message"] == "The test expected: 1 + 1 == 3"
    assert results["test_a"]["outcome"] == results["test_c"]["outcome"] == "skipped"
    assert results["test_a"]["message"] == "not run: it needs test_b, which did not pass"
    assert results["test_a"]["score"] == 0


def test_a_selected_test_runs_without_what_it_needs(backend: Backend) -> None:
    source = '@needs("test_b")\ndef test_a():\n    pass\n\ndef test_b():\n    assert False\n'
    assert [found["id"] for found in backend.run(source, select_=["test_a"]).of("test_finished")] == ["test_a"]
    assert backend.run(source, independent=True).results["test_a"]["outcome"] == "pass"


def test_what_failed_last_may_come_first(backend: Backend) -> None:
    source = "def test_a():\n    pass\n\ndef test_b():\n    pass\n"
    assert [found["id"] for found in backend.run(source, first=["test_b"]).of("test_finished")] == ["test_b", "test_a"]


def test_parameters_make_several_tests_of_one(backend: Backend) -> None:
    source = """
import pytest

@points(2)
@pytest.mark.parametrize("n", [1, 2])
def test_a(n):
    assert n == 1

@needs("test_a")
def test_b():
    pass
"""
    outcomes = {name: result["outcome"] for name, result in backend.run(source).results.items()}
    assert outcomes == {"test_a[1]": "pass", "test_a[2]": "fail", "test_b": "skipped"}


def test_a_test_that_does_not_end_fails_with_its_limit(backend: Backend) -> None:
    result = backend.run("@timeout(0.2)\ndef test_a():\n    signal.pause()\n").only
    assert result["outcome"] == "fail"
    assert result["message"] == "The test did not end within 0.2 s."


def test_a_mistake_in_a_test_is_no_verdict(backend: Backend) -> None:
    result = backend.run("def test_a(server):\n    server.begin()\n").only
    assert result["outcome"] == "infra"
    assert result["score"] is None
    assert "AttributeError" in result["message"]
    assert "test_subject.py:5" in result["message"]


def test_a_broken_machine_is_no_verdict(backend: Backend) -> None:
    backend.broken.add("server.drained")
    result = backend.run(GOOD).only
    assert result["outcome"] == "infra"
    assert "the machine has caught fire" in result["message"]


def test_a_test_file_that_cannot_be_read_is_said(backend: Backend) -> None:
    outcome = backend.run("def test_a(:\n")
    assert outcome.status not in (0, 1)
    assert "SyntaxError" in outcome.of("log")[0]["text"]
    assert not outcome.of("collected")


def test_needing_or_asking_for_what_does_not_exist_is_said(backend: Backend) -> None:
    assert (
        "needs test_z, which does not exist"
        in backend.run("@needs('test_z')\ndef test_a():\n    pass\n").of("log")[0]["text"]
    )
    assert backend.run(GOOD, select_=["test_z"]).of("log")[0]["text"] == "there is no test test_z"


def test_random_numbers_follow_from_the_seed_and_the_test(backend: Backend) -> None:
    source = "def test_a(rng):\n    assert False, rng.random()\n\ndef test_b(rng):\n    assert False, rng.random()\n"
    first, second = backend.run(source).results, backend.run(source).results
    assert first["test_a"]["message"] == second["test_a"]["message"] != first["test_b"]["message"]


def test_test_modules_may_share_one_of_their_own(backend: Backend) -> None:
    source = "from shared_words import WORD\n\ndef test_a():\n    assert WORD == 'shared'\n"
    result = backend.run(source, beside={"shared_words.py": b"WORD = 'shared'\n"}).only
    assert (result["outcome"], result["message"]) == ("pass", "")


def test_a_module_may_end_in_tests_that_are_skipped(backend: Backend) -> None:
    source = """
def test_a():
    assert False, "on purpose"

@needs("test_a")
def test_b():
    pass
"""
    results = backend.run(source, beside={"test_theirs.py": b"def test_c():\n    pass\n"}).results
    assert {name: result["outcome"] for name, result in results.items()} == {
        "test_a": "fail",
        "test_b": "skipped",
        "test_c": "pass",
    }
