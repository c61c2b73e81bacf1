"""Scapy's layers for CHAO, the protocol of chapter 10, in both forms."""

from scapy.fields import FieldLenField, StrField, StrFixedLenField, StrLenField
from scapy.layers.l2 import Ether
from scapy.packet import Packet, bind_layers

ETHERTYPE = 0x88B5
"""Local experimental EtherType 1 (IEEE 802)."""
MAGIC = b"CHAO"
SHORTEST = 60
"""Bytes of the shortest Ethernet frame, without the four of its checksum."""


class CHAO(Packet):
    """CHAO/1, behind an Ethernet header. What follows the message is padding."""

    name = "CHAO"
    fields_desc = [  # noqa: RUF012  (a list is what Scapy wants)
        StrFixedLenField("magic", MAGIC, 4),
        FieldLenField("length", None, length_of="message", fmt="!H"),
        StrLenField("message", b"", length_from=lambda packet: packet.length),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Return that nothing is carried, and that all of the rest is padding."""
        return b"", s

    def mysummary(self) -> str:
        """Say in a line what it is."""
        return f"CHAO {len(self.message)} bytes {self.message[:40]!r}"


class CHAO0(Packet):
    """CHAO/0: a frame by itself, whose magic is where the destination belongs. Zeros at its end are padding."""

    name = "CHAO/0"
    fields_desc = [StrFixedLenField("magic", MAGIC, 4), StrField("message", b"")]  # noqa: RUF012

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Return the frame, padded as Ethernet wants it."""
        return (pkt + pay).ljust(SHORTEST, b"\0")

    def post_dissect(self, s: bytes) -> bytes:
        """Take the padding off the message."""
        self.setfieldval("message", bytes(self.getfieldval("message")).rstrip(b"\0"))
        return s

    def mysummary(self) -> str:
        """Say in a line what it is."""
        return f"CHAO/0 {self.message[:40]!r}"


bind_layers(Ether, CHAO, type=ETHERTYPE)
