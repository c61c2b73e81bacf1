"""Chapter 04's client and servers that nobody here wrote."""

import contextlib
import http.server
import os
import pwd
import random
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .support import PATIENCE, Address, Finished, assert_clean, needs, process, run

TIMED_OUT, UNREACHABLE, BAD_RESPONSE, REDIRECTS, BAD_STATUS = 3, 4, 5, 6, 7
"""What the client's lesson says of its exit status."""

Client = Callable[..., Finished]


@pytest.fixture
def client(http_client: Path, tmp_path: Path) -> Client:
    """Runs the client, in a directory of its own, and sees that no sanitizer has found anything in it."""

    def ask(*arguments: str, status: int = 0) -> Finished:
        finished = run(http_client, *arguments, cwd=tmp_path)
        assert_clean(finished.errors)
        assert finished.status == status, (arguments, finished.status, finished.errors)
        return finished

    return ask


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files to serve: of no bytes, of few, of more than any buffer holds."""
    root = tmp_path / "files"
    (root / "directory").mkdir(parents=True)
    for name, size in {"empty": 0, "small": 10, "large": 3_000_000, "directory/inside": 1000}.items():
        (root / name).write_bytes(random.Random(4711).randbytes(size))
    return root


NGINX = """
daemon off; user {user}; worker_processes 1; pid {home}/pid; error_log {home}/nginx.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    absolute_redirect off;
    server {{
        listen {authority};
        root {files};
        location = /text {{ return 200 "some text\\n"; }}
        location = /none {{ return 204; }}
        location = /gone {{ return 410; }}
        location = /elsewhere {{ return 302 /small; }}
        location = /absolute {{ return 308 http://{authority}/large; }}
        location = /round {{ return 307 /round; }}
        location = /secure {{ return 301 https://{authority}/; }}
        location /chunked/ {{ alias {files}/; sub_filter never-there x; sub_filter_types *; }}
        location /slowly/ {{ alias {files}/; limit_rate 2m; }}
    }}
}}
"""


@pytest.fixture
def nginx(host: str, files: Path, tmp_path: Path) -> Iterator[Address]:
    """An nginx in the foreground with a configuration of its own; the system's, if there is one, is left alone.

    It is given a socket that listens already, as an nginx that is replaced gives its successor: so the port is the
    kernel's choice, and nobody has to wait for it.
    """
    home = tmp_path / "nginx"
    home.mkdir()
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        address = Address(*listener.getsockname()[:2])
        configuration = home / "nginx.conf"
        user = pwd.getpwuid(os.getuid()).pw_name  # root's worker would be nobody, who may not read the test's files
        configuration.write_text(NGINX.format(home=home, files=files, authority=address.authority, user=user))
        environment = {**os.environ, "NGINX": f"{listener.fileno()};"}
        command = (needs("nginx", "nginx"), "-p", home, "-c", configuration, "-e", home / "nginx.log")
        inherited = {"pass_fds": [listener.fileno()], "env": environment}
        with process(*command, log=home / "errors", **inherited) as started:
            yield address
            assert started.poll() is None, (home / "nginx.log").read_text() + (home / "errors").read_text()


def test_nginx(nginx: Address, files: Path, client: Client) -> None:
    for name in ("empty", "small", "large", "directory/inside"):
        content = (files / name).read_bytes()
        for way in ("/", "/chunked/"):
            assert client(nginx.url(way + name)).output == content, (way, name)
    assert client(nginx.url("/slowly/large"), "--timeout", "5").output == (files / "large").read_bytes()
    assert client(nginx.url("/text")).output == b"some text\n"
    assert client(nginx.url("/none")).output == b""
    head, _, body = client("-i", nginx.url("/chunked/small")).output.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nServer: nginx")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert body == (files / "small").read_bytes()


def test_nginx_sends_elsewhere_and_away(nginx: Address, files: Path, client: Client) -> None:
    assert client(nginx.url("/elsewhere")).output == (files / "small").read_bytes()
    assert client(nginx.url("/absolute")).output == (files / "large").read_bytes()
    assert client(nginx.url("/directory/../small")).output == (files / "small").read_bytes()
    assert b"403 Forbidden" in client(nginx.url("/directory"), status=BAD_STATUS).output  # by way of a slash
    assert b"410 Gone" in client(nginx.url("/gone"), status=BAD_STATUS).output
    client(nginx.url("/round"), status=REDIRECTS)
    client(nginx.url("/secure"), status=BAD_RESPONSE)


def test_nginx_into_a_file(nginx: Address, files: Path, client: Client, tmp_path: Path) -> None:
    assert client("-o", "copy", nginx.url("/chunked/large")).output == b""
    assert (tmp_path / "copy").read_bytes() == (files / "large").read_bytes()
    client("-o", "copy", nginx.url("/round"), status=REDIRECTS)
    assert (tmp_path / "copy").read_bytes() == (files / "large").read_bytes()


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_python(protocol: str, host: str, files: Path, client: Client) -> None:
    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = protocol

        def log_message(self, *_: object) -> None:
            pass

    with Server((host, 0), partial(Handler, directory=str(files))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            address = Address(*server.server_address[:2])  # type: ignore[arg-type]
            for name in ("empty", "small", "large", "directory/inside"):
                assert client(address.url(f"/{name}")).output == (files / name).read_bytes()
            assert b"inside" in client(address.url("/directory")).output
            assert b"404" in client(address.url("/nowhere"), status=BAD_STATUS).output
        finally:
            server.shutdown()
            thread.join()


def pattern(size: int) -> bytes:
    """Return what the server in Go sends."""
    return bytes((i * i >> 7) & 0xFF for i in range(size))


@pytest.fixture
def go(go_server: Path, host: str, tmp_path: Path) -> Iterator[Address]:
    with process(go_server, host, log=tmp_path / "go.log", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        line = server.stdout.readline().decode()
        assert line.startswith("listening on "), (tmp_path / "go.log").read_text()
        yield Address(host, int(line.rpartition(":")[2]))


@pytest.mark.parametrize("way", ["length", "chunked", "closed", "hinted", "old"])
def test_go(way: str, go: Address, client: Client) -> None:
    for size in (0, 1, 4095, 100_000):
        assert client(go.url(f"/{way}/{size}")).output == pattern(size)


def test_go_sends_around(go: Address, client: Client) -> None:
    assert client(go.url("/around/4")).output == pattern(1000)  # four steps, and a fifth to the page
    client(go.url("/around/5"), status=REDIRECTS)
    assert client(go.url("/none")).output == b""
    assert client(go.url("/host")).output.decode() == go.authority


def test_go_breaks_off(go: Address, client: Client, tmp_path: Path) -> None:
    for way in ("length", "chunked"):
        for size in (1, 100_000):
            client("-o", "part", go.url(f"/aborted/{way}/{size}"), status=BAD_RESPONSE)
    client("-o", "part", "--timeout", "0.2", go.url("/silent"), status=TIMED_OUT)
    assert not (tmp_path / "part").exists()
    with contextlib.closing(socket.create_connection((go.host, go.port), timeout=PATIENCE)):
        assert client(go.url("/length/1")).output == pattern(1)  # beside a client that says nothing


def test_nobody_is_there(host: str, client: Client) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        address = Address(*listener.getsockname()[:2])
    client(address.url(), status=UNREACHABLE)
