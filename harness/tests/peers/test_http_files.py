"""Chapter 05's server and clients that nobody here wrote."""

import email
import email.policy
import email.utils
import http.client
import os
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import PATIENCE, Address, Finished, Tap, needs, run, serving

NAMES = [
    "plain.txt",
    "with spaces and 100%.txt",
    "quo\"te's & <tags>.txt",
    "question?mark#hash.txt",
    "unicode-äß€𝄞.txt",
    "semi;colon+plus=equals,comma@at.txt",
    "percent%41.txt",
]
"""Names that a listing, a URL and a client each have to treat in their own way."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with files of many names, and one that is large."""
    root = tmp_path / "root"
    (root / "a" / "b c").mkdir(parents=True)
    for place in (root, root / "a", root / "a" / "b c"):
        for name in NAMES:
            (place / name).write_text(f"{place.name}: {name}\n")
    (root / "large").write_bytes(random.Random(4711).randbytes(3_000_000))
    (root / "empty").write_bytes(b"")
    (tmp_path / "secret").write_text("not to be served\n")
    (root / "out").symlink_to(tmp_path / "secret")
    for path in root.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return root


@pytest.fixture
def server(http_files: Path, host: str, root: Path, tmp_path: Path) -> Iterator[Address]:
    with serving(http_files, tmp_path / "server.log", "--root", root, host=host) as address:
        yield address


def curl(*arguments: str | Path, cwd: Path | None = None, status: int = 0) -> Finished:
    finished = run(needs("curl", "curl"), "--silent", "--show-error", "--globoff", *arguments, cwd=cwd)
    assert finished.status == status, finished.errors
    return finished


def wget(*arguments: str | Path, cwd: Path) -> str:
    """Run wget; return what it says of what it did."""
    finished = run(needs("wget", "wget"), "--no-config", "--tries=1", "--timeout=20", *arguments, cwd=cwd)
    assert finished.status == 0, finished.errors
    return finished.errors


def test_curl_asks_for_parts(server: Address, root: Path) -> None:
    content = (root / "large").read_bytes()
    size = len(content)
    for asked, first, last in (
        ("0-0", 0, 0),
        ("10-19", 10, 19),
        ("2999990-", size - 10, size - 1),
        ("-7", size - 7, size),
    ):
        assert curl("--range", asked, server.url("/large")).output == content[first : last + 1], asked
    form = "%{response_code} %header{content-range}"
    for asked, answer in {"3000000-": "416 bytes */3000000", "5-9999999": "206 bytes 5-2999999/3000000"}.items():
        finished = curl("--range", asked, "--output", os.devnull, "--write-out", form, server.url("/large"))
        assert finished.output.decode() == answer


def test_several_parts_as_python_reads_them(server: Address, root: Path) -> None:
    content = (root / "large").read_bytes()
    finished = curl("--include", "--range", "0-99,1000000-1000999,-5", server.url("/large"))
    head, _, body = finished.output.partition(b"\r\n\r\n")
    fields = email.message_from_bytes(head.partition(b"\r\n")[2])
    assert head.startswith(b"HTTP/1.1 206 ")
    assert int(fields["Content-Length"]) == len(body)
    kind = f"Content-Type: {fields['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(kind + body, policy=email.policy.HTTP).get_payload()
    assert [part["Content-Range"] for part in parts] == [  # type: ignore[union-attr, index]
        "bytes 0-99/3000000",
        "bytes 1000000-1000999/3000000",
        "bytes 2999995-2999999/3000000",
    ]
    for piece in (content[:100], content[1_000_000:1_001_000], content[-5:]):
        assert b"\r\n\r\n" + piece + b"\r\n--" in body


def test_curl_goes_on_where_it_was(server: Address, root: Path, tmp_path: Path) -> None:
    part = tmp_path / "large"
    part.write_bytes((root / "large").read_bytes()[:1_234_567])
    curl("--continue-at", "-", "--remote-name", server.url("/large"), cwd=tmp_path)
    assert part.read_bytes() == (root / "large").read_bytes()


def test_curl_asks_again_only_for_what_is_new(server: Address, root: Path, tmp_path: Path) -> None:
    tag = ("--etag-save", "tag", "--etag-compare", "tag", "--write-out", "%{response_code} ", "--output", "copy")
    assert curl(*tag, server.url("/large"), cwd=tmp_path).output == b"200 "
    assert curl(*tag, server.url("/large"), cwd=tmp_path).output == b"304 "
    date = ("--time-cond", "copy", "--remote-time", "--write-out", "%{response_code} ", "--output", "copy")
    assert curl(*date, server.url("/large"), cwd=tmp_path).output == b"304 "  # it is newer: it was written just now
    os.utime(tmp_path / "copy", (1_600_000_000, 1_600_000_000))
    assert curl(*date, server.url("/large"), cwd=tmp_path).output == b"200 "
    assert (tmp_path / "copy").stat().st_mtime == 1_700_000_000
    (root / "large").write_bytes(b"something else")
    assert curl(*tag, server.url("/large"), cwd=tmp_path).output == b"200 "
    assert (tmp_path / "copy").read_bytes() == b"something else"


def test_curl_gets_nothing_from_outside(server: Address) -> None:
    for path in (
        "/../secret",
        "/a/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "//../secret",
        "/out",
        "/a/b c/../../..",
    ):
        url = server.url(path.replace(" ", "%20"))
        output = curl("--path-as-is", "--write-out", "%{response_code}", url).output
        assert b"not to be served" not in output, path
        assert output[-3:] in (b"403", b"404", b"400"), (path, output)


def test_wget_mirrors_what_is_listed(server: Address, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    options = ("--recursive", "--level=5", "--no-parent", "--no-host-directories", "--restrict-file-names=nocontrol")
    wget(*options, "--no-verbose", "--reject-regex=/out$", server.url("/"), cwd=copy)
    copies = [path for path in copy.rglob("*") if path.is_file() and path.name != "index.html"]
    served = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    # For the name of its copy wget decodes the URL once more than for the request.
    there = {urllib.parse.unquote(str(path.relative_to(root))): path.read_bytes() for path in served}
    assert {str(path.relative_to(copy)): path.read_bytes() for path in copies} == there


def test_wget_goes_on_and_compares_dates(server: Address, root: Path, tmp_path: Path) -> None:
    part = tmp_path / "large"
    part.write_bytes((root / "large").read_bytes()[:1_000_000])
    log = wget("--continue", "--server-response", server.url("/large"), cwd=tmp_path)
    assert "206 Partial Content" in log
    assert part.read_bytes() == (root / "large").read_bytes()
    log = wget("--timestamping", "--server-response", server.url("/large"), cwd=tmp_path)
    assert "304 Not Modified" in log
    assert part.stat().st_mtime == 1_700_000_000


def test_python_opens_urls(server: Address, root: Path) -> None:
    for name in NAMES:
        url = server.url(f"/a/{urllib.parse.quote(name)}")
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            assert response.read() == (root / "a" / name).read_bytes()
            assert response.headers.get_content_type() == "text/plain"
            assert email.utils.parsedate_to_datetime(response.headers["Last-Modified"]).timestamp() == 1_700_000_000
    with urllib.request.urlopen(server.url("/a/b%20c"), timeout=PATIENCE) as response:
        assert response.url == server.url("/a/b%20c/")  # by way of a redirect
        assert b"unicode-\xc3\xa4\xc3\x9f" in response.read()
    request = urllib.request.Request(
        server.url("/empty"), headers={"If-Modified-Since": email.utils.formatdate(usegmt=True)}
    )
    with pytest.raises(urllib.error.HTTPError, match="304"):
        urllib.request.urlopen(request, timeout=PATIENCE)


def test_python_keeps_the_connection(server: Address, root: Path) -> None:
    with Tap(server) as tap:
        connection = http.client.HTTPConnection("127.0.0.1", tap.address.port, timeout=PATIENCE)
        for path, method in [
            ("/large", "GET"),
            ("/empty", "GET"),
            ("/large", "HEAD"),
            ("/nowhere", "GET"),
            ("/a/", "GET"),
        ] * 3:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == (404 if path == "/nowhere" else 200)
            assert len(body) == (0 if method == "HEAD" else int(response.headers["Content-Length"]))
        connection.close()
        assert len(tap.exchanges) == 1


@pytest.mark.parametrize("what", ["ranges", "conditions", "reuses"])
def test_go(go_client: Path, server: Address, what: str) -> None:
    finished = run(go_client, what, server.url("/large"))
    assert finished.status == 0, finished.errors
