"""What a wrong outcome probably means: one sentence for the learner about the mistake behind it."""

import re
import signal
from collections.abc import Iterable, Sequence

from groundup_guest.rpc import Body

NUL = "It ends in a NUL: sizeof counts the terminating zero of a string literal, strlen does not."
NEWLINES = "Lines end in \\r\\n here, two bytes; these end in \\n alone."
NO_LINE_END = "The \\r\\n at the end is missing."
BUFFER = "There are zero bytes in it: a whole buffer was sent where only the part that holds data was meant."
CASE = "Only upper and lower case differ."
TWICE = "It was sent twice."
SHORT = (
    "A write(2) may take less than it was given; its return value says how much, and the rest has to be written again."
)

EARLY = "One read(2) returns what is there, not what was sent."
RESET = (
    "A socket that is closed while received bytes still wait unread in it sends a reset (RST) in place of an orderly "
    "end (FIN), and a reset can destroy what was sent before it. Read until the end before close(2)."
)
STILL_OPEN = (
    "The end of a stream is seen only when the last descriptor of the connection is closed, or shutdown(2) is called: "
    "the accepted descriptor is still open."
)
LEAK = "A descriptor that accept(2) returns has to be closed, close(2), on every way out of the conversation."
RESTLESS = (
    "A loop goes round without waiting: a call that returns at once is made again and again. read(2), for one, returns "
    "0 at the end of a stream, and 0 each time after; with an error such as EAGAIN it returns -1."
)
UNFLUSHED = (
    "It does listen, so the line probably waits in stdio's buffer: stdout is a pipe here, and printf(3) writes to a "
    "pipe only when its buffer is full. Call fflush(stdout) after it."
)
NO_LISTENER = "It has no socket either on which it could hear anybody: it has not come to listen(2) or bind(2)."
READY_LINE = (
    "ADDRESS is tcp:HOST:PORT, or tcp:[HOST]:PORT for IPv6, with udp: in place of tcp: for datagrams, or "
    "packet:INTERFACE on the link; nothing else may be printed on stdout."
)
DEAF = (
    "A handler must make the blocked call return: without SA_RESTART it fails with EINTR, and the loop around it then "
    "has to look at the flag that the handler has set."
)
LENGTH = "Content-Length is one too many: sizeof counts the NUL at the end of a string literal, which is not sent."

COMPLAINTS = (
    (
        r"\bbind\b.*: Invalid argument",
        "EINVAL from bind(2): the length has to be that of the structure, sizeof(struct sockaddr_in6) for IPv6.",
    ),
    (
        r"\baccept4?\b.*: Invalid argument",
        "EINVAL from accept(2): the socket does not listen, so listen(2) was not called.",
    ),
    (
        r": Address family not supported by protocol",
        "EAFNOSUPPORT: the family in the address, or that given to socket(2), is neither AF_INET nor AF_INET6.",
    ),
)
"""What strerror(3) says of some calls' failures, and the mistake behind it."""
SENDING = {"sendto", "sendmsg", "write", "writev"}

SIGNALS = {
    signal.SIGPIPE: (
        "Writing to a connection whose other end has gone raises SIGPIPE, which kills a process unless it ignores the "
        "signal or writes with MSG_NOSIGNAL; then the write fails with EPIPE."
    ),
    signal.SIGSEGV: "It touched memory that is not its own: a wild pointer, or an index beyond the end of a buffer.",
    signal.SIGBUS: "It touched memory that is not there, as beyond the end of a mapped file.",
    signal.SIGABRT: "It ended itself by abort(3): a failed assertion, a corrupted heap, or a smashed stack.",
    signal.SIGFPE: "It divided by zero.",
    signal.SIGILL: "It executed what is no instruction, as a sanitizer does on purpose when it finds a mistake.",
    signal.SIGTERM: "Its default action on SIGTERM is to die of it: install a handler with sigaction(2).",
    signal.SIGINT: "Its default action on SIGINT is to die of it: install a handler with sigaction(2).",
    signal.SIGALRM: "An alarm(2) that nobody handles ends a process.",
    signal.SIGXFSZ: "It wrote a file larger than it may.",
}


def first_difference(expected: bytes, received: bytes) -> int:
    """Return the offset of the first byte that differs, the shorter length if one begins with the other."""
    for offset, (wanted, got) in enumerate(zip(expected, received, strict=False)):
        if wanted != got:
            return offset
    return min(len(expected), len(received))


def compare(expected: bytes, received: bytes) -> str:
    """Return what probably went wrong where `received` came in place of `expected`; empty if there is no telling."""
    tests = (
        (received.startswith(expected + b"\0"), NUL),
        (received == expected.replace(b"\r\n", b"\n"), NEWLINES),
        (expected.endswith(b"\r\n") and received == expected[:-2], NO_LINE_END),
        (received.startswith(expected + expected), TWICE),
        (received.lower() == expected.lower(), CASE),
        (b"\0" in received and b"\0" not in expected, BUFFER),
        (len(received) < len(expected) and expected.startswith(received) and len(expected) > 4096, SHORT),
    )
    return next((sentence for applies, sentence in tests if applies), "")


def complaint(line: str) -> str:
    """Return the mistake behind the error that a program reports in `line`; empty if there is no telling."""
    return next((sentence for pattern, sentence in COMPLAINTS if re.search(pattern, line)), "")


def sent_on_listener(calls: Iterable[Body], listeners: Sequence[str]) -> str:
    """Return a sentence if one of these system calls tried to send on a listening socket; empty if none did."""
    for call in calls:
        descriptor = next(iter(call["args"]), "")
        if call["name"] in SENDING and descriptor in listeners and (call["result"] or "").startswith("-1 "):
            return (
                f"{call['text']}: descriptor {descriptor} is the listener, which carries no data. "
                "accept(2) returns another descriptor, for the connection: send on that one."
            )
    return ""


def signal_name(number: int) -> str:
    """Return a signal's name, or `signal N`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def death(number: int, *, oom: bool = False) -> str:
    """Return why a process probably died of a signal."""
    if oom:
        return "The kernel killed it because it had used up the memory that it may have (256 MiB)."
    try:
        return SIGNALS.get(signal.Signals(number), "")
    except ValueError:
        return ""


def ending(exit_: dict[str, object]) -> str:
    """Return how a program ended, for a sentence: `exited with status 1`, `was killed by SIGPIPE`."""
    if exit_.get("oom"):
        return "was killed by the kernel: out of memory"
    if exit_.get("signal") is not None:
        return f"was killed by {signal_name(int(str(exit_['signal'])))}"
    return f"exited with status {exit_.get('status')}"


def sanitizer_report(stderr: str) -> str:
    """Return the headline of a sanitizer's report in what a program wrote on stderr, empty if there is none."""
    for line in stderr.splitlines():
        if "ERROR: AddressSanitizer" in line or "ERROR: LeakSanitizer" in line or "WARNING: ThreadSanitizer" in line:
            return line.split("==")[-1].strip()[:300]
        if ": runtime error: " in line:
            return line.strip()[:300]
    return ""
