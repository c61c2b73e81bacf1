from groundup_guest.syscalls import of_program, parse

TRACE = """\
# tracer: nop
#
           <...>-277     [000] ...1.     6.800001: sys_execve(filename: 7f0b, argv: 7f0c, envp: 7f0d)
           <...>-12      [000] ...1.     6.800002: sys_read(fd: 3, buf: 7ffe, count: 1)
         http (1)-277    [000] ...1.     6.810001: sys_execve -> 0x0
         http (1)-277    [000] ...1.     6.810002: sys_brk(brk: 0)
         http (1)-277    [000] ...1.     6.810003: sys_brk -> 0x5599a000
         http (1)-277    [000] ...1.     6.810004: sys_openat(dfd: ffffff9c, filename: 7f1b, flags: 80000, mode: 0)
         http (1)-277    [000] ...1.     6.810005: sys_openat -> 0x3
         http (1)-277    [000] ...1.     6.810006: sys_munmap(addr: 7f0b265cd000, len: 2133)
         http (1)-277    [000] ...1.     6.810007: sys_munmap -> 0x0
         http (1)-277    [000] ...1.     6.820001: sys_socket(family: a, type: 80001, protocol: 6)
         http (1)-277    [000] ...1.     6.820002: sys_socket -> 0x3
         http (1)-277    [000] ...1.     6.820003: sys_setsockopt(fd: 3, level: 1, optname: 2, optval: 7ff0, optlen: 4)
         http (1)-277    [000] ...1.     6.820004: sys_setsockopt -> 0x0
         http (1)-277    [000] ...1.     6.820005: sys_bind(fd: 3, umyaddr: 7ffd0, addrlen: 1c)
         http (1)-277    [000] ...1.     6.820006: sys_bind -> 0xffffffffffffff9e
CPU:0 [LOST 12 EVENTS]
         http (1)-277    [000] ...1.     6.820007: sys_fcntl(fd: 3, cmd: 2, arg: 1)
         http (1)-277    [000] ...1.     6.820008: sys_fcntl -> 0x0
         http (1)-277    [000] ...1.     6.820009: sys_clone(clone_flags: 1200011, newsp: 0)
         http (1)-277    [000] ...1.     6.820010: sys_clone -> 0x116
         http (1)-278    [000] ...1.     6.820011: sys_shutdown(fd: 4, how: 1)
         http (1)-278    [000] ...1.     6.820012: sys_shutdown -> 0x0
         http (1)-278    [000] ...1.     6.820013: sys_exit_group(error_code: 3)
    http (1)-277    [000] ...1.     6.820014: sys_sendto(fd: 4, buff: 7f, len: c, flags: 4000, addr: 0, addr_len: 0)
         http (1)-277    [000] ...1.     6.820015: sys_sendto -> 0xc
         http (1)-277    [000] ...1.     6.820016: sys_accept4(fd: 3, addr: 0, addrlen: 0, flags: 800)
         other-300       [000] ...1.     6.820017: sys_close(fd: 9)
"""

SHOWN = [
    "socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3",
    "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, …, 4) = 0",
    "bind(3, …, 28) = -1 EADDRINUSE (Address already in use)",
    "fcntl(3, F_SETFD, FD_CLOEXEC) = 0",
    "clone(18874385, 0) = 278",
    "shutdown(4, SHUT_WR) = 0",
    "exit_group(3) = ?",
    "sendto(4, …, 12, MSG_NOSIGNAL, NULL, 0) = 12",
    "accept4(3, NULL, NULL, SOCK_NONBLOCK) …",
]


def test_a_trace_reads_like_strace() -> None:
    assert [call.text() for call in of_program(parse(TRACE.splitlines()), 277)] == SHOWN


def test_a_call_is_carried_in_parts() -> None:
    call = of_program(parse(TRACE.splitlines()), 277)[0]
    assert call.as_dict() == {
        "pid": 277,
        "t": 6.820001,
        "name": "socket",
        "args": ["AF_INET6", "SOCK_STREAM|SOCK_CLOEXEC", "IPPROTO_TCP"],
        "result": "3",
        "text": SHOWN[0],
    }


def test_a_program_may_call_itself_anything() -> None:
    line = "  a-1 [0]: sys_x-277     [000] ...1.     6.820002: sys_close(fd: 5)"
    assert [call.text() for call in parse([line, "", "garbage", line[:40]])] == ["close(5) …"]


def test_open_flags_and_interrupted_calls_have_names() -> None:
    lines = [
        "  p-1  [000] ...1.  1.000001: sys_openat(dfd: ffffffffffffff9c, filename: 7f, flags: 241, mode: 1a4)",
        "  p-1  [000] ...1.  1.000002: sys_openat -> 0x4",
        "  p-1  [000] ...1.  1.000003: sys_rt_sigaction(sig: f, act: 7f, oact: 0, sigsetsize: 8)",
        "  p-1  [000] ...1.  1.000004: sys_rt_sigaction -> 0x0",
        "  p-1  [000] ...1.  1.000005: sys_read(fd: 4, buf: 7f, count: 1000)",
        "  p-1  [000] ...1.  1.000006: sys_read -> 0xfffffffffffffe00",
    ]
    assert [call.text() for call in parse(lines)] == [
        "openat(AT_FDCWD, …, O_WRONLY|O_CREAT|O_TRUNC, 420) = 4",
        "rt_sigaction(SIGTERM, …, NULL, 8) = 0",
        "read(4, …, 4096) = -1 (errno 512, restarted)",
    ]
