"""Chapter 10: `chao` on the bare link between the machines, eth1, on which neither kernel has an address."""

import random
import signal
import time

from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Padding

from groundup_guest.chao import CHAO, CHAO0, ETHERTYPE, MAGIC
from groundup_guest.scene import Scene
from groundup_guest.steps import FailedError
from groundup_guest.testing import Link, Links, Machine, Program, Server, Wire, needs, points, read

IFACE = "eth1"
GREETING = b"Hello, custom chao protocol!"
LONGEST = 1494
"""Bytes of a CHAO/1 message: what a frame's 1500 bytes of payload leave."""
MOST_ANSWERS = 8
"""To one message from one asker, each within a second of the one before: the lesson's contract."""
PAUSE = 1.0
"""Seconds without a message after which it is answered again."""
TRIES = 3
"""Where the machines are slow such a pause may come about by itself: then what is looked at begins anew."""
PATIENCE = 0.5
"""Seconds for --timeout where a test waits for it to pass."""
BROADCAST = "ff:ff:ff:ff:ff:ff"
STRANGER, GROUP = "02:00:00:00:00:09", "03:00:00:00:00:01"
TIMED_OUT = 3
HEARS_MORE = 0x100 | 0x200
"""IFF_PROMISC and IFF_ALLMULTI among an interface's flags (net/if.h)."""


def serves(server: Server, *options: str, hint: str = "") -> Program:
    """Start the program as a server, and look at where it says that it listens."""
    program = server.start("--interface", IFACE, *options, hint=hint)
    text = program.address.text
    assert text == f"packet:{IFACE}", f"The server's address is packet:{IFACE}, and its ready line says {text}."
    return program


def question(link: Link, message: bytes = b"", *, to: str = "", source: str = "") -> Packet:
    """Return a CHAO/1 frame for the server."""
    frame: Packet = Ether(dst=to or link.server_mac, src=source or link.mac, type=ETHERTYPE) / CHAO(message=message)
    return frame


def is_chao(frame: Packet) -> bool:
    """Return whether it is of CHAO's EtherType, whatever it carries."""
    return Ether in frame and frame.type == ETHERTYPE


def is_raw(frame: Packet) -> bool:
    """Return whether the frame itself begins with the magic."""
    return bytes(frame).startswith(MAGIC)


def answered(link: Link, message: bytes, *, hint: str = "") -> Packet:
    """Expect that the next CHAO frame is the answer to `message`, from the server's address to ours."""
    expected = message or GREETING

    def fits(frame: Packet) -> bool:
        return (
            CHAO in frame
            and (frame.src, frame.dst) == (link.server_mac, link.mac)
            and (frame[CHAO].magic, frame[CHAO].length, frame[CHAO].message) == (MAGIC, len(expected), expected)
        )

    what = f"the answer, {len(expected)} bytes" if message else "the greeting"
    return link.receives_next(fits, what=what, whose=is_chao, hint=hint)


def asks(link: Link, message: bytes = b"", *, hint: str = "") -> Packet:
    """Ask the server, and expect its answer."""
    link.sends(question(link, message))
    return answered(link, message, hint=hint)


def answered_raw(link: Link, message: bytes, *, hint: str = "") -> None:
    """Expect that the next CHAO/0 frame is the answer to `message`, with nothing but zeros behind it."""
    expected = MAGIC + (message or GREETING)

    def fits(frame: Packet) -> bool:
        return bytes(frame).startswith(expected) and not bytes(frame)[len(expected) :].strip(b"\0")

    link.receives_next(fits, what="the answer without a header", whose=is_raw, hint=hint)


@points(6)
@read("packet(7)", "RFC 9542, section 3", "bind(2)")
def test_greets(server: Server, link: Links) -> None:
    """An empty message is answered with the greeting, from the server's address to the asker's."""
    wire = link.on(IFACE)
    serves(server)
    hint = (
        "Has it read the frame, do its last calls say so (recvfrom)? If not: is the protocol in network byte order? "
        "What does the filter accept? What that returns is how many bytes are kept, and not yes or no."
    )
    asks(wire, hint=hint)


@points(6)
@needs("test_greets")
@read("recv(2)", "send(2)", "packet(7)")
def test_returns_messages(server: Server, link: Links, rng: random.Random) -> None:
    """Any other message comes back as it was, from a single byte to the longest that fits a frame."""
    wire = link.on(IFACE)
    serves(server)
    hint = "The two bytes behind the magic are the message's length, the high one first; a message may hold zeros."
    for size in (1, 255, 256, rng.randrange(257, LONGEST), LONGEST):
        asks(wire, rng.randbytes(size - 1) + b"\0", hint=hint)


@points(5)
@needs("test_returns_messages")
@read("RFC 894", "packet(7)")
def test_padding(server: Server, link: Links, rng: random.Random) -> None:
    """What follows the message in its frame is no part of it; what follows an answer is zeros, not old memory."""
    wire = link.on(IFACE)
    serves(server)
    asks(wire, rng.randbytes(LONGEST))
    wire.sends(question(wire, b"short") / Padding(rng.randbytes(40)))
    hint = "The length says where the message ends: Ethernet fills short frames up to 60 bytes."
    answer = answered(wire, b"short", hint=hint)
    rest = bytes(answer[Padding]) if Padding in answer else b""
    assert not rest.strip(b"\0"), (
        f"Behind the answer's message come {len(rest)} bytes that are not all zeros: {rest[:40]!r}. "
        "A buffer that is sent again sends what it held before."
    )


@points(5)
@needs("test_greets")
@read("packet(7), sll_pkttype", "RFC 894, address mappings")
def test_broadcast(server: Server, link: Links) -> None:
    """A question to everybody is answered to the asker alone, and from the server's own address."""
    wire = link.on(IFACE)
    serves(server)
    hint = "The answer goes from this interface's address: the question's destination is everybody's."
    for message in (b"", b"who is there?"):
        wire.sends(question(wire, message, to=BROADCAST))
        answered(wire, message, hint=hint)


@points(8)
@needs("test_returns_messages")
@read("packet(7)", "recv(2), MSG_TRUNC")
def test_no_questions(server: Server, link: Links, wire: Wire, rng: random.Random) -> None:
    """Runts, frames cut short, oversize ones, other magics and forged askers are not answered, and end nothing."""
    ours = link.on(IFACE)
    serves(server)
    header = Ether(dst=ours.server_mac, src=ours.mac, type=ETHERTYPE)
    long = header / CHAO(message=rng.randbytes(LONGEST + 1))
    cases = (
        (header / b"", "a frame that is a header alone", "There is less than the magic in it."),
        (header / b"CHA", "a frame that ends in the magic", "There is less than the magic in it."),
        (header / b"CHAO\0", "a frame that ends in the length", "Half of a length is none."),
        (header / b"CHAO\0\x05hell", "a frame one byte short", "Its length says 5, and 4 bytes have come."),
        (header / b"CHAO\xff\xffhello", "a frame of 65,535 bytes, it says", "Its length says more than has come."),
        (header / b"CHAP\0\0", "another protocol's frame", "Others use this EtherType as well: look at the magic."),
        (header / b"chao\0\0", "another magic", "The magic is in capitals."),
        (long, "a frame longer than Ethernet's", f"A message has {LONGEST} bytes at most."),
        (question(ours, b"x", source=BROADCAST), "a frame from everybody", "Nobody can be everybody."),
        (question(ours, b"x", source=GROUP), "a frame from a group", "The answer would go to a group."),
    )
    for number, (frame, what, hint) in enumerate(cases):
        wire.injects(frame, link=IFACE)
        ours.sends(question(ours, b"%d" % number))
        answered(ours, b"%d" % number, hint=f"Before it came {what}. {hint}")


@points(9)
@needs("test_greets")
@read("socket(7), SO_ATTACH_FILTER", "packet(7)", "bind(2)")
def test_only_its_own_are_delivered(server: Server, link: Links, rng: random.Random) -> None:
    """In a flood of other frames the kernel gives the server its own and no other: a filter keeps the rest out."""
    wire = link.on(IFACE)
    program = serves(server)
    link.delivered(program, 0, what="nothing yet")
    with wire.flooded(foreign(wire, rng), "frames of other protocols"):
        for message in (b"", b"still there?"):
            asks(wire, message)
    hint = (
        "SO_ATTACH_FILTER: the program that is attached decides in the kernel. The EtherType alone is not enough, as "
        "other protocols use it, too: the magic is part of the question."
    )
    link.delivered(program, 2, what="its own frames", hint=hint)


@points(8)
@needs("test_only_its_own_are_delivered")
@read("packet(7), socket with protocol 0", "bind(2)", "socket(7), SO_ATTACH_FILTER")
def test_filter_comes_first(server: Server, link: Links, rng: random.Random) -> None:
    """The filter is there before the first frame can come: nothing else gets in while the server starts, either."""
    wire = link.on(IFACE)
    with wire.flooded(foreign(wire, rng), "frames of other protocols"):
        # As when the program is held up between the calls, which may happen at any time.
        program = server.start("--interface", IFACE, inject="socket,bind:delay_exit=60000")
    hint = (
        "A packet socket hears from the moment that it has a protocol. So: socket(2) with protocol 0, then "
        "SO_ATTACH_FILTER, then bind(2) with protocol and interface."
    )
    link.delivered(program, 0, what="nothing before the first question", hint=hint)
    asks(wire)


def foreign(link: Link, rng: random.Random) -> list[Packet]:
    """Return frames that are for the server's machine or for all, and no CHAO."""
    return [
        Ether(dst=link.server_mac, src=link.mac, type=ETHERTYPE) / (b"LOOP" + rng.randbytes(60)),
        Ether(dst=BROADCAST, src=link.mac, type=0x88B6) / (MAGIC + b"\0\0" + rng.randbytes(60)),
        Ether(dst=BROADCAST, src=link.mac, type=0x0800) / rng.randbytes(90),
        Ether(dst=link.server_mac, src=link.mac, type=ETHERTYPE) / b"CHA",
    ]


@points(6)
@needs("test_greets")
@read("packet(7), PACKET_OTHERHOST", "packet(7), PACKET_AUXDATA", "IEEE 802.1Q")
def test_frames_for_others(server: Server, link: Links, machine: Machine) -> None:
    """Where the interface hears everything (tcpdump runs), what is meant for others, or a VLAN, is not answered."""
    wire = link.on(IFACE)
    program = serves(server)
    machine.promiscuous(IFACE)
    asks(wire, b"before")
    vlan = (
        "is marked PACKET_OTHERHOST where the socket is for one protocol: look at sll_pkttype. A socket for all of "
        "them is shown it before that: SKF_AD_VLAN_TAG_PRESENT."
    )
    for number, (frame, what, hint) in enumerate(
        (
            (
                question(wire, b"not you", to=STRANGER),
                "a frame to another address",
                "is marked PACKET_OTHERHOST: look at sll_pkttype.",
            ),
            (
                question(wire, b"not some", to=GROUP),
                "a frame to a group",
                "is marked PACKET_MULTICAST: look at sll_pkttype.",
            ),
            (
                Ether(dst=wire.server_mac, src=wire.mac) / Dot1Q(vlan=7, type=ETHERTYPE) / CHAO(message=b"not here"),
                "a frame of VLAN 7, whose tag the kernel takes off,",
                vlan,
            ),
        )
    ):
        wire.sends(frame, note=what)
        message = b"you: %d" % number
        wire.sends(question(wire, message))
        answered(wire, message, hint=f"{what[0].upper()}{what[1:]} {hint}")
    wire.receives_nothing_until(program.waits_for_next(), is_chao, what="an answer to others' questions")


@points(7)
@needs("test_returns_messages")
@read("packet(7)", "RFC 862")
def test_two_servers_fall_silent(server: Server, link: Links) -> None:
    """Two servers that hear each other do not go on for ever: the same words in a row are answered eight times."""
    wire = link.on(IFACE)
    serves(server)
    hint = (
        "An answer looks like a question. Count how often the same message from the same address is answered; after "
        f"{MOST_ANSWERS} times in a row be silent until another comes, or a second has passed without it."
    )

    def goes_on(message: bytes) -> int:
        """Say the same for longer than a second; return how often it was answered after the first eight times."""
        for _ in range(MOST_ANSWERS):
            asks(wire, message, hint=hint)  # the test is the other server, and says each time what it has heard
        until, more = time.monotonic() + 1.1 * PAUSE, 0
        while time.monotonic() < until:
            wire.sends(question(wire, message))
            more += wire.next_frame(is_chao) is not None
        return more

    more, message = 0, b""
    for number in range(TRIES):
        message = b"echo? %d" % number
        more = goes_on(message)
        if not more:
            break
    if more:
        text = f"The same message was answered {MOST_ANSWERS} times in a row, and then {more} times more."
        raise FailedError(text, f"{hint} The second is counted from the last time that it came.")
    wire.sends(question(wire, message, source=STRANGER))
    wire.receives_next(
        lambda frame: CHAO in frame and frame.dst == STRANGER,
        what="the answer to somebody else",
        whose=is_chao,
        hint="Who else asks the same has eight answers of his own: the address counts as well as the message.",
    )
    asks(wire, b"something else", hint="Another message is answered.")


@points(4)
@needs("test_greets")
@read("packet(7), ERRORS", "netdevice(7)")
def test_interface_goes_down(server: Server, link: Links, machine: Machine) -> None:
    """An interface that goes down and comes up again does not end the server."""
    wire = link.on(IFACE)
    program = serves(server, hint="ENETDOWN is told once; when the interface is up the socket hears again.")
    asks(wire, b"before")
    machine.restarts(IFACE)
    program.settles()
    asks(wire, b"after", hint="ENETDOWN from recv(2) is told once: read on.")


@points(3)
@needs("test_greets")
@read("signal(7)", "getopt_long(3)", "netdevice(7)")
def test_begins_and_ends(server: Server, link: Links) -> None:
    """Wrong usage is told apart from an interface that is not there; SIGTERM ends the server within a second."""
    cases = (
        ((), 2, "", "An interface has to be named."),
        (("--interface", IFACE, "52:54:00:00:01"), 2, "", "That address has five bytes."),
        (("--interface", IFACE, "any", "a", "b"), 2, "", "There are two operands at most."),
        (("--interface", IFACE, "--raw", "52:54:00:00:01:02"), 2, "", "CHAO/0 has no addresses."),
        (("--interface", IFACE, "any", "x" * (LONGEST + 1)), 2, "", f"A message has {LONGEST} bytes at most."),
        (("--interface", "eth9"), 1, "eth9", "The line says which call failed, and on what."),
        (("--interface", "a-name-that-no-interface-has"), 2, "", "An interface's name has 15 bytes at most."),
    )
    for wrong, (_, status, says, hint) in zip([server.run(*arguments) for arguments, *_ in cases], cases, strict=True):
        wrong.exits(status=status, hint=hint)
        wrong.prints_one_line(matching=rf"chao: .*{says}.*", hint=hint)
    wire = link.on(IFACE)
    program = serves(server)
    asks(wire)
    program.signals(signal.SIGTERM)
    program.exits(status=0, within=1.0)


@points(6)
@needs("test_greets")
@read("packet(7)", "send(2)")
def test_asks(server: Server, link: Links) -> None:
    """As a client the program sends one frame, from its own address to the one that is asked, and prints the answer."""
    wire = link.on(IFACE)
    for target, to, message in ((wire.mac, wire.mac, b"how are you?"), ("any", BROADCAST, b"")):
        words = [message.decode()] if message else []
        program = server.run("--interface", IFACE, "--timeout", "10", target, *words)
        asked = wire.receives_next(lambda frame: CHAO in frame, what="a question", whose=is_chao)
        found = (asked[CHAO].magic, asked[CHAO].length, asked[CHAO].message)
        assert found == (MAGIC, len(message), message), f"Magic, length and message of the question are {found!r}."
        assert asked.src == wire.server_mac, f"It comes from {asked.src}, not from its interface's {wire.server_mac}."
        assert asked.dst == to, f"It goes to {asked.dst}, not to {to}."
        for other in (b"good morning", b""):
            wire.sends(question(wire, other), note="what is no answer to that")
        wire.sends(question(wire, message or GREETING))
        program.exits(0)
        program.wrote((message or GREETING) + b"\n", hint="Only the greeting answers an empty message.")


@points(6)
@needs("test_asks")
@read("packet(7)", "clock_gettime(2)", "ppoll(2)")
def test_waits_for_its_answer(server: Server, link: Links) -> None:
    """What others say meanwhile, or the same one to others, is no answer; the client waits for its own."""
    wire = link.on(IFACE)
    program = server.run("--interface", IFACE, "--timeout", "10", wire.mac, "my words")
    wire.receives(is_chao, what="a question")
    header = Ether(dst=wire.server_mac, src=wire.mac, type=ETHERTYPE)
    for frame, what in (
        (question(wire, b"my words", source=STRANGER), "a stranger's"),
        (question(wire, b"other words"), "with other words"),
        (question(wire, GREETING), "to an empty question"),
        (question(wire, b"my words", to=BROADCAST), "to everybody"),
        (question(wire, b"my words, and more"), "that is longer"),
        (header / b"CHAO\0\x08my wor", "that is cut short"),
        (question(wire), "that is empty"),
    ):
        wire.sends(frame, note=f"an answer {what}")
        program.settles(
            hint=f"An answer {what} has come, which is none to this question: the client waits for its own."
        )
    wire.sends(question(wire, b"my words"))
    program.exits(0)
    program.wrote(b"my words\n")


@points(5)
@needs("test_asks")
@read("clock_gettime(2)", "ppoll(2)", "socket(7), SO_RCVTIMEO")
def test_time_out(server: Server, link: Links) -> None:
    """Without an answer the client says `i/o timeout` after --timeout, exit status 3, whatever else comes meanwhile."""
    wire = link.on(IFACE)
    with wire.flooded([question(wire, b"not that", source=STRANGER), question(wire, b"nor this")], "other answers"):
        program = server.run("--interface", IFACE, "--timeout", str(PATIENCE), wire.mac, "anybody?")
        hint = "The deadline is for the whole wait: each frame that comes leaves less of it."
        program.exits(TIMED_OUT, within=5 * PATIENCE, hint=hint)
    program.prints_one_line(matching=r"chao: .*i/o timeout")
    wire.receives(is_chao, what="a question")
    again = wire.next_frame(is_chao)
    assert again is None, "The client sends one frame, and waits: it has asked again."
    assert program.seconds > 0.95 * PATIENCE, f"It gave up after {program.seconds:.3f} s of {PATIENCE} s."


@points(6)
@needs("test_greets")
@read("packet(7), PACKET_ADD_MEMBERSHIP", "packet(7), ETH_P_ALL", "RFC 1112, section 6.4")
def test_raw_answers(server: Server, link: Links, wire: Wire, rng: random.Random) -> None:
    """With --raw the server answers frames that begin with the magic, though it is where the destination belongs."""
    ours = link.on(IFACE)
    program = serves(server, "--raw")
    link.delivered(program, 0, what="nothing yet")
    hint = (
        "The magic is read as a destination, 43:48:41:4f:…, which is a group's address: ask the interface to hear "
        "groups. And what is read as the EtherType are two bytes of the message: ETH_P_ALL."
    )
    # Bytes 8 and 9 are read as the EtherType: by chance they might be that of a VLAN's tag.
    messages = (b"", b"headless", b"0123456789" + rng.randbytes(390).replace(b"\0", b"x"), b"x" * 1510)
    for message in messages:
        ours.sends(CHAO0(message=message))
        answered_raw(ours, message, hint=hint)
    for frame in foreign(ours, rng):
        ours.sends(frame)
    wire.injects(MAGIC + b"y" * 1511, link=IFACE)
    more = 3 * MOST_ANSWERS
    for _ in range(more):
        ours.sends(CHAO0(message=b"echo?"))
    ours.sends(CHAO0(message=b"something else"))
    said: list[bytes] = []
    while not (said and said[-1].startswith(MAGIC + b"something else")):
        said.append(bytes(ours.receives(is_raw, what="an answer without a header")))
    assert not said[0].startswith(MAGIC + b"y"), "It answered a frame of 1515 bytes: a message has 1510 at most."
    # Where the machines are slow a second may have passed once, so that the count began again.
    assert len(said) - 1 <= 2 * MOST_ANSWERS, (
        f"The same message was answered {len(said) - 1} times of {more}: here, too, two servers would go on for ever."
    )
    own = len(messages) + 1 + more + 1
    link.delivered(program, own, what="its own frames", hint="Here, too, the filter looks for the magic.")


@points(5)
@needs("test_raw_answers")
@read("packet(7), PACKET_OUTGOING", "packet(7), sll_pkttype")
def test_raw_ignores_what_goes_out(server: Server, link: Links) -> None:
    """A socket for all protocols is shown what other programs of its machine send: those are no questions to it."""
    wire = link.on(IFACE)
    programs = [serves(server, "--raw") for _ in range(2)]
    for program in programs:
        link.delivered(program, 0, what="nothing yet")
    wire.sends(CHAO0(message=b"once"))
    for _ in programs:
        answered_raw(wire, b"once", hint="Two servers run: each of them hears the question, and answers it.")
    hint = "Frames that this machine sends are marked PACKET_OUTGOING: let the filter refuse them."
    programs[0].settles()
    wire.receives_nothing_until(programs[1].waits_for_next(), is_raw, what="an answer to an answer", hint=hint)
    for program in programs:
        link.delivered(program, 1, what="one question", hint=hint)


@points(5)
@needs("test_raw_answers")
@read("packet(7), PACKET_MR_ALLMULTI", "RFC 1112, section 6.4", "IEEE 802, section 8.2")
def test_raw_is_heard_by_who_listens(server: Server, link: Links, scene: Scene) -> None:
    """A frame without a header is sent to nobody: without --raw the interface is left as it is, and hears none."""
    ours = link.on(IFACE)
    program = serves(server)
    ours.sends(CHAO0(message=b"hello?"), note="a frame without a header")
    asks(ours, b"with a header")
    ours.receives_nothing_until(program.waits_for_next(), is_raw, what="an answer without a header")
    flags = int(scene.host.server("sh", argv=["cat", f"/sys/class/net/{IFACE}/flags"])["stdout"], 16)
    assert not flags & HEARS_MORE, (
        "Without --raw the interface was made to hear groups, or everything (its flags say so)."
    )
    link.delivered(program, 1, what="the question with a header")
    program.signals(signal.SIGINT)
    program.exits(0)
    client = server.run("--interface", IFACE, "--raw", "--timeout", "10", "any", "hello?")
    ours.receives(lambda frame: bytes(frame).startswith(b"CHAOhello?\0"), what="a question without a header")
    for message in (b"hello", b"hello? yes"):
        ours.sends(CHAO0(message=message))
        client.settles(hint=f"{message!r} has come, which is not what was asked: the client waits for its own words.")
    ours.sends(CHAO0(message=b"hello?"))
    client.exits(0)
    client.wrote(b"hello?\n")
