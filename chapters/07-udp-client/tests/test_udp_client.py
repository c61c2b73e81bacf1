"""Chapter 07: what `udp-client` asks of a server, whom it believes, how long it waits, and what it says of it.

The program runs in the machine called `server`; the test plays the UDP server, in the machine called `client`.
"""

import re
import struct
from dataclasses import dataclass

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from groundup_guest.scene import Scene
from groundup_guest.testing import Machine, Program, Server, Trace, Udp, Wire, needs, points, read

HEADER = 16
LARGEST = 65507
TIMED_OUT, UNREACHABLE = 3, 4
LONG = "10"
"""Seconds for --timeout where nothing is to be given up."""
SUMMARY = re.compile(
    r"^(\d+) messages, (\d+) datagrams sent, (\d+) answered, (\d+) lost \((\d+)%\), (\d+) late, (\d+) strange\n"
    r"(?:round trip min/avg/max = (\d+\.\d{3})/(\d+\.\d{3})/(\d+\.\d{3}) ms\n)?\Z",
    re.M,
)
NOWHERE = "198.51.100.7"
"""An address to which the program's machine has no route."""


@dataclass(frozen=True)
class Summary:
    """What the program says at its end; times in seconds, None where there are none."""

    messages: int
    sent: int
    answered: int
    lost: int
    percent: int
    late: int
    strange: int
    times: tuple[float, float, float] | None


def summary(program: Program) -> Summary:
    """Return the last lines of standard output, taken apart."""
    text = program.stdout
    found = SUMMARY.search(text)
    assert found, (
        "Standard output does not end in a line `N messages, N datagrams sent, N answered, N lost (N%), N late, N "
        "strange` and, if anything was answered, one `round trip min/avg/max = N.NNN/N.NNN/N.NNN ms`, but in: "
        f"{text[-300:]!r}"
    )
    trips = None
    if found[8]:
        shortest, average, longest = (float(each) / 1000 for each in found.groups()[7:])
        trips = (shortest, average, longest)
        assert shortest <= average <= longest, f"The average is not between the shortest and the longest: {found[0]}"
    messages, sent, answered, lost, percent, late, strange = map(int, found.groups()[:7])
    numbers = Summary(messages, sent, answered, lost, percent, late, strange, trips)
    if trips and numbers.answered == 2:
        middle = (trips[0] + trips[2]) / 2
        assert abs(trips[1] - middle) < 5e-6, (
            f"The average of two times lies half-way between them; not so in: {text[-200:]}"
        )
    assert (trips is not None) == (numbers.answered > 0), (
        f"The line `round trip min/avg/max = …` is there if something was answered, and only then; {numbers.answered} "
        "messages were."
    )
    return numbers


def says(program: Program, *, hint: str = "", **expected: int) -> Summary:
    """Expect some of the numbers of the summary to be these."""
    found = summary(program)
    for name, number in expected.items():
        assert getattr(found, name) == number, (
            f"The summary should say {number} {name}, and says {getattr(found, name)}. {hint}"
        )
    return found


def passing(scene: Scene, share: float) -> float:
    """Return the seconds of a wait that is to pass: a share of the slack, which grows with the machines' slowness."""
    return min(share * scene.deadlines.slack, 1.0)


def message(data: bytes) -> tuple[int, int, int]:
    """Return session, number and transmission from a datagram's header."""
    session, number, transmission = struct.unpack(">QII", data[:HEADER])
    return session, number, transmission


@points(11)
@read("getaddrinfo(3)", "connect(2)", "send(2)", "recv(2)", "byteorder(3)")
def test_asks_and_is_answered(server: Server, udp: Udp, scene: Scene) -> None:
    """Each message goes out with its header, the next one when the echo is there; over IPv4 and IPv6."""
    sessions = set()
    for family in (4, 6):
        responder = udp.listens(family)
        program = server.run("--count", "3", "--timeout", LONG, responder.target())
        found = responder.echoes(program, 3, hint="When a message has been answered, the next one goes out, at once.")
        headers = [message(datagram.data) for datagram in found]
        assert [header[1:] for header in headers] == [(1, 1), (2, 1), (3, 1)], (
            "The headers should say message 1, 2, 3, each in its first transmission; they say "
            + ", ".join(f"message {number:#x} transmission {transmission:#x}" for _, number, transmission in headers)
            + ". Numbers are of 32 bits, big-endian, htonl(3), behind the 8 bytes of the session."
        )
        assert len({header[0] for header in headers}) == 1, "The session is the same in all datagrams of a run."
        assert len({datagram.source for datagram in found}) == 1, "One socket asks, from one port."
        assert found[2].t - found[0].t < 3 * scene.deadlines.slack, (
            f"Each message was answered at once, and the third came {found[2].t - found[0].t:.1f} s after the first. "
            "Ping waits a second between two; here the next one goes out when the one before has been answered."
        )
        sessions.add(headers[0][0])
        program.exits(0)
        said = says(program, messages=3, sent=3, answered=3, lost=0, percent=0, late=0, strange=0)
        assert said.times and said.times[2] < 5, f"A round trip took {said.times} s, which cannot be."
    assert len(sessions) == 2 and all(each >> 32 and each & 0xFFFFFFFF for each in sessions), (
        f"The 8 bytes of session are random, all of them, and others in each run; here they were {sorted(sessions)}."
    )


@points(5)
@needs("test_asks_and_is_answered")
@read("udp(7)", "getopt_long(3)")
def test_sizes(server: Server, udp: Udp) -> None:
    """--size is the length of each datagram, header included, up to 65,507 bytes; without it there are 64."""
    responder = udp.listens()
    for size in (HEADER, 1473, LARGEST, None):
        options = [] if size is None else ["--size", str(size)]
        program = server.run("--count", "1", "--timeout", LONG, *options, responder.target())
        datagram = responder.echoes(program)[0]
        wanted = size or 64
        assert len(datagram.data) == wanted, f"--size {wanted}, and the datagram has {len(datagram.data)} bytes."
        program.exits(0, hint="What comes back may be as long as what was sent: the buffer has to hold that.")


@points(6)
@needs("test_asks_and_is_answered")
@read("getaddrinfo(3)", "RFC 6724, section 6", "hosts(5)")
def test_names(server: Server, udp: Udp, machine: Machine) -> None:
    """A name is resolved, and asked at the first address of the resolver's order; one that nobody has is status 4."""
    six = udp.listens(6)
    udp.listens(4, six.port)  # who begins with the other address asks here, and gets no answer
    machine.hosts({"ground.example": ["192.0.2.2", "2001:db8::2"]})
    program = server.run("--count", "1", "--timeout", LONG, six.target("ground.example"))
    six.echoes(program, hint="getaddrinfo(3) returns the addresses in the order of RFC 6724: begin with the first.")
    program.exits(0)
    unknown = server.run("udp:nobody.invalid:7")
    unknown.exits(UNREACHABLE, hint="The result of getaddrinfo(3) is no errno: gai_strerror(3) has the words.")
    unknown.prints_one_line(matching="udp-client: .+")


@points(9)
@needs("test_asks_and_is_answered")
@read("connect(2)", "udp(7)", "recv(2)")
def test_strangers(server: Server, udp: Udp, wire: Wire) -> None:
    """Others are not heard, though they send the right bytes; from the right one only the right bytes are an answer."""
    responder, stranger = udp.listens(), udp.listens()
    program = server.run("--count", "1", "--tries", "1", "--timeout", LONG, responder.target())
    asked = responder.receives(program)
    hint = (
        "A socket that connect(2) has tied to one address hears nobody else. Of what comes from there only what was "
        "sent, to the last byte, is an answer: not another session's, nor one that is a byte shorter or longer."
    )
    stranger.replies(asked.data, asked)  # the same machine, another port
    question = wire.capture().udp(to=responder.port)[0]
    wire.injects(spoofed(question, "192.0.2.77", asked.data))
    session, filling = asked.data[:8], asked.data[HEADER:]
    never_sent = ((1, 2), (1, 0), (1, 1 << 31), (0, 1), (2, 1), (0x10001, 1))
    wrong = {
        "an empty datagram": b"",
        "one of five bytes": b"hello",
        "one that is a byte too short": asked.data[:-1],
        "one that is a byte too long": asked.data + b"!",
        "one whose last byte is another": asked.data[:-1] + bytes([asked.data[-1] ^ 1]),
        "one whose session begins otherwise": bytes([session[0] ^ 1]) + asked.data[1:],
        "one whose session ends otherwise": session[:-1] + bytes([session[-1] ^ 1]) + asked.data[8:],
    }
    for number, transmission in never_sent:
        what = f"one with message {number}, transmission {transmission}"
        wrong[what] = session + struct.pack(">II", number, transmission) + filling
    for data in wrong.values():
        responder.replies(data, asked)
    responder.replies(asked.data, asked)
    program.exits(0)
    said, taken = summary(program), ""
    if 0 < said.strange < len(wrong) and said.late == 0:  # it ends with what it takes for its answer
        taken = f"If it has counted all that came before, it has taken {list(wrong)[said.strange]} for its answer. "
    says(program, messages=1, answered=1, lost=0, strange=len(wrong), late=0, hint=taken + hint)


def spoofed(question: Packet, source: str, data: bytes) -> Packet:
    """Return a frame that answers `question`, in somebody else's name."""
    ports = UDP(sport=question[UDP].dport, dport=question[UDP].sport)
    ethernet = Ether(src=question[Ether].dst, dst=question[Ether].src)
    frame: Packet = ethernet / IP(src=source, dst=question[IP].src) / ports / data
    return frame


@points(7)
@needs("test_asks_and_is_answered")
@read("RFC 768", "RFC 8085, section 3.3")
def test_late_answers(server: Server, udp: Udp, scene: Scene) -> None:
    """An answer that comes twice, or after its message was given up, is late; it is not taken for the next one's."""
    responder = udp.listens()
    wait = passing(scene, 1.5)
    program = server.run("--count", "3", "--tries", "1", "--timeout", f"{wait:.3f}", responder.target())
    first = responder.receives(program)
    second = responder.receives(program)  # the first has been given up
    for data in (first.data, second.data, second.data):
        responder.replies(data, second)
    third = responder.receives(program)
    responder.replies(third.data, third)
    program.exits(TIMED_OUT, hint="A message that was not answered in its time stays lost, whatever comes later.")
    program.prints_one_line(matching=r"udp-client: .*i/o timeout")
    hint = (
        "The answer to message 1 came while 2 was waited for, and a second one to message 2 while 3 was. Compare the "
        "number: what answers an earlier message is late, and ends no wait."
    )
    says(program, messages=3, sent=3, answered=2, lost=1, percent=33, late=2, strange=0, hint=hint)


@points(4)
@needs("test_asks_and_is_answered")
@read("connect(2)", "udp(7)", "strace(1)")
def test_connect_sends_nothing(server: Server, udp: Udp, wire: Wire, trace: Trace) -> None:
    """With --count 0 it resolves, connects, and says so: not one datagram goes over the wire."""
    responder = udp.listens()
    program = server.run("--count", "0", responder.target())
    program.exits(0)
    says(program, messages=0, sent=0, answered=0, lost=0, percent=0)
    calls = [call.text for call in trace.calls(program, "connect")]
    assert calls, "It has not called connect(2), which ties the socket to the server and sends nothing."
    frames = wire.capture().udp()
    assert not frames, f"It has sent something: {frames[0].summary()}"
    responder.sees_nothing()


@points(12)
@needs("test_asks_and_is_answered")
@read("ppoll(2)", "clock_gettime(2)", "socket(7), SO_RCVTIMEO")
def test_silence(server: Server, udp: Udp, trace: Trace, scene: Scene) -> None:
    """Nobody answers: --tries transmissions, each with twice the wait; then status 3 and `i/o timeout`, on time."""
    responder, other = udp.listens(), udp.listens()
    wait = passing(scene, 0.5)
    options = ("--count", "1", "--timeout", f"{7 * wait:.3f}")
    program = server.run(*options, responder.target())
    eight = server.run(*options, "--tries", "8", other.target())
    found = responder.receives_to_the_end(program)
    hint = "A silent server is a matter of time: ppoll(2) with a limit, and status 3 at the end."
    program.exits(TIMED_OUT, hint=hint)
    assert program.seconds > 6.5 * wait, (
        f"It gave up too early: --timeout {7 * wait:.3f}, and it ended after {program.seconds:.3f} s."
    )
    program.prints_one_line(matching=r"udp-client: .*i/o timeout")
    sent = [message(datagram.data)[1:] for datagram in found]
    assert sent == [(1, 1), (1, 2), (1, 3)], f"Three transmissions of message 1 were to come, but: {sent}."
    times, ended = own_times(trace, program, 3)
    first, both = times[1] - times[0], times[2] - times[0]
    assert first > 0.4 * wait, f"It did not wait long enough before it asked again: {first:.3f} s, not {wait:.3f} s."
    assert first < 2.2 * wait, (
        f"It asked again after {first:.3f} s. The three waits double, and are --timeout together, {7 * wait:.3f} s: so "
        f"the first is {wait:.3f} s. Ask early, then back off: who keeps asking makes a crowded network worse."
    )
    assert 2.5 * wait < both < 4.4 * wait, (
        f"The first two of three waits took {both:.3f} s. Each is twice as long as the one before: {3 * wait:.3f} s."
    )
    on_time(wait, ended - times[0])
    says(program, messages=1, sent=3, answered=0, lost=1, percent=100)
    sent = [message(datagram.data)[1:] for datagram in other.receives_to_the_end(eight)]
    assert sent == [(1, n) for n in range(1, 9)], f"With --tries 8 message 1 is sent eight times, but here: {sent}."
    eight.exits(TIMED_OUT, hint=hint)
    times, ended = own_times(trace, eight, 8)
    before = times[-1] - times[1]
    assert 2.9 * wait < before < 4.4 * wait, (
        f"With --tries 8 the last transmission came {before:.3f} s after the second. Waits of w, 2w, 4w, … 128w are "
        f"--timeout together, {7 * wait:.3f} s: so the last of them is half of it, and those before it the other half."
    )
    on_time(wait, ended - times[0])


def own_times(trace: Trace, program: Program, datagrams: int) -> tuple[list[float], float]:
    """Return when the program has sent so many datagrams, and when it has ended: by its own clock.

    On the wire the first one may have waited for ARP, and its start may have taken a slow machine a while.
    """
    calls = trace.calls(program, "sendto", "sendmsg", "sendmmsg", "write", "writev")
    times = [call.t for call in calls if call.args[0] not in ("1", "2") and call.result in ("64", "1")]
    assert len(times) == datagrams, (
        f"{datagrams} datagrams, and {len(times)} calls that sent them: {[call.text for call in calls]}."
    )
    return times, max(call.t for call in trace.calls(program, "exit_group"))


def on_time(wait: float, whole: float) -> None:
    """Expect a silent server to be given up in time: after seven times `wait`, and two more if the machine is slow."""
    assert whole < 9 * wait, (
        f"--timeout {7 * wait:.3f}, and the message was given up {whole:.3f} s after its first transmission."
    )


@points(8)
@needs("test_silence")
@read("RFC 8085, section 3.1", "RFC 6298, section 3", "clock_gettime(2)")
def test_loss_is_retried(server: Server, udp: Udp, wire: Wire, scene: Scene) -> None:
    """A question that gets no answer is asked again; the time is that of the transmission that was answered."""
    responder = udp.listens()
    wait = passing(scene, 0.6)
    program = server.run("--count", "2", "--timeout", f"{7 * wait:.3f}", responder.target())
    hint = "No answer within the first wait: the message is sent again, with the next number of transmission."
    responder.receives(program)  # and is lost
    again = responder.receives(program, hint=hint)
    assert message(again.data)[1:] == (1, 2), f"Message 1 should come again, but this is {message(again.data)[1:]}."
    responder.replies(again.data, again)
    first = responder.receives(program)
    while message(first.data)[1] == 1:  # again, before the answer was there: this machine is slow
        first = responder.receives(program)
    responder.receives(program, hint=hint)
    responder.replies(first.data, first)  # it is only slow
    responder.receives_to_the_end(program)
    program.exits(0, hint="An answer to an earlier transmission is an answer, too.")
    said = says(program, messages=2, answered=2, lost=0, percent=0)
    shortest, _, longest = said.times or (0.0, 0.0, 0.0)
    to_program, from_program = wire.capture().udp(to=again.source[1]), wire.capture().udp(to=responder.port)
    real = float(to_program[0].time) - float(from_program[1].time)
    assert shortest < real + 0.8 * wait, (
        f"The second transmission of message 1 was answered after {real:.3f} s, and it says {shortest:.3f} s: its time "
        "counts from the transmission that was answered, not from the first."
    )
    assert longest > 0.9 * wait, (
        f"The first transmission of message 2 was answered after more than {wait:.3f} s, and it says {longest:.3f} s: "
        "its time counts from the transmission that was answered, not from the last."
    )


@points(6)
@needs("test_strangers", "test_silence", "test_names")
@read("ppoll(2)", "clock_gettime(2)")
def test_strange_datagrams_buy_no_time(server: Server, udp: Udp, machine: Machine, scene: Scene) -> None:
    """Datagrams that are no answer do not put off the deadline, however many come, nor send it to the next address."""
    responder = udp.listens(6)
    other = udp.listens(4, responder.port)
    machine.hosts({"both.example": ["2001:db8::2", "192.0.2.2"]})
    wait = passing(scene, 1.0)
    target = responder.target("both.example")
    program = server.run("--count", "1", "--tries", "1", "--timeout", f"{wait:.3f}", target)
    asked = responder.receives(program)
    limit = wait + scene.deadlines.default
    responder.replies(b"no answer", asked)
    while (ended := program.call("wait", deadline=wait / 20)["exit"]) is None and program.seconds < limit:
        responder.replies(b"no answer", asked)
    assert ended is not None, (
        f"--timeout {wait:.3f}, and it still waits after {program.seconds:.1f} s, because something keeps "
        "coming. SO_RCVTIMEO, or a wait of the same length again, limits silence. Compute what is left of the time "
        "before each wait."
    )
    program.exits(TIMED_OUT)
    assert program.seconds > 0.9 * wait, (
        f"--timeout {wait:.3f}, and it gave up after {program.seconds:.3f} s. With --tries 1 the one wait is all of it."
    )
    other.sees_nothing(hint="Who does not answer may be slow: only an address that refuses gives way to the next.")
    assert says(program, answered=0, lost=1).strange > 0, "The datagrams that are no answer are counted as strange."


@points(6)
@needs("test_late_answers", "test_loss_is_retried")
@read("RFC 768", "RFC 8085, section 3.3")
def test_statistics(server: Server, udp: Udp, wire: Wire, scene: Scene) -> None:
    """On a wire that loses, doubles and reorders, the summary says what that wire has really done."""
    responder = udp.listens()
    troubles = {"drop": 0.25, "duplicate": 0.25, "reorder": 0.25, "first": 8}  # the last messages are left alone
    wire.faults({**troubles, "match": {"protocol": "udp"}})
    wait = passing(scene, 0.3)
    program = server.run("--count", "12", "--tries", "3", "--timeout", f"{7 * wait:.3f}", responder.target())
    responder.echoes_to_the_end(program)
    said, capture = summary(program), wire.capture()
    sent = capture.udp(to=responder.port)
    transmissions = {bytes(packet[UDP].payload) for packet in sent}
    assert said.sent == len(transmissions), (
        f"{len(transmissions)} transmissions, no two of them alike, were on the wire; the summary says {said.sent}."
    )
    arrived = [message(bytes(packet[UDP].payload))[1] for packet in capture.arrived().udp(to=sent[0][UDP].sport)]
    heard = arrived[: arrived.index(12) + 1]  # with the answer to its last message it ends
    assert said.answered + said.late == len(heard) and said.strange == 0, (
        f"{len(heard)} answers came in, those that came twice or late among them; the summary says {said.answered} "
        f"answered, {said.late} late, {said.strange} strange."
    )
    lost = 12 - len(set(arrived))
    assert said.messages == said.answered + said.lost == 12 and said.lost >= lost, (
        f"Of 12 messages {lost} were never answered; the summary says {said.messages} messages, {said.answered} "
        f"answered, {said.lost} lost."
    )
    program.exits(TIMED_OUT if said.lost else 0)


@points(8)
@needs("test_asks_and_is_answered")
@read("connect(2)", "udp(7), ERRORS", "recv(2), ECONNREFUSED")
def test_refused(server: Server, udp: Udp, wire: Wire, scene: Scene) -> None:
    """Where nobody has the port, or a firewall refuses, it ends at once with status 4 and says what strerror does."""
    responder = udp.listens()
    responder.closes()
    patience = 4 * scene.deadlines.default
    program = server.run("--timeout", f"{patience:.3f}", responder.target())
    hint = "The answer to a datagram that nobody wants is ICMP's: a connected socket gets it as ECONNREFUSED."
    program.exits(UNREACHABLE, hint=hint)
    program.prints_one_line(matching=r"udp-client: .*(?i:connection refused)", hint=hint)
    said = says(program, messages=1, answered=0, lost=1, percent=100)
    assert said.sent == 1, f"It has sent {said.sent} datagrams, though the first was refused: no answer will come."
    assert program.seconds < patience, "It has waited for its time to be up, though it had been refused."
    guarded = udp.listens()
    program = server.run("--timeout", f"{patience:.3f}", guarded.target())
    guarded.receives(program)
    question = wire.capture().udp(to=guarded.port)[0]
    prohibited = ICMP(type=3, code=13) / bytes(question[IP])
    frame = Ether(src=question[Ether].dst, dst=question[Ether].src)
    wire.injects(frame / IP(src=question[IP].dst, dst=question[IP].src) / prohibited)
    hint = "ICMP has more to say than that nobody has the port: of a firewall's refusal recv(2) makes EHOSTUNREACH."
    program.exits(UNREACHABLE, hint=hint)
    program.prints_one_line(matching="udp-client: .+", hint=hint)
    says(program, messages=1, sent=1, answered=0, lost=1, hint=hint)


@points(5)
@needs("test_refused", "test_names")
@read("recv(2), ECONNREFUSED", "udp(7), ERRORS")
def test_refused_in_the_middle(server: Server, udp: Udp, machine: Machine) -> None:
    """A server that goes away after it has answered is found out at the next message: status 4, and the summary."""
    responder = udp.listens(6)
    other = udp.listens(4, responder.port)
    machine.hosts({"both.example": ["2001:db8::2", "192.0.2.2"]})
    program = server.run("--count", "5", "--timeout", LONG, responder.target("both.example"))
    first = responder.receives(program)
    responder.replies(first.data, first)
    responder.closes()
    program.exits(UNREACHABLE)
    program.prints_one_line(matching=r"udp-client: .*(?i:connection refused)")
    says(program, messages=2, answered=1, lost=1, percent=50)
    other.sees_nothing(hint="The next address is asked where one refuses before it has answered anything.")


@points(5)
@needs("test_refused", "test_names")
@read("getaddrinfo(3), ai_next", "connect(2)")
def test_next_address(server: Server, udp: Udp, machine: Machine) -> None:
    """Where an address refuses before it has answered anything, the next one is asked, if it can be connected to."""
    responder = udp.listens()
    machine.hosts({"half.example": ["2001:db8::2", "192.0.2.2"]})
    program = server.run("--count", "2", "--timeout", LONG, responder.target("half.example"))
    asked = responder.receives(program, hint="One address that refuses is not the end of the name: go on with ai_next.")
    sockets = [each for each in program.descriptors() if each.target.startswith("socket:")]
    assert len(sockets) == 1, f"It has {len(sockets)} sockets now: that of the address that refused wants its close(2)."
    responder.replies(asked.data, asked)
    responder.echoes(program, 1)
    program.exits(0)
    says(program, messages=2, sent=2, answered=2, lost=0)
    assert program.stderr == "", f"It ends with status 0, and complains: {program.stderr}"
    responder.closes()
    machine.hosts({"less.example": ["192.0.2.2", NOWHERE]})
    program = server.run("--timeout", LONG, responder.target("less.example"))
    hint = "Where no other address can be connected to, it is the refusal that is worth telling of."
    program.exits(UNREACHABLE, hint=hint)
    program.prints_one_line(matching=r"udp-client: .*(?i:connection refused)", hint=hint)
    says(program, messages=1, sent=1, answered=0, lost=1, hint=hint)
    program = server.run(f"udp:{NOWHERE}:7")
    program.exits(UNREACHABLE, hint="connect(2) fails with ENETUNREACH where no route leads.")
    program.prints_one_line(matching=r"udp-client: .*(?i:unreachable).*")


@points(4)
@needs("test_loss_is_retried", "test_refused")
@read("send(2), ERRORS", "udp(7), ERRORS", "socket(2), EMFILE")
def test_calls_that_fail(server: Server, udp: Udp, scene: Scene) -> None:
    """What send(2) has no room for is lost, what it was refused ends the run, and without a socket the status is 1."""
    responder = udp.listens()
    sends = "sendto,sendmsg,sendmmsg"
    options = ("--count", "1", "--timeout", f"{7 * passing(scene, 0.4):.3f}", responder.target())
    program = server.run(*options, inject=f"{sends}:error=EAGAIN:when=1")
    hint = "It had no room: EAGAIN from send(2). That is as if lost on the way, and sent again after its wait."
    responder.echoes(program, hint=hint)
    program.exits(0)
    says(program, messages=1, sent=1, answered=1, hint="What the kernel would not take was not sent.")
    program = server.run("--timeout", LONG, responder.target(), inject=f"{sends}:error=ECONNREFUSED:when=2")
    if len(responder.echoes_to_the_end(program)) == 1:  # else it sends by another call
        hint = "The error of an earlier datagram comes from the next call, which may be send(2)."
        program.exits(UNREACHABLE, hint=hint)
        program.prints_one_line(matching=r"udp-client: .*(?i:connection refused)", hint=hint)
        says(program, messages=2, sent=1, answered=1, lost=1, hint=hint)
    program = server.run(*options, inject="socket:error=EMFILE")
    program.exits(1, hint="EMFILE is no word of the network's: it is about this program.")
    program.prints_one_line(matching="udp-client: .+")


@points(4)
@needs("test_asks_and_is_answered")
@read("getopt_long(3)", "strtoul(3)")
def test_options(server: Server, udp: Udp) -> None:
    """A wrong option, number or target is a usage error: one line, exit status 2. --help goes to standard output."""
    target = "udp:192.0.2.2:7"
    for arguments in (
        (),
        (target, target),
        ("192.0.2.2:7",),
        ("udp:192.0.2.2",),
        ("udp:192.0.2.2:0",),
        ("udp:192.0.2.2:65536",),
        ("udp:2001:db8::2:7",),
        ("udp:[2001:db8::2:7",),
        ("udp:[localhost]:7",),
        ("--count", "-1", target),
        ("--size", "15", target),
        ("--size", "65508", target),
        ("--tries", "0", target),
        ("--tries", "9", target),
        ("--timeout", "0", target),
    ):
        wrong = server.run(*arguments)
        wrong.exits(2)
        wrong.prints_one_line(matching="udp-client: .+")
    helped = server.run("--help")
    helped.exits(0)
    assert "--tries" in helped.stdout, f"--help names the options on standard output, and says only: {helped.stdout}"
    responder = udp.listens()
    good = server.run("--tries", "8", "--size", "16", "--count", "1", "--timeout", "10.5", responder.target())
    responder.echoes(good)
    good.exits(0)
