"""The kernel's functions, as the function tracer writes them down, and the system calls that they belong to."""

from pathlib import Path

import pytest

from groundup_guest.functions import Functions, by_system_call, parse
from groundup_guest.programs import ProgramError, Programs
from groundup_guest.syscalls import Syscall

TRACE = """\
# tracer: function
#
        launcher-277     [000] .....     6.790000: udp_poll <-sock_poll
      udp-client-277     [000] .....     6.820001: ip4_datagram_connect <-inet_dgram_connect
CPU:0 [LOST 12 EVENTS]
      udp-client-277     [000] b..1.     6.820011: udp_sendmsg <-inet_sendmsg
      udp-client-277     [000] .....     6.820012: <stack trace>
 => trace_function
 => udp_sendmsg
 => inet_sendmsg
 => __sys_sendto
      udp-client-278     [000] .....     6.820013: udp_poll <-sock_poll
      udp-client-278     [000] ..s2.     6.820014: udp_rcv <-ip_protocol_deliver_rcu
      udp-client-278     [000] ..s2.     6.820015: <stack trace>
 => udp_rcv
"""


def test_a_trace_is_read_with_its_stacks_and_without_launcher_and_interrupts() -> None:
    calls = parse(TRACE.splitlines())
    assert [(call.pid, call.name, call.caller, call.stack) for call in calls] == [
        (277, "ip4_datagram_connect", "inet_dgram_connect", []),
        (277, "udp_sendmsg", "inet_sendmsg", ["inet_sendmsg", "__sys_sendto"]),
        (278, "udp_poll", "sock_poll", []),
    ]


def test_a_function_belongs_to_the_system_call_that_was_entered_last() -> None:
    calls = parse(TRACE.splitlines())
    system_calls = [Syscall(277, 6.82, "connect"), Syscall(278, 6.0, "ppoll"), Syscall(277, 6.82001, "sendto")]
    assert [index for index, _ in by_system_call(calls, system_calls)] == [0, 2, 1]
    assert [index for index, _ in by_system_call(calls, [])] == [-1, -1, -1]


def test_what_is_no_pattern_is_refused_before_the_kernel_sees_it(programs: Programs, tmp_path: Path) -> None:
    functions = Functions(programs, str(tmp_path))
    for pattern in ("", "udp_*; reboot", "a b", "x\n"):
        with pytest.raises(ProgramError, match="is not a pattern"):
            functions.arm([pattern])
    assert functions.disarm() == {}
    assert not (tmp_path / "instances").exists()
