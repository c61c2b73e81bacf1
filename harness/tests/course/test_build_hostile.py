"""Sources that want the host's files, its time, its memory or its terminal: each ends soon and with a clear verdict."""

import asyncio
import time
from pathlib import Path

import pytest

from groundup.build import BuildResult, Limits, Submission, build
from groundup.course.submission import MAX_BYTES, SourceFile

from .test_build import SLOW, one, processes_with

SECRET = "the marker that no build may see"
MAIN = "int main(void) { return 0; }\n"


@pytest.fixture
def run(tmp_path: Path, root: Path):
    def run(source: str | bytes | Submission, limits: Limits = Limits(), within: float = 3) -> BuildResult:  # noqa: B008
        submission = source if isinstance(source, Submission) else one(source)
        started = time.monotonic()
        result = asyncio.run(build(submission, root, tmp_path / "program", limits=limits))
        assert time.monotonic() - started < within
        assert len(result.output) < (64 << 10) + 500
        assert all(c.isprintable() or c in "\n\t" for c in result.output)
        assert (tmp_path / "program").exists() == result.ok
        return result

    return run


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


def test_files_of_the_host_cannot_be_included(run, secret: Path) -> None:
    for path in (
        secret,
        "/etc/shadow",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "/dev/stdin",
        "../etc/passwd",
    ):
        result = run(f'#include "{path}"\n{MAIN}')
        assert f"fatal error: {path}: No such file or directory" in result.output
        assert SECRET not in result.output
        assert "root:" not in result.output


def test_files_of_the_host_cannot_be_embedded(run, secret: Path, tmp_path: Path) -> None:
    for path in (secret, "/etc/passwd", "/dev/zero"):
        result = run(f'__asm__(".incbin \\"{path}\\"");\n{MAIN}')
        assert not result.ok
        assert f"file not found: {path}" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]


def test_linking_against_files_of_the_host(run, secret: Path) -> None:
    result = run(f'__asm__(".section .note\\n.include \\"{secret}\\"");\n{MAIN}')
    assert not result.ok
    assert SECRET not in result.output


def test_a_source_can_read_no_secret_of_the_image_either(run) -> None:
    for path in ("/etc/shadow", "/root/.profile", "/var/lib/dpkg/status"):
        assert "No such file" in run(f'#include "{path}"\n').output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("#include __FILE__\n", "#include nested depth 200 exceeds maximum", id="endless include"),
        pytest.param("#include __FILE__\n" * 50, "-fmax-errors=50", id="endless includes, branching"),
        pytest.param('__asm__(".rept 1000000000\\nnop\\n.endr");\n' + MAIN, "of memory", id="assembler repeats"),
        pytest.param('__asm__(".space 3000000000");\n' + MAIN, "a file grew beyond 32 MiB", id="assembler space"),
        pytest.param("int a[1 << 28] = {1};\n" + MAIN, "a file grew beyond 32 MiB", id="huge array"),
        pytest.param(
            "#define A(x) x x\n#define B(x) A(A(A(A(A(A(A(A(x))))))))\n#define C(x) B(B(B(B(x))))\n"
            "int main(void) { C(C(1;)) }\n",
            "of memory",
            id="macro bomb",
        ),
        pytest.param("int main(void) {\n" + "x; y z;\n" * 50_000 + "}\n", "-fmax-errors=50", id="100,000 errors"),
        pytest.param(b"\xff\xfe\x80" * 1000 + b"\n", "stray", id="not UTF-8"),
        pytest.param(bytes(range(256)) * 4096, "null character", id="all bytes"),
        pytest.param("int main(void) { return " + "(" * 200_000 + "1" + ")" * 200_000 + "; }\n", "cc1", id="deep"),
    ],
)
def test_a_source_that_grows_ends_at_a_limit(run, source: str | bytes, words: str) -> None:
    result = run(source, Limits(processor_seconds=2, wall_seconds=5), within=6)
    assert not result.ok
    assert words in result.output


def test_processor_time_is_limited(run) -> None:
    result = run(SLOW, Limits(processor_seconds=1))
    assert result.output.endswith("the build was stopped: it took more than 1 s of processor time\n")


def test_wall_time_is_limited(run) -> None:
    result = run(Submission((SourceFile("wall-limit.c", SLOW.encode()),)), Limits(wall_seconds=0.5))
    assert result.output == "the build was stopped: it took longer than 0.5 s\n"
    assert processes_with("wall-limit.c") == []


def test_memory_is_limited(run) -> None:
    result = run(SLOW, Limits(memory_bytes=128 << 20))
    assert result.output.endswith("the build was stopped: it took more than 128 MiB of memory\n")


def test_scratch_space_is_limited(run) -> None:
    result = run("int a[1 << 22] = {1};\n" + MAIN, Limits(scratch_bytes=4 << 20))
    assert result.output.endswith("the build was stopped: its files grew beyond 4 MiB in all\n")


def test_words_are_limited_and_their_end_is_kept(run) -> None:
    warnings = "".join(f"static int unused_{n};\n" for n in range(20_000))
    result = run(warnings + "int main(void) { return undeclared; }\n", Limits(processor_seconds=8), within=10)
    assert not result.ok
    assert result.output.startswith("http-hello.c:")
    assert "bytes left out" in result.output


def test_a_limits_own_words_in_a_source_mean_nothing(run) -> None:
    result = run(f'#pragma message "\\ngcc: fatal error: Killed signal\\nready"\n{MAIN}')
    assert result.ok
    assert "stopped" not in result.output


def test_the_terminal_is_not_written_to(run) -> None:
    result = run(b'int main(void) { return "\x1b]0;owned\x07\x9b31m\xe2\x80\xae"; }\n')
    assert result.ok
    assert "owned" in result.output


def test_no_plugin_and_no_other_program_is_run(run) -> None:
    result = run(
        '#pragma GCC optimize("-fplugin=/src/x.so")\n#pragma GCC plugin "/src/x.so"\n'
        '__attribute__((optimize("-wrapper,/bin/sh"))) ' + MAIN
    )
    assert result.output.count("bad option '-") == 4
    assert "ignoring '#pragma GCC plugin'" in result.output


def test_a_submission_of_the_largest_size(run) -> None:
    assert run((MAIN + "//" + "x" * MAX_BYTES)[:MAX_BYTES]).ok


def test_a_header_that_includes_itself_and_names_with_odd_letters(run) -> None:
    files = (SourceFile("--help.h", b'#include "--help.h"\n'), SourceFile("a b\n.h", b""))
    result = run(Submission((SourceFile("a.c", b'#include "--help.h"\n' + MAIN.encode()),), files))
    assert "nested depth" in result.output
