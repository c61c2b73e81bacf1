"""The chapters on UDP beside peers that nobody here wrote, and what the kernel does for them."""

import asyncio
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.build import build
from groundup.commands.trace import lines, traced
from groundup.course.chapter import find
from groundup.course.submission import read_submission
from groundup.errors import UsageError
from groundup.exchange import CLIENT, PORT
from groundup.grade import Job, grade
from groundup.link.decode import decode
from groundup.link.pcapng_reader import read
from groundup.vm.pair import Pair
from groundup.vm.snapshot import Snapshot

from .conftest import SEED, Tool

pytestmark = pytest.mark.pair

LOGGED = re.compile(r"(ground (?:in|out):)|PROTO=(\w+)|\b(SYN|ACK|FIN|RST)\b(?!=)")
"""What a line of the firewall's log says of a packet: which way, which protocol, which flags."""
HERE = Path(__file__).parent
FUNCTIONS = ["tcp_*", "udp_*", "__tcp_transmit_skb", "ip4_datagram_connect", "__dev_queue_xmit"]
FIREWALL = """
table inet ground {
    chain in { type filter hook input priority 0; meta l4proto { tcp, udp } log prefix "ground in: "; }
    chain out { type filter hook output priority 0; meta l4proto { tcp, udp } log prefix "ground out: "; }
}
"""


async def compiled(snapshot: Snapshot, chapter: str, out: Path) -> Path:
    """Compile a chapter's solution as a submission is."""
    found = find(chapter)
    submission = read_submission(found, found.directory)
    built = await build(submission, snapshot.image.root, out / found.program, cflags=found.cflags)
    assert built.program_path is not None, built.output
    return built.program_path


@pytest.mark.parametrize(("chapter", "tests", "number"), [("06", "udp_echo.py", 5), ("07", "udp_client.py", 6)])
def test_peers_that_nobody_here_wrote(
    snapshot: Snapshot, tmp_path: Path, chapter: str, tests: str, number: int
) -> None:
    program = asyncio.run(compiled(snapshot, chapter, tmp_path))
    (tmp_path / "tests").mkdir()
    shutil.copy(HERE / "peers" / tests, tmp_path / "tests" / f"test_{tests}")
    job = Job(replace(find(chapter), directory=tmp_path), None, program, seed=SEED)
    result = asyncio.run(grade(job, snapshot, tmp_path))
    assert not result.problems
    assert [(test.id, test.message) for test in result.tests if test.outcome != "pass"] == []
    assert len(result.tests) == number


def counts(found: dict[str, Any], system_call: str) -> Counter[str]:
    """Return how often each function was called in one kind of system call."""
    texts = [*found["system_calls"], ""]
    return Counter(name for index, name, _, _ in found["calls"] if texts[index].partition("(")[0] == system_call)


async def sh(pair: Pair, *argv: str) -> str:
    found, _ = await pair.server.call("sh", {"argv": list(argv), "deadline": 20})
    assert found["status"] == 0, found
    return str(found["stdout"])


async def passed(pair: Pair) -> list[str]:
    """Return what the server machine's firewall has logged so far, a line for each packet, in few words."""
    log = [line for line in (await sh(pair, "dmesg")).splitlines() if "ground " in line]
    return [" ".join(word for found in LOGGED.findall(line) for word in found if word) for line in log]


async def compare(snapshot: Snapshot, directory: Path) -> dict[str, Any]:
    """Have the clients of chapters 04 and 07 call somebody, under the eyes of ftrace, the firewall and the wire."""
    found: dict[str, Any] = {}
    programs = [await compiled(snapshot, chapter, directory) for chapter in ("04", "07")]
    async with Pair(snapshot, directory) as pair:
        for program in programs:
            await pair.server.call("install", {"name": program.name, "mode": 0o755}, program.read_bytes())
        await sh(pair, "sh", "-c", f"nft -f - <<'RULES'\n{FIREWALL}RULES")
        target = f"udp:{CLIENT}:{PORT}"
        found["connected"] = await traced(pair, "udp-client", FUNCTIONS, ["--count", "0", target])
        found["log after connect"] = await passed(pair)
        found["frames after connect"] = pair.wire.packets("eth0")
        found["asked"] = await traced(pair, "udp-client", ["udp_send_skb", "__skb_recv_udp"], stacks=True)
        found["log after asking"] = await passed(pair)
        found["fetched"] = await traced(pair, "http-client", FUNCTIONS)
        found["log"] = await passed(pair)
        found["frames"] = pair.wire.packets("eth0")
        with pytest.raises(UsageError, match="no kernel function has a name like"):
            await traced(pair, "udp-client", ["nosuch_*"])
    return found


def kinds(capture: bytes) -> list[str]:
    """Return the protocols of the packets in a capture."""
    return [decode(packet.data).protocol for packet in read(capture).packets]


def test_connect_sends_a_syn_on_tcp_and_nothing_on_udp(snapshot: Snapshot, tmp_path: Path) -> None:
    found = asyncio.run(compare(snapshot, tmp_path))

    # UDP: the call fills in a form.
    connect = counts(found["connected"], "connect")
    assert connect["ip4_datagram_connect"] == 1
    assert [name for name in connect if "xmit" in name or "transmit" in name or "send" in name] == []
    assert found["log after connect"] == []
    assert "udp" not in kinds(found["frames after connect"])

    # A datagram goes out in send(2), and is taken from the queue in recv(2).
    stacks = {name: stack for _, name, _, stack in found["asked"]["calls"]}
    assert stacks["udp_send_skb"][0] == "udp_sendmsg"
    assert stacks["__skb_recv_udp"][0] == "udp_recvmsg"
    assert "  ◂ udp_sendmsg" in "\n".join(lines(found["asked"], stacks=True))
    assert [line.split()[1:] for line in found["log after asking"]] == [["out:", "UDP"], ["in:", "UDP"]]

    # TCP: the call sends a SYN.
    connect = counts(found["fetched"], "connect")
    assert (connect["tcp_v4_connect"], connect["tcp_connect"], connect["__tcp_transmit_skb"]) == (1, 1, 1)
    log = [line for line in found["log"] if "TCP" in line]
    assert log[:3] == ["ground out: TCP SYN", "ground in: TCP ACK SYN", "ground out: TCP ACK"]
    assert any("FIN" in line for line in log)
    passed_by = [kind for kind in kinds(found["frames"]) if kind in {"tcp", "udp"}]
    assert passed_by[:5] == ["udp", "udp", "tcp", "tcp", "tcp"]


def test_trace_is_a_command(tool: Tool, tmp_path: Path) -> None:
    done = tool("trace", "07", "--path", find("07").directory, "udp_send_skb")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^sendto\(.*\n +1  udp_send_skb$", done.stdout, re.M), done.stdout
    wrong = tool("trace", "07", "--path", find("07").directory, "no such")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1), wrong.stderr
    missing = tool("trace", "07", "--path", tmp_path / "nothing", "udp_*")
    assert missing.returncode == 2
    assert "there is no" in missing.stderr
