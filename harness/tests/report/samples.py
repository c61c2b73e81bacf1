"""Results to report: the runs that a learner meets, made through the events that bring them."""

from dataclasses import replace

from groundup.report.events import ResultBuilder
from groundup.result import BuildOutcome, ChapterResult, Outcome, PairFacts, TestResult

SEED = 8841
ACCELERATED = PairFacts("tcg", 0.113)
BUILT = BuildOutcome(True, 0.081)

PLAN = [
    {
        "id": "test_answers_a_whole_request",
        "title": "A request that arrives in one piece is answered.",
        "max_score": 20,
        "needs": [],
        "hidden": False,
        "file": "test_http_hello.py",
        "line": 12,
    },
    {
        "id": "test_request_cut_anywhere",
        "title": "A request may arrive in pieces of any size; the answer is the same.",
        "max_score": 10,
        "needs": ["test_answers_a_whole_request"],
        "hidden": False,
        "file": "test_http_hello.py",
        "line": 24,
    },
    {
        "id": "test_serves_the_next",
        "title": "After one client comes the next.",
        "max_score": 10,
        "needs": ["test_request_cut_anywhere"],
        "hidden": False,
        "file": "test_http_hello.py",
        "line": 40,
    },
    {
        "id": "test_secret_of_the_house",
        "title": "The lower half of the moon answers too.",
        "max_score": 5,
        "needs": [],
        "hidden": True,
        "file": "test_hidden.py",
        "line": 3,
    },
]
NAMES = [str(test["id"]) for test in PLAN]


def finished(name: str, outcome: str = "pass", **more: object) -> dict[str, object]:
    """Return the parameters of a `test_finished`."""
    most = next((test["max_score"] for test in PLAN if test["id"] == name), 10)
    return {
        "id": name,
        "outcome": outcome,
        "score": most if outcome == "pass" else 0,
        "seconds": 0.031,
        "message": "",
        "why": "",
        "steps": [],
        "read": [],
        "diff": None,
        "syscalls": [],
        "stdout": "",
        "stderr": "",
        **more,
    }


EARLY = finished(
    "test_request_cut_anywhere",
    "fail",
    seconds=0.214,
    message="the server answered before the blank line had arrived",
    why="One read(2) returns what is there, not what was sent.",
    steps=[
        {"n": 1, "actor": "server", "text": "started: ./http-hello --port 0", "detail": "listening on tcp:[::]:40113"},
        {"n": 2, "actor": "peer", "text": "connected from 192.0.2.2:51544"},
        {"n": 3, "actor": "peer", "text": "sent 14 of 31 bytes", "detail": "GET / HTTP/1.1"},
        {"n": 4, "actor": "server", "text": "read(4, …, 4096) = 14", "detail": "it has what was sent"},
        {
            "n": 5,
            "actor": "peer",
            "text": "expected silence until the request is whole, but received 121 bytes:",
            "detail": "HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\n…",
            "failed": True,
        },
    ],
    syscalls=[
        "accept4(3, NULL, NULL, SOCK_CLOEXEC) = 4",
        "read(4, …, 4096) = 14",
        "write(4, …, 121) = 121",
        "read(4, …, 4096) …",
    ],
    read=["read(2), RETURN VALUE", "RFC 9112, section 2.1"],
)
DIAGRAM = """\
client                    server
  │ ── SYN ───────────────▸ │
  │ ◂─────────── SYN, ACK ─ │
  │ ── ACK ───────────────▸ │
  │ ── 14 bytes ──────────▸ │   GET / HTTP/1.1
  │ ◂────────── 121 bytes ─ │   HTTP/1.1 200 OK          ◂ too early
"""
EXPECTED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"
RECEIVED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\nConnection: close\n\nhello\n"
BYTES = finished(
    "test_answers_a_whole_request",
    "fail",
    message="the head's lines do not all end with CR LF",
    why='In C a line of HTTP ends with "\\r\\n", both characters written out.',
    steps=[
        {"n": 1, "actor": "server", "text": "started: ./http-hello --port 0", "detail": "listening on tcp:[::]:40113"},
        {"n": 2, "actor": "peer", "text": "sent 31 bytes", "detail": "GET / HTTP/1.1"},
        {"n": 3, "actor": "peer", "text": "received other bytes than expected", "failed": True},
    ],
    diff={"expected": EXPECTED.hex(), "received": RECEIVED.hex()},
    stderr="http-hello: accept: Invalid argument\n",
    read=["RFC 9112, section 2.2"],
)


def builder(plan: list[dict[str, object]] | None = None) -> ResultBuilder:
    """Return a builder that has collected the plan."""
    made = ResultBuilder("02-http-hello", SEED)
    made.build, made.pair = BUILT, ACCELERATED
    made.event("collected", {"tests": PLAN if plan is None else plan})
    return made


def run(*events: dict[str, object]) -> ChapterResult:
    """Return the result of a run that reported these tests, and of which the others were never heard."""
    made = builder()
    for params in events:
        made.event("test_started", {"id": params["id"], "t": 1000.0})
        made.event("test_finished", params)
    return made.finish(1.324)


def passing() -> ChapterResult:
    """Return a run in which everything passed."""
    return run(*(finished(name) for name in NAMES))


def skipped(name: str) -> dict[str, object]:
    """Return the event of a skipped test."""
    return finished(name, "skipped", message="whatever the guest says", seconds=0)


def early_answer() -> ChapterResult:
    """Return a run that found an early answer; one test needs the failed one."""
    result = run(finished(NAMES[0]), EARLY, skipped(NAMES[2]), finished(NAMES[3]))
    return result.map_tests(_with_diagram)


def _with_diagram(test: TestResult) -> TestResult:
    if test.outcome is not Outcome.FAIL:
        return test
    return replace(test, diagram=DIAGRAM, capture="build/last/eth0.pcapng")


def byte_diff() -> ChapterResult:
    """Return a run that found wrong bytes, and of which the rest was skipped in a chain."""
    return run(BYTES, skipped(NAMES[1]), skipped(NAMES[2]), finished(NAMES[3]))


def hidden_failure() -> ChapterResult:
    """Return a run in which the hidden test failed, with data that nobody may see."""
    secret = finished(
        NAMES[3],
        "fail",
        message="SECRET message",
        why="SECRET reason",
        steps=[{"n": 1, "actor": "SECRET", "text": "SECRET text", "detail": "SECRET detail", "failed": True}],
        diff={"expected": b"SECRET bytes".hex(), "received": b"SECRET".hex()},
        syscalls=["SECRET()"],
        stdout="SECRET stdout",
        stderr="SECRET stderr",
        read=["SECRET(2)"],
    )
    return run(*(finished(name) for name in NAMES[:3]), secret)


def machinery_failure() -> ChapterResult:
    """Return a run that lost its client machine in the second test."""
    made = builder()
    made.event("test_finished", finished(NAMES[0]))
    made.event("test_started", {"id": NAMES[1], "t": 1000.0})
    made.problem("the client machine's QEMU ended with status 1")
    return made.finish(2.5)


def build_failure() -> ChapterResult:
    """Return a run of a source that does not compile."""
    made = ResultBuilder("02-http-hello", SEED, points=45)
    made.build = BuildOutcome(
        False,
        0.043,
        "http-hello.c: In function ‘main’:\n"
        "http-hello.c:12:5: error: expected ‘;’ before ‘return’\n"
        "   12 |     return 0;\n      |     ^~~~~~\n",
    )
    return made.finish(0.05)


HOSTILE = "\x1b[2J\x1b[1;1H\x1b]0;owned\x07✓ 02 all passed\r\u202etxt.exe\u202c\x9b31m\x85\u2028next\x00\ufeff\ud800"


def hostile() -> ChapterResult:
    """Return a run of a submission that writes escape sequences wherever it can."""
    return run(
        finished(
            NAMES[0],
            "fail",
            message=f"it printed {HOSTILE}",
            why=f"{HOSTILE}",
            steps=[
                {"n": 1, "actor": "server\x1b[31m", "text": f"printed {HOSTILE}", "detail": f"{HOSTILE}\n{HOSTILE}"},
                {"n": 2, "actor": "peer", "text": HOSTILE, "detail": HOSTILE, "failed": True},
            ],
            diff={"expected": b"hello\r\n".hex(), "received": HOSTILE.encode("utf-8", "replace").hex()},
            syscalls=[f"write(1, {HOSTILE})", f"\x1b[31mread({HOSTILE}) = {HOSTILE}"],
            stdout=HOSTILE,
            stderr="\n".join(f"{number} {HOSTILE}" for number in range(40)),
            read=[HOSTILE],
        ),
        *(skipped(name) for name in NAMES[1:3]),
        finished(NAMES[3]),
    )
