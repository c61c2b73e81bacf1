"""Chapter 05's server and a browser: what a page shows, and what the browser asked for to show it."""

import re
import struct
import wave
import zlib
from pathlib import Path

from .browser import browsing
from .support import Tap, serving

SECONDS = 400
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>a page</title>
<img id="picture" src="a%20picture.png">
<video id="sound" preload="metadata" src="sound.wav"></video>
<script>
    const loaded = new Promise((resolve) => addEventListener("load", resolve));
    async function seek(to) {
        await loaded;
        const done = new Promise((resolve, reject) => { sound.onseeked = resolve; sound.onerror = reject; });
        sound.currentTime = to;
        await done;
        return sound.currentTime;
    }
</script>
"""


def png(width: int, height: int) -> bytes:
    """Return a picture of one colour (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = (b"\0" + b"\x20\x60\xa0" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def site(root: Path) -> Path:
    """Make a page with a picture and with a sound that is too long to be loaded at once."""
    root.mkdir()
    (root / "index.html").write_text(PAGE)
    (root / "a picture.png").write_bytes(png(7, 5))
    with wave.open(str(root / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(2 * 16_000 * SECONDS))
    return root


def asked(tap: Tap) -> list[tuple[str, str]]:
    """Return each request's path, and what its Range field says, in the order of their connections."""
    found = []
    for exchange in tap.exchanges:
        for head in bytes(exchange.asked).decode().split("\r\n\r\n")[:-1]:
            field = re.search(r"^range: *(.*)$", head, re.MULTILINE | re.IGNORECASE)
            found.append((head.split()[1], field[1].strip() if field else ""))
    return found


def parts(tap: Tap) -> set[int]:
    """Return the first byte of each part that a 206 has brought."""
    form = re.compile(rb"HTTP/1\.1 206 [^\r]*\r\n(?:[^\r]+\r\n)*?Content-Range: bytes (\d+)-\d+/(\d+)\r\n")
    return {int(match[1]) for exchange in tap.exchanges for match in form.finditer(bytes(exchange.answered))}


def test_a_page_with_a_picture_and_a_sound(http_files: Path, tmp_path: Path) -> None:
    root = site(tmp_path / "site")
    size = (root / "sound.wav").stat().st_size
    # The server has one peer at a time, and a browser opens several connections: none may be waited for for long.
    with (
        serving(http_files, tmp_path / "server.log", "--root", root, "--timeout", "0.5") as server,
        Tap(server) as tap,
        browsing(tmp_path / "browser") as browser,
    ):
        browser.open(tap.address.url("/"))
        assert browser.evaluate("picture.naturalWidth + 'x' + picture.naturalHeight") == "7x5"
        assert browser.evaluate("sound.duration") == SECONDS
        assert browser.evaluate(f"seek({SECONDS - 20})") == SECONDS - 20
    requests = asked(tap)
    assert ("/", "") in requests
    assert ("/a%20picture.png", "") in requests
    firsts = [int(field.removeprefix("bytes=").partition("-")[0]) for path, field in requests if path == "/sound.wav"]
    assert firsts[0] == 0
    assert max(firsts) > size * 3 // 4, firsts  # for the end it did not wait until all before it had come
    assert {0, max(firsts)} <= parts(tap)


def test_a_listing_is_walked_through(http_files: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a&b <i>").mkdir(parents=True)
    (root / "a&b <i>" / 'it\'s "100%".txt').write_text("found\n")
    with (
        serving(http_files, tmp_path / "server.log", "--root", root, "--timeout", "0.5") as server,
        browsing(tmp_path / "browser") as browser,
    ):
        browser.open(server.url("/"))
        assert browser.evaluate("document.querySelectorAll('i').length") == 0
        links = (
            "[...document.links].map((link) => link.textContent + ' ' + link.href).filter((text) => /{0}/.test(text))"
        )
        directories = browser.evaluate(links.format("a&b"))
        assert len(directories) == 1, directories
        browser.open(directories[0].rpartition(" ")[2])
        files = browser.evaluate(links.format("100%"))
        assert len(files) == 1, files
        assert files[0].startswith('it\'s "100%".txt ')
        browser.open(files[0].rpartition(" ")[2])
        assert browser.evaluate("document.body.textContent") == "found\n"
