"""Scapy's layers for CHAO: what they write is the lesson's form, and what they read comes back."""

from scapy.layers.l2 import Ether
from scapy.packet import Padding, Raw

from groundup_guest.chao import CHAO, CHAO0, ETHERTYPE

HEADER = bytes.fromhex("525400000101 525400000102 88b5")


def test_with_a_header() -> None:
    frame = Ether(dst="52:54:00:00:01:01", src="52:54:00:00:01:02", type=ETHERTYPE) / CHAO(message=b"hello")
    assert bytes(frame) == HEADER + b"CHAO\0\x05hello"
    read = Ether(HEADER + b"CHAO\0\x05hello" + bytes(35))
    assert (read[CHAO].magic, read[CHAO].length, read[CHAO].message) == (b"CHAO", 5, b"hello")
    assert bytes(read[Padding]) == bytes(35)
    assert read.summary() == "Ether / CHAO 5 bytes b'hello' / Padding"


def test_what_makes_no_sense_is_read_nevertheless() -> None:
    assert CHAO not in Ether(HEADER)
    assert Ether(HEADER + b"CHAO\0\x09four")[CHAO].message == b"four"
    assert Ether(HEADER + b"LOOP\0\x01x")[CHAO].magic == b"LOOP"
    assert Raw in Ether(HEADER + b"CHA") or Ether(HEADER + b"CHA")[CHAO].magic == b"CHA"


def test_without_a_header() -> None:
    assert bytes(CHAO0(message=b"hello")) == b"CHAOhello" + bytes(51)
    assert bytes(CHAO0(message=b"x" * 100)) == b"CHAO" + b"x" * 100
    assert CHAO0(b"CHAOhello" + bytes(51)).message == b"hello"
    assert CHAO0(b"CHAO" + bytes(56)).message == b""
    assert "CHAO/0" in CHAO0(message=b"hello").summary()
