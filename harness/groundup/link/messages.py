"""What the numbers of ICMP messages mean, in words.

Sources: RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 5.2.7 (ICMP); RFC 4443, RFC 4861, RFC 3810 (ICMPv6).
"""

from typing import Final

ICMP_ERRORS: Final = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 13): "administratively prohibited",
    (5, 1): "redirect for the host",
    (11, 0): "time to live exceeded",
    (11, 1): "reassembly time exceeded",
    (12, 0): "parameter problem",
}

ICMPV6_ERRORS: Final = {
    (1, 0): "no route to the destination",
    (1, 1): "administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (2, 0): "packet too big",
    (3, 0): "hop limit exceeded",
    (3, 1): "reassembly time exceeded",
    (4, 0): "erroneous header field",
    (4, 1): "unknown next header",
    (4, 2): "unknown option",
}

ICMPV6_NAMES: Final = {
    128: "echo request",
    129: "echo reply",
    130: "multicast query",
    131: "multicast report",
    132: "multicast done",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    143: "multicast report",
}
