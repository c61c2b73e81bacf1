import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from groundup.build import Limits, SandboxError, Submission, build, probe
from groundup.course.submission import SourceFile
from groundup.errors import MachineryError
from groundup.paths import HARNESS

GOOD = '#include <stdio.h>\nint main(void)\n{\n    puts("hello");\n    return 0;\n}\n'
# Ten million numbers, one by one: gcc reads them for seconds.
SLOW = "#define A 1,1,1,1,1,1,1,1,1,1\n" + "".join(
    f"#define {name} {','.join([previous] * 10)}\n" for previous, name in zip("ABCDEF", "BCDEFG", strict=True)
)
SLOW += "int a[] = {G, G, G, G};\nint main(void) { return 0; }\n"


def one(text: str | bytes, name: str = "http-hello.c") -> Submission:
    return Submission((SourceFile(name, text.encode() if isinstance(text, str) else text),))


def processes_with(name: str) -> list[str]:
    """Command lines of all processes of the machine that hold `name`, other than this one's and zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def wait_until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_a_program_is_built(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "listen"
    out.write_text("an old one")
    result = asyncio.run(build(one(GOOD), root, out))
    assert (result.ok, result.output, result.warnings, result.program_path) == (True, "", 0, out)
    assert out.read_bytes().startswith(b"\x7fELF")
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["listen"]
    assert 0 < result.seconds < 5


def test_every_build_of_a_source_makes_the_same_bytes(tmp_path: Path, root: Path) -> None:
    for name in ("one", "two"):
        asyncio.run(build(one(GOOD), root, tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_static_program_runs_here(tmp_path: Path, root: Path) -> None:
    asyncio.run(build(one(GOOD), root, tmp_path / "a", static=True))
    assert subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout == b"hello\n"


def test_sanitizers_and_flags(tmp_path: Path, root: Path) -> None:
    source = one("#ifndef ANSWER\n#error none\n#endif\nint main(int n, char **v) { (void)v; return n + ANSWER; }\n")
    assert not asyncio.run(build(source, root, tmp_path / "a")).ok
    assert asyncio.run(build(source, root, tmp_path / "a", sanitize=True, cflags=["-DANSWER=1"])).ok
    for symbol in (b"__asan_init", b"__ubsan_handle_add_overflow"):
        assert symbol in (tmp_path / "a").read_bytes()


def test_several_sources_and_headers(tmp_path: Path, root: Path) -> None:
    texts = {
        "main.c": '#include "conn.h"\nint main(void) { return conn(); }\n',
        "conn.c": '#include "conn.h"\nint conn(void) { return 0; }\n',
        "conn.h": "int conn(void);\n",
    }
    result = asyncio.run(build(Submission.of_texts(texts), root, tmp_path / "a"))
    assert (result.ok, result.output) == (True, "")
    texts["main.c"] += "int conn(void) { return 1; }\n"
    result = asyncio.run(build(Submission.of_texts(texts), root, tmp_path / "a"))
    assert "\nconn.c:2: multiple definition of `conn'; main.c:3: first defined here" in result.output
    assert "/tmp" not in result.output


def test_warnings_are_shown_and_counted_and_are_no_errors(tmp_path: Path, root: Path) -> None:
    result = asyncio.run(
        build(one("int main(void)\n{\n    int x;\n    return 1 == 2 == 3;\n}\n"), root, tmp_path / "a")
    )
    assert (result.ok, result.warnings) == (True, 2)
    assert "http-hello.c:3:9: warning: unused variable 'x' [-Wunused-variable]" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("int main(void)\n{\n    retrn 0;\n}\n", "http-hello.c:3:5: error: 'retrn' undeclared"),
        ("int f(void);\nint main(void)\n{\n    return f();\n}\n", "http-hello.c:4: undefined reference to `f'"),
        ("int größe = falsch;\n", "int größe = falsch;"),
        ("", "undefined reference to `main'"),
    ],
)
def test_a_failed_build_is_a_verdict_in_gccs_words(tmp_path: Path, root: Path, source: str, words: str) -> None:
    result = asyncio.run(build(one(source), root, tmp_path / "a"))
    assert (result.ok, result.program_path) == (False, None)
    assert words in result.output
    assert "/src" not in result.output
    assert "/tmp" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_debugging_information_names_no_place_of_the_sandbox(tmp_path: Path, root: Path) -> None:
    asyncio.run(build(one(GOOD), root, tmp_path / "a"))
    assert b"/src" not in (tmp_path / "a").read_bytes()


def test_a_refused_submission_is_a_verdict(tmp_path: Path, root: Path) -> None:
    result = asyncio.run(build(Submission(refusal="listen.c is a symbolic link"), root, tmp_path / "a"))
    assert (result.ok, result.output) == (False, "listen.c is a symbolic link\n")


def test_many_at_once(tmp_path: Path, root: Path) -> None:
    async def all_of_them() -> list[bool]:
        builds = [build(one(GOOD, f"n{n}.c"), root, tmp_path / str(n)) for n in range(8)]
        return [result.ok for result in await asyncio.gather(*builds)]

    assert asyncio.run(all_of_them()) == [True] * 8


def test_cancelling_ends_the_compiler(tmp_path: Path, root: Path) -> None:
    name = f"cancel-{os.getpid()}.c"

    async def cancelled() -> None:
        task = asyncio.create_task(build(one(SLOW, name), root, tmp_path / "a"))
        while not any("cc1" in line for line in processes_with(name)):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert processes_with(name) == []

    asyncio.run(asyncio.wait_for(cancelled(), 10))


def test_cancelling_at_any_moment_of_the_start(tmp_path: Path, root: Path) -> None:
    name = f"early-{os.getpid()}.c"

    async def cancelled_after(delay: float) -> None:
        task = asyncio.create_task(build(one(SLOW, name), root, tmp_path / "a"))
        await asyncio.sleep(delay)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=2)
        assert done, f"cancelled after {delay * 1000:.1f} ms, still running 2 s later"
        assert task.cancelled()
        assert processes_with(name) == []

    for step in range(60):
        asyncio.run(cancelled_after(step * 0.0002))


def test_killing_the_tool_ends_the_compiler(tmp_path: Path, root: Path) -> None:
    name = f"killed-{os.getpid()}.c"
    (tmp_path / name).write_text(SLOW)
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom groundup.build import Submission, build\n"
        "path = Path(sys.argv[1])\n"
        "asyncio.run(build(Submission.read(path, ['a.c']), Path(sys.argv[2]), path.with_name('out')))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / name, root], cwd=HARNESS) as tool:
        assert wait_until(lambda: any("cc1" in line for line in processes_with(name)), 10)
        tool.send_signal(signal.SIGKILL)
    assert wait_until(lambda: processes_with(name) == [], 5), processes_with(name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_nothing_is_left_behind(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    mounts = Path("/proc/self/mountinfo").read_text()
    descriptors = open_descriptors()
    name = f"left-{os.getpid()}.c"
    limits = Limits(wall_seconds=0.3)
    assert asyncio.run(build(one(GOOD, name), root, tmp_path / "out" / "a")).ok
    assert not asyncio.run(build(one("x", name), root, tmp_path / "out" / "b")).ok
    assert not asyncio.run(build(one(SLOW, name), root, tmp_path / "out" / "c", limits=limits)).ok
    assert processes_with(name) == []
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert open_descriptors() == descriptors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_as_an_ordinary_user(root: Path) -> None:
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom groundup.build import Submission, build\n"
        "print(asyncio.run(build(Submission.of_texts({'a.c': 'int main(void) { return 0; }'}), Path(sys.argv[1]), "
        "Path(sys.argv[2]) / 'a')))\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        needed = (sys.executable, HARNESS, root / "usr")
        if any(subprocess.run(["test", "-x", path], **nobody, check=False).returncode for path in needed):
            pytest.skip("other users may not enter the checkout, or not run its Python")
        ran = subprocess.run(
            [sys.executable, "-c", script, root, directory], cwd=HARNESS, **nobody, capture_output=True, check=False
        )
    assert b"ok=True" in ran.stdout, ran


def test_probe(root: Path, tmp_path: Path) -> None:
    asyncio.run(probe(root))
    with pytest.raises(MachineryError, match=r"there is no compiler in .*; run 'make setup'"):
        asyncio.run(probe(tmp_path))
    with pytest.raises(MachineryError, match=r"there is no compiler in .*; run 'make setup'"):
        asyncio.run(build(one(GOOD), tmp_path, tmp_path / "a"))


@pytest.mark.parametrize(
    ("says", "cause", "remedy"),
    [
        ("bwrap: Creating new namespace failed: Operation not permitted", "Operation not permitted", "user namespaces"),
        ("bwrap: setting up uid map: Permission denied", "uid map: Permission denied", "user namespaces"),
        ("bwrap: Unknown option --size", "Unknown option --size", "bubblewrap 0.7 or newer"),
        ("sh: 1: ulimit: error setting limit", "ulimit: error", "ulimit -H"),
    ],
)
def test_a_sandbox_that_cannot_be_made_is_the_machinerys_fault(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, says: str, cause: str, remedy: str
) -> None:
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for attempt in (probe(root), build(one(GOOD), root, tmp_path / "a")):
        with pytest.raises(MachineryError) as caught:
            asyncio.run(attempt)
        assert cause in caught.value.message
        assert remedy in caught.value.remedy


def test_a_sandbox_that_never_begins_is_the_machinerys_fault(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a verdict on the submission nor a wait without an end; nothing of it is left running."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # A child goes on when its parent is killed, as bubblewrap's first one would.
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\ncat {pipe} &\nwait\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("groundup.build._START_SECONDS", 0.1)

    async def attempt() -> bool:
        begun = asyncio.Event()
        with pytest.raises(SandboxError, match="it said nothing"):
            await build(one(GOOD), root, tmp_path / "a", limits=Limits(wall_seconds=0.2), begun=begun)
        return begun.is_set()

    assert not asyncio.run(attempt())
    assert not processes_with(str(pipe))


def test_says_when_the_compiler_runs(tmp_path: Path, root: Path) -> None:
    async def begins() -> bool:
        begun = asyncio.Event()
        building = asyncio.create_task(build(one(SLOW), root, tmp_path / "a", begun=begun))
        await begun.wait()
        running = not building.done()
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        return running

    assert asyncio.run(begins())


def test_bubblewrap_is_missing(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineryError, match="bubblewrap is not installed; install it: apt-get install bubblewrap"):
        asyncio.run(build(one(GOOD), root, tmp_path / "a"))


def test_a_program_that_cannot_be_put_down(tmp_path: Path, root: Path) -> None:
    with pytest.raises(MachineryError, match=r"cannot write .*/none/a: No such file"):
        asyncio.run(build(one(GOOD), root, tmp_path / "none" / "a"))
