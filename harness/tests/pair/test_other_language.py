"""A server of another language and design gets full marks: a test demands what the lesson states, and nothing else."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.course.chapter import find
from groundup.paths import BUILD

from .conftest import Grade

PEERS = Path(__file__).with_name("peers")


pytestmark = pytest.mark.pair

GO_TAKES_OTHERWISE = {
    "test_chunk_extensions": "white space before a chunk's extension is refused (RFC 9110, 5.6.3)",
    "test_body_that_is_there": "100 comes even if the body is there already (RFC 9110, 10.1.1)",
    "test_echo_everywhere": "OPTIONS * is answered by net/http itself, and no handler sees it",
    "test_limits_of_the_head": "a head is bounded only to within a buffer, and 414 is unknown",
    "test_limits_of_the_body": "a chunk counts when its data come, and not when its size has",
    "test_limits_around_the_chunks": "a trailer is bounded by 4096 bytes",
    "test_bad_field_lines": "in Go 1.19, which Debian 12 has, a field without a name is passed over",
    "test_bad_content_lengths": "in Go 1.19 an empty length is none, and no handler sees it",
    "test_folded_lines": "a folded line is joined to the one before (RFC 9112, 5.2)",
    "test_bare_line_ends": "LF alone ends a line (RFC 9112, 2.2)",
    "test_two_lengths": "with both lengths the chunks count (RFC 9112, 6.1)",
    "test_content_length_twice": "two lengths that are the same are one (RFC 9110, 8.6)",
    "test_bad_chunks": "a name in a trailer may have a space in it",
}
"""Tests of chapter 03 that Go's net/http cannot pass, and why: where the RFCs leave a choice the lesson says which one
it takes (see Choices there), and Go takes the other."""


@pytest.fixture
def in_go(tmp_path: Path) -> Callable[[str], Path]:
    """Compile one of the servers in Go, static; what is compiled of its library is kept."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed (Debian's package golang-go): no server of another language is graded")

    def build(name: str) -> Path:
        program = tmp_path / name
        settings = {"CGO_ENABLED": "0", "GOCACHE": str(BUILD / "go"), "GOFLAGS": "-trimpath", "GO111MODULE": "off"}
        command = [go, "build", "-o", program, PEERS / f"{name}.go"]
        subprocess.run(command, env={**os.environ, **settings}, check=True, timeout=300)
        return program

    return build


def test_server_in_go(graded: Grade, in_go: Callable[[str], Path]) -> None:
    result = graded("02", program=in_go("http_hello"))
    assert result.passed, [(test.id, test.message) for test in result.tests if test.message]


def test_server_on_net_http(graded: Grade, in_go: Callable[[str], Path]) -> None:
    tests = {test.name for test in find("03").tests}
    assert tests >= GO_TAKES_OTHERWISE.keys()
    covered = tuple(sorted(tests - GO_TAKES_OTHERWISE.keys()))
    result = graded("03", program=in_go("http_parse"), select=covered)
    assert len(result.tests) == len(covered)
    assert result.passed, [(test.id, test.message) for test in result.tests if test.message]
