"""The Wireshark dissector of chapter 10, loaded by tshark, sees in frames what Scapy put into them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Padding
from scapy.utils import PcapNgWriter

from groundup.course.chapter import find
from groundup_guest.chao import CHAO, CHAO0, ETHERTYPE

from .support import PATIENCE, needs

SCRIPT = find("10").directory / "chao.lua"
HEADER = Ether(dst="52:54:00:00:01:01", src="52:54:00:00:01:02", type=ETHERTYPE)


@pytest.fixture
def dissected(tmp_path: Path) -> Any:
    """Return a function that gives frames to tshark, and returns the layers that it sees in each."""
    tshark = needs("tshark", "tshark")

    def dissect(*frames: Packet) -> list[dict[str, Any]]:
        capture = tmp_path / "frames.pcapng"
        with PcapNgWriter(str(capture)) as writer:
            for frame in frames:
                writer.write(Ether(bytes(frame)))
        command = [tshark, "-X", f"lua_script:{SCRIPT}", "-T", "json", "-r", capture]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert "lua" not in done.stderr.lower(), done.stderr
        return [found["_source"]["layers"] for found in json.loads(done.stdout)]

    return dissect


def test_both_forms(dissected: Any) -> None:
    framed, padded, raw, raw_empty, other = dissected(
        HEADER / CHAO(message=b"hello"),
        HEADER / CHAO(message=b"") / Padding(bytes(40)),
        CHAO0(message=b"headless"),
        CHAO0(),
        Ether() / IP() / UDP(sport=9, dport=9) / b"CHAO",
    )
    assert framed["eth"]["eth.src"] == "52:54:00:00:01:02"
    assert framed["chao"]["chao.length"] == "5"
    assert framed["chao"]["chao.text"] == "hello"
    assert framed["chao"]["chao.version"] == "1"
    assert padded["chao"]["chao.length"] == "0"
    assert "chao.message" not in padded["chao"]
    assert padded["chao"]["chao.padding"].count("00") == 40
    assert "eth" not in raw
    assert (raw["chao"]["chao.version"], raw["chao"]["chao.text"]) == ("0", "headless")
    assert "chao.message" not in raw_empty["chao"]
    assert "udp" in other
    assert "chao" not in other


def test_what_is_cut_short_or_not_ours(dissected: Any) -> None:
    short, half, other = dissected(
        HEADER / b"CHAO\0\x09four", HEADER / b"CHAO\0", HEADER / b"LOOP, another experiment with this EtherType"
    )
    for frame in (short, half):
        assert "chao.truncated" in json.dumps(frame["chao"])
    assert "chao.magic.other" in json.dumps(other["chao"])
