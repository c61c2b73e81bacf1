"""The exercise of chapter 09, a proxy for a guest that has no network, by the course's own answer to it."""

from pathlib import Path

import pytest

from groundup.build import build
from groundup.course.chapter import find
from groundup.course.starter import given_files, solution_text
from groundup.course.submission import Submission
from groundup.vm.snapshot import Snapshot

from .vsock_lab import Lab, in_lab

pytestmark = pytest.mark.pair

PARTS = ("conn.c", "conn.h", "transport_tcp.c", "transport_unix.c", "transport_vsock.c", "url.c", "url.h")
GIVEN = tuple(f"{name}.{kind}" for name in ("vsock", "address", "listener", "report") for kind in "ch")
DOWN = "for name in eth0 eth1 lo; do ip link set $name down; done"


async def compile_relay(snapshot: Snapshot, directory: Path) -> Path:
    """Compile the relay with the solution's own files."""
    chapter = find("09")
    texts = {name: solution_text((chapter.directory / name).read_text()) for name in PARTS}
    texts |= {name: text for name, text in given_files(chapter).items() if name in GIVEN}
    texts["relay.c"] = (chapter.directory / "exercise" / "relay.c").read_text()
    built = await build(Submission.of_texts(texts), snapshot.image.root, directory / "relay", cflags=("-static",))
    assert built.program_path is not None, built.output
    return built.program_path


def test_a_guest_without_a_network_fetches_through_the_relay(snapshot: Snapshot, tmp_path: Path) -> None:
    """The server machine loses its interfaces; the client machine, which has a web server, relays for it."""

    async def act(lab: Lab) -> None:
        program = await lab.solution("09")
        await lab.bring("client", await compile_relay(snapshot, tmp_path), "relay")
        await lab.run("client", "mkdir -p www && printf 'from the network' > www/a.txt")
        await lab.run("client", "head -c 1000000 /dev/urandom > www/large")
        await lab.run("client", "python3 -m http.server --bind 192.0.2.2 --directory www 8000 >/dev/null 2>&1 &")
        await lab.run("client", "for i in $(seq 300); do ss -ltn | grep -q :8000 && exit 0; sleep 0.1; done; exit 1")
        await lab.run("client", "./relay vsock:4294967295:3128 tcp:192.0.2.2:8000 >/dev/null 2>&1 &")
        await lab.ready("client", ":3128")
        await lab.run("server", DOWN)
        await lab.run("server", f"./{program} --timeout 2 http://192.0.2.2:8000/a.txt", status=4)  # unreachable
        assert await lab.run("server", f"./{program} http+vsock://4:3128/a.txt") == "from the network"
        got = await lab.run("server", f"./{program} http+vsock://4:3128/large | sha256sum")
        assert got == await lab.run("client", "sha256sum < www/large")
        # As clients of proxies ask: with a whole URL for a target.
        ask = r"printf 'GET http://192.0.2.2:{}/a.txt HTTP/1.0\r\n\r\n' | socat -t 30 - VSOCK-CONNECT:4:3128"
        assert (await lab.run("server", ask.format(8000))).endswith("\r\n\r\nfrom the network")
        assert (await lab.run("server", ask.format(9))).startswith("HTTP/1.1 502 ")
        # Who asks is not to reach what only the relay's machine has.
        local = ask.replace("http://192.0.2.2:{}", "http+unix://%%2Frun%%2Fsome.sock")
        assert (await lab.run("server", local)).startswith("HTTP/1.1 400 ")
        # What a peer says of its own connection does not go on.
        await lab.run("client", "socat -u TCP-LISTEN:8001,bind=192.0.2.2 CREATE:asked >/dev/null 2>&1 &")
        await lab.until("client", "ss -ltn | grep -q :8001")
        fields = r"connection: close, a\r\nA: connection: b\r\nProxy-Connection: c\r\nKeep-Alive: 5\r\n\r\nbehind"
        await lab.run("server", ask.format(8001).replace(r"\r\n\r\n", rf"\r\n{fields}"))
        wanted = r"GET /a.txt HTTP/1.0\r\nConnection: close\r\nA: connection: b\r\n\r\nbehind"
        await lab.until("client", f"printf '{wanted}' | cmp - asked")

    in_lab(snapshot, tmp_path, act)
