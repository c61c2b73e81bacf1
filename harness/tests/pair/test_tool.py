"""The tool as its users meet it: exit statuses and files, an end by force, damage, a full disk, a missing package."""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from groundup.course.chapter import find
from groundup.paths import BUILD, ROOT, RUNS
from groundup.report.json_writer import SCHEMA_FILE
from groundup.storage import hold

from .conftest import Tool, damage

pytestmark = pytest.mark.pair

SOLUTION = find("01").source
MARK = "GROUNDUP_TEST_MARK"


def processes_with(mark: str) -> list[int]:
    """Return the processes whose environment holds `mark`: everything that a marked tool started, however far away."""
    found = []
    for entry in Path("/proc").iterdir():
        # A process may end, or belong to somebody else, while we look.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def wait_until(condition: object, seconds: float) -> bool:
    """Look again until `condition()` holds or the time is over; returns whether it held."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def in_namespace(script: str, **env: object) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a mount namespace of its own: what it mounts nobody else sees, and ends with it."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this host does not let us make namespaces")
    full = {**os.environ, **{name: str(value) for name, value in env.items()}}
    return subprocess.run(
        [*unshare, "sh", "-euc", script], env=full, capture_output=True, text=True, check=False, timeout=120
    )


def test_grade_writes_both_files(tool: Tool, tmp_path: Path) -> None:
    done = tool("grade", "01", SOLUTION, "--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["schema"] == "groundup/result/v1"
    assert result["score"] == result["max_score"] == 100
    assert result["seed"] == 7
    assert set(json.loads(SCHEMA_FILE.read_text())["required"]) <= set(result)
    assert "<testsuites" in (tmp_path / "r.xml").read_text()


def test_exit_statuses(tool: Tool, tmp_path: Path) -> None:
    broken = tmp_path / "listen.c"
    broken.write_text("int main(void) { return 0 }\n")
    done = tool("grade", "01", broken)
    assert done.returncode == 1
    assert "listen.c:1:" in done.stdout
    assert tool("grade", "99", broken).returncode == 2
    assert tool("grade", "01").returncode == 2
    missing = tool("grade", "01", tmp_path / "nothing")
    assert missing.returncode == 2
    assert len(missing.stderr.splitlines()) <= 2


def test_sigkill_leaves_nothing(tool: Tool) -> None:
    mark = uuid.uuid4().hex
    mounts = Path("/proc/self/mountinfo").read_text()
    command = [ROOT / "groundup", "grade", "01", SOLUTION]
    process = subprocess.Popen(command, env={**os.environ, MARK: mark}, stdout=subprocess.DEVNULL)

    def machines() -> list[int]:
        names = {pid: Path(f"/proc/{pid}/comm") for pid in processes_with(mark)}
        return [pid for pid, path in names.items() if path.exists() and path.read_text().startswith("qemu")]

    assert wait_until(lambda: len(machines()) == 2, 30)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not processes_with(mark), 10), processes_with(mark)
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not [path for path in BUILD.glob("*/**/*") if path.is_socket()]
    assert tool("grade", "01", SOLUTION).returncode == 0


def test_ctrl_c_leaves_nothing(tool: Tool) -> None:
    mark = uuid.uuid4().hex
    command = [ROOT / "groundup", "grade", "01", SOLUTION]
    process = subprocess.Popen(
        command, env={**os.environ, MARK: mark}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert wait_until(lambda: len(processes_with(mark)) >= 3, 30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"stopped" in errors
    assert b"Traceback" not in errors
    assert wait_until(lambda: not processes_with(mark), 10)


def test_two_tools_at_once() -> None:
    command = [ROOT / "groundup", "grade", "01", SOLUTION]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs


def test_nobody_reads_the_output(tool: Tool) -> None:
    """As in `groundup grade … | head -1`: the tool ends as soon as it notices, and says nothing about it."""
    command = [ROOT / "groundup", "grade", "01", SOLUTION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 3
        said = process.stderr.read()
    assert "Traceback" not in said
    assert "exception" not in said


def test_snapshots_that_are_used_stay(tool: Tool, other_build: dict[str, str], saved: Path) -> None:
    """Whatever another tool drops or cleans; what nobody uses goes."""
    lock = hold(saved)
    done = tool("clean", "--snapshots", env=other_build)
    assert f"left {saved}: another groundup uses it" in done.stdout
    assert (saved / "facts.json").exists()
    os.close(lock)
    done = tool("clean", "--snapshots", env=other_build)
    assert done.returncode == 0, done.stderr
    assert not saved.exists()


def test_truncated_snapshot_is_made_anew(tool: Tool, other_build: dict[str, str], saved: Path) -> None:
    memory = saved / "client.memory"
    (saved / "mark").touch()
    os.truncate(memory, memory.stat().st_size // 2)
    done = tool("grade", "01", SOLUTION, env=other_build)
    assert "the snapshot is damaged (client.memory has" in done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert (saved / "facts.json").exists()
    assert not (saved / "mark").exists()
    assert [path.name for path in saved.parent.iterdir() if path.is_dir()] == [saved.name]


def test_snapshot_with_cut_facts_is_made_anew(tool: Tool, other_build: dict[str, str], saved: Path) -> None:
    (saved / "facts.json").write_text('{"mode": "mapped", "fi')
    done = tool("setup", env=other_build)
    assert done.returncode == 0, done.stderr
    assert "the snapshot is damaged (facts.json is missing or cut)" in done.stderr
    assert json.loads((saved / "facts.json").read_text())["files"]


def test_damaged_snapshot_costs_no_points(tool: Tool, other_build: dict[str, str], saved: Path, tmp_path: Path) -> None:
    damage(saved / "server.state")
    done = tool("grade", "01", SOLUTION, "--json", tmp_path / "r.json", env=other_build)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "clean --snapshots" in done.stdout + done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["score"] is None


def test_no_room_for_a_run() -> None:
    done = in_namespace(f"mount -t tmpfs -o size=20m tmpfs {RUNS} && exec {ROOT}/groundup grade 01 {SOLUTION}")
    assert done.returncode == 3, done.stdout + done.stderr
    first, second = done.stderr.splitlines()
    assert first.startswith("groundup: a run needs 100 MB")
    assert "make room" in second


def test_no_room_for_a_snapshot(tmp_path: Path) -> None:
    script = f"mount -t tmpfs -o size=20m tmpfs {tmp_path} && ln -s {BUILD}/vm {BUILD}/venv {tmp_path}"
    done = in_namespace(f"{script} && exec {ROOT}/groundup grade 01 {SOLUTION}", GROUNDUP_BUILD=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    *_, first, second = done.stderr.splitlines()
    assert first.startswith("groundup: a snapshot of the pair needs 900 MB")
    assert "make room" in second


def test_disk_that_fills_while_a_snapshot_is_made(tmp_path: Path) -> None:
    """Nothing half-made stays, and what is said is short."""
    script = f"""
        mount -t tmpfs -o size=950m tmpfs {tmp_path} && ln -s {BUILD}/vm {BUILD}/venv {tmp_path}
        {ROOT}/groundup setup & tool=$!
        until [ -e {tmp_path}/snapshots/tmp*/client.memory ]; do sleep 0.05; done
        dd if=/dev/zero of={tmp_path}/filler bs=1M 2> /dev/null || :
        status=0; wait $tool || status=$?
        ls {tmp_path}/snapshots
        exit $status"""
    done = in_namespace(script, GROUNDUP_BUILD=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.split() == ["lock"]


@pytest.mark.parametrize(("chapter", "status"), [("01", 3), ("02", 0)])
def test_disk_that_fills_during_a_run(other_build: dict[str, str], tmp_path: Path, chapter: str, status: int) -> None:
    """Verdicts stand without a capture. A test that looks at the packets is not judged, which costs nothing either."""
    runs = Path(other_build["GROUNDUP_BUILD"]) / "runs"
    runs.mkdir()
    program = find(chapter).program
    script = f"""
        mount -t tmpfs -o size=110m tmpfs {runs}
        {ROOT}/groundup grade {chapter} {find(chapter).directory} --json {tmp_path}/r.json & tool=$!
        until [ -e {runs}/*/{program} ] && [ -e {runs}/*/eth1.pcapng ]; do sleep 0.01; done
        dd if=/dev/zero of={runs}/filler bs=1M 2> /dev/null || :
        status=0; wait $tool || status=$?
        df --output=avail {runs} | tail -n 1
        exit $status"""
    done = in_namespace(script, **other_build)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.split()[-1] == "0"
    result = json.loads((tmp_path / "r.json").read_text())
    outcomes = {test["id"]: test["outcome"] for test in result["tests"]}
    unjudged = [name for name, outcome in outcomes.items() if outcome != "pass"]
    assert unjudged == ([] if status == 0 else ["test_handshake_in_the_capture"]), outcomes
    assert "fail" not in outcomes.values()


def test_result_on_a_full_disk(tmp_path: Path) -> None:
    """The verdict is shown, the failure is said, and the file of an earlier run is as it was."""
    script = f"""
        mount -t tmpfs -o size=4k tmpfs {tmp_path}
        echo old > {tmp_path}/r.json
        status=0; {ROOT}/groundup grade 01 {SOLUTION} --json {tmp_path}/r.json || status=$?
        cat {tmp_path}/r.json
        ls -A {tmp_path}
        exit $status"""
    done = in_namespace(script)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "100 of 100 points" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["old", "r.json"]
    first, second = done.stderr.splitlines()
    assert first == f"groundup: cannot write {tmp_path}/r.json: No space left on device"
    assert "free some space" in second


@pytest.mark.parametrize("package", ["qemu-system-x86_64", "bwrap"])
def test_missing_package(package: str, tmp_path: Path) -> None:
    for directory in ("/usr/bin", "/bin", "/usr/sbin"):
        for path in Path(directory).iterdir():
            link = tmp_path / path.name
            if path.name != package and not link.is_symlink():
                link.symlink_to(path)
    command = [ROOT / "groundup", "grade", "01", SOLUTION]
    env = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    if package == "bwrap":  # then the server machine compiles
        assert done.returncode == 0, done.stdout + done.stderr
        return
    assert done.returncode == 3
    assert f"{package} is not installed" in done.stderr
    assert "make setup" in done.stderr
    assert len(done.stderr.splitlines()) == 2
