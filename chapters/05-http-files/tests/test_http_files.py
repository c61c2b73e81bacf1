"""Chapter 05: what a client may rely on when it asks `http-files` for files, and what it cannot get out of it.

Paths, directories and kinds of files are here; conditions, ranges and transfers are in the other modules. After every
test the harness looks at the server once more: it still runs, has closed what it opened, and does not spin.
"""

import random
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin

from files_requests import asks, expect, request, serves

from groundup_guest.testing import FailedError, Server, Tcp, needs, points, read

TYPES = {
    "a.html": "text/html",
    "a.htm": "text/html",
    "a.css": "text/css",
    "a.js": "text/javascript",
    "a.txt": "text/plain",
    "a.json": "application/json",
    "a.xml": "application/xml",
    "a.pdf": "application/pdf",
    "a.wasm": "application/wasm",
    "a.tar.gz": "application/gzip",
    "a.png": "image/png",
    "a.jpg": "image/jpeg",
    "a.jpeg": "image/jpeg",
    "A.GIF": "image/gif",
    "a.webp": "image/webp",
    "a.svg": "image/svg+xml",
    "a.unheard-of": "application/octet-stream",
    "html": "application/octet-stream",
    "page.html/plain": "application/octet-stream",
}
AS_BROWSERS_DO = "!$%&'()*+,/:;=?@[\\]^|~"
"""What a browser leaves as it is in the path and query of a link; all other bytes it encodes before it asks."""
SECRET = b"nobody is to see this"
GOOD = "/in.txt"
SLOW_OPENS = "open,openat,openat2:delay_enter=100000"
"""In the words of strace(1): each of these calls begins so many microseconds late."""
RENAMED_MEANWHILE = "openat2:error=EAGAIN:when=1"
"""In the words of strace(1): the first of these calls fails, as it does where something was renamed on its way."""


@points(5)
@read("sendfile(2)", "openat2(2)", "RFC 9110, section 9.3.1", "RFC 9110, section 8.6")
def test_serves_a_file(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A file is sent as it is, byte for byte, with its length; and the next one over the same connection."""
    content = {"all.bin": bytes(range(256)) * 3, "deep/er/some.bin": rng.randbytes(70_000), "empty": b""}
    peer = serves(server, tcp, server.directory(content))
    found = asks(peer, "/all.bin", status=None).status
    expect(
        found != 404,
        "GET /all.bin is answered with 404, though below the root there is a file all.bin.",
        "A path that begins with a slash begins at the root of the machine, which is not beneath that of the server: "
        "the slash is no part of what is opened.",
    )
    for path, body in content.items():
        asks(peer, f"/{path}", body=body, headers={"content-length": str(len(body)), "content-type": "*"})


@points(3)
@needs("test_serves_a_file")
@read("RFC 9110, section 9.3.2")
def test_head_equals_get(server: Server, tcp: Tcp) -> None:
    """HEAD is answered as GET would be, with the same fields, but without content: for every kind of answer."""
    root = server.directory({"a.txt": b"abc", "index/index.html": b"<p>", "list/b": b"", "locked": b""})
    root.unreadable("locked")
    peer = serves(server, tcp, root)
    tag = asks(peer, "/a.txt").header("etag")
    known = f"If-None-Match: {tag}"
    left_over = "Something is left of the answer to HEAD: it has no content."
    for path, status, *fields in (
        *(("/a.txt", 200), ("/index/", 200), ("/list/", 200), ("/list", 301)),
        *(("/nothing", 404), ("/locked", 403), ("/%zz", 400), ("/a.txt", 304, known)),
    ):
        got = asks(peer, path, *fields, status=status, hint=left_over)
        head = asks(
            peer, path, *fields, status=status, method="HEAD", hint="To HEAD the head alone is sent: no content."
        )
        names = got.headers.keys() | head.headers.keys()
        other = {name for name in names - {"date"} if got.headers.get(name) != head.headers.get(name)}
        if other:
            name = min(other)
            raise FailedError(
                f"HEAD {path} is answered with {name}: {head.header(name)}, GET with {got.header(name)}: "
                "all fields are to be the same."
            )
    asks(peer, "/a.txt", body=b"abc", hint=left_over)


@points(2)
@needs("test_serves_a_file")
@read("RFC 9110, section 15.5.6", "RFC 9110, section 10.2.1")
def test_other_methods(server: Server, tcp: Tcp) -> None:
    """A file can be had and nothing else: 405 and the methods that are allowed, and then the connection goes on."""
    root = server.directory({"a.txt": b"abc"})
    peer = serves(server, tcp, root)
    for method in ("PUT", "DELETE", "OPTIONS"):
        answer = asks(peer, "/a.txt", "Content-Length: 0", method=method, status=405)
        allowed = {each.strip() for each in (answer.header("allow") or "").split(",")}
        expect(
            allowed == {"GET", "HEAD"},
            f"405 to {method} comes with Allow: {answer.header('allow')}, where GET, HEAD was expected.",
        )
    peer.sends(request("/a.txt", "Content-Length: 18", method="POST") + b"GET / HTTP/1.1\r\n\r\n")
    peer.receives_response(405)
    asks(peer, "/a.txt", body=b"abc", hint="The content of a request is read past; it is no request.")
    asks(peer, "/a.txt", method="BREW", status=501)


@points(2)
@needs("test_serves_a_file")
@read("RFC 9110, section 8.3", "strrchr(3)", "strcasecmp(3)")
def test_media_types(server: Server, tcp: Tcp) -> None:
    """The suffix of a file's name says of what kind it is; what nobody knows is application/octet-stream."""
    peer = serves(server, tcp, server.directory(dict.fromkeys(TYPES, b"x")))
    for path, wanted in TYPES.items():
        found = asks(peer, f"/{path}", method="HEAD").header("content-type") or "nothing"
        expect(
            found.partition(";")[0].strip().lower() == wanted,
            f"/{path} is sent as {found}, where {wanted} was expected.",
            "What counts is behind the last dot of the last name, in upper or lower case.",
        )


@points(3)
@needs("test_serves_a_file")
@read("RFC 3986, section 2.4", "RFC 9110, section 4.2.3")
def test_names_are_decoded_once(server: Server, tcp: Tcp) -> None:
    """Each %XX in a path is a byte of the name; what comes out of that is not decoded again."""
    names = ["a b+c.txt", "100%.txt", "%41.txt", "ü.txt", "what?.txt", "a#b;c=d.txt", "new\nline"]
    root = server.directory({name: name.encode() for name in names} | {"A.txt": b"the wrong one"})
    peer = serves(server, tcp, root)
    paths = ["a%20b+c.txt", "100%25.txt", "%2541.txt", "%C3%bc.txt", "what%3F.txt", "a%23b%3bc=d.txt", "new%0aline"]
    for path, name in zip(paths, names, strict=True):
        hint = f"/{path} names the file {name!r}: each %XX is one byte, and is decoded once. A + is a +."
        asks(peer, f"/{path}", body=name.encode(), hint=hint)
    asks(peer, "/%61%20b+c.txt", body=b"a b+c.txt")


@points(2)
@needs("test_serves_a_file")
@read("RFC 3986, section 3.4", "RFC 9112, section 3.2")
def test_query_is_no_part_of_the_name(server: Server, tcp: Tcp) -> None:
    """What follows the question mark is not part of the file's name, nor is a scheme and a host before the path."""
    peer = serves(server, tcp, server.directory({"a.txt": b"abc", "d/index.html": b"index"}))
    hint = "The query is cut off before the path is decoded, and the request's path is what is left."
    for path in ("/a.txt?", "/a.txt?x=1", "/a.txt?a/../b?c", "/a.txt?%zz", "http://ground/a.txt?x"):
        asks(peer, path, body=b"abc", hint=hint)
    asks(peer, "/d/?%00", body=b"index", hint=hint)


@points(3)
@needs("test_names_are_decoded_once")
@read("RFC 3986, section 2.1", "path_resolution(7)")
def test_bad_escapes(server: Server, tcp: Tcp) -> None:
    """A percent sign without two hexadecimal digits is 400, and so is %00; %2F is part of a name, which no file has."""
    peer = serves(server, tcp, server.directory({"in.txt": b"in", "d/a.txt": b"a", "d/index.html": b"d"}))
    for path in ("/%", "/in.txt%", "/in.txt%4", "/%zz", "/%4g", "/% 1".replace(" ", "+"), "/%-1", "/%%34%31"):
        asks(peer, path, status=400, hint="A percent sign stands before two hexadecimal digits, or the request is bad.")
    nul = "The byte 0 ends a C string: open would see a shorter path than the request names."
    for path in ("/in.txt%00", "/in.txt%00.html", "/%00"):
        asks(peer, path, status=400, hint=nul)
    for path in ("/d%2Fa.txt", "/d%2f", "/%2F"):
        asks(peer, path, status=404, hint="%2F is not a separator, but a slash within a name: no file has that name.")
    asks(peer, GOOD, body=b"in")


@points(5)
@needs("test_names_are_decoded_once")
@read("openat2(2), RESOLVE_BENEATH", "RFC 3986, section 5.2.4", "RFC 9110, section 17.3")
def test_nothing_outside_the_root(server: Server, tcp: Tcp) -> None:
    """No path leads out of the root, however it is written; one that goes up and stays inside is served."""
    root = server.directory({"www/in.txt": b"in", "www/d/x": b"x", "secret": SECRET, "www-too/secret": SECRET})
    peer = tcp.connect(server.start("--port", "0", "--root", f"{root.name}/www"))
    above = ["../secret", "d/../../secret", "d/../../www-too/secret", "../www-too/secret", "../www/in.txt", ".."]
    hint = "Let the kernel keep to the root, at each step of the path: openat2(2), RESOLVE_BENEATH."
    refused = "That the way leads out, EXDEV, is no failure of the server's: there is no such file, 404."
    for path in (*above, "../" * 40 + "etc/passwd", "/etc/passwd", "//etc//passwd"):
        for written in (path, path.replace(".", "%2e"), path.replace("..", ".%2E")):
            answer = asks(peer, f"/{written}", status=None)
            expect(SECRET not in answer.body, f"GET /{written[:80]} is answered with a file outside the root.", hint)
            expect(
                answer.status == 404,
                f"GET /{written[:80]}: the status is {answer.status}, where 404 was expected.",
                refused if answer.status >= 400 else hint,
            )
    for path in ("/d/../in.txt", "/./in.txt", "/d/./.././in.txt", "//in.txt", "/d//../in.txt"):
        asks(peer, path, body=b"in", hint="This path goes up, but not out: RESOLVE_BENEATH lets it pass.")


@points(3)
@needs("test_nothing_outside_the_root")
@read("openat2(2), RESOLVE_BENEATH", "path_resolution(7)", "symlink(7)")
def test_links(server: Server, tcp: Tcp) -> None:
    """A symbolic link that stays below the root is followed; one that leaves it, or is absolute, leads nowhere."""
    root = server.directory({"www/in.txt": b"in", "www/d/x.txt": b"x", "www/i/x": b"", "secret": SECRET})
    good = {"same": "in.txt", "d/up": "../in.txt", "dir": "d", "e": "dir"}
    bad = {"out": "../secret", "d/out": "../../secret", "above": "..", "absolute": "/etc/passwd", "slash": "/"}
    bad["i/index.html"] = "../../secret"
    nowhere = {"chain": "out", "loop": "loop", "dangling": "nothing"}
    root.links({f"www/{path}": target for path, target in {**good, **bad, **nowhere}.items()})
    peer = tcp.connect(server.start("--port", "0", "--root", f"{root.name}/www"))
    for path, body in (("same", b"in"), ("d/up", b"in"), ("dir/x.txt", b"x"), ("e/x.txt", b"x"), ("e/up", b"in")):
        asks(peer, f"/{path}", body=body, hint="This link does not leave the root.")
    hint = (
        "This link leaves the root. Looking at the path does not show that: the kernel has to refuse it (openat2(2))."
    )
    for path in ("out", "d/out", "above/secret", "above/www/in.txt", "absolute", "slash/etc/passwd", "chain"):
        asks(peer, f"/{path}", status=404, hint=hint)
    hint = "The index.html of /i/ is a link that leaves the root. It is opened as every path is, from the root."
    asks(peer, "/i/", status=404, hint=hint)
    for path in ("loop", "dangling"):
        asks(peer, f"/{path}", status=404, hint="ELOOP and ENOENT: there is no such file.")


@points(1)
@needs("test_serves_a_file")
@read("openat2(2), RESOLVE_BENEATH", "symlink(7)", "rename(2)")
def test_link_that_changes_meanwhile(server: Server, tcp: Tcp) -> None:
    """A link that is changed between a look at it and the open leads out of the root no more than any other."""
    root = server.directory({"www/in.txt": b"in", "secret": SECRET})
    links = ("one", "two", "three")  # on a slow machine the change may come too late for one of them
    root.links({f"www/{name}": "in.txt" for name in links} | {f"www/{name}.new": "../secret" for name in links})
    program = server.start("--port", "0", "--root", f"{root.name}/www", inject=SLOW_OPENS)
    peer = tcp.connect(program)
    for name in links:
        peer.sends(request(f"/{name}"))
        peer.waits_for_acknowledgement()
        program.settles()
        root.rename(f"www/{name}.new", name)
        answer = peer.receives_response(None)
        expect(
            SECRET not in answer.body,
            "The link was good when the path was looked at, and was changed before it was opened.",
            "A check before the open is too early, whatever it is: openat2(2) checks while it opens.",
        )
        expect(
            answer.status == 404 or (answer.status, answer.body) == (200, b"in"),
            f"The answer is {answer.status} with {answer.body[:40]!r}: neither what the link led to before, nor 404.",
        )
    asks(peer, GOOD, body=b"in")
    program = server.start("--port", "0", "--root", f"{root.name}/www", inject=RENAMED_MEANWHILE)
    hint = "openat2(2) fails with EAGAIN if something was renamed on the way: nothing is wrong, so ask again."
    asks(tcp.connect(program), GOOD, body=b"in", hint=hint)


@points(3)
@needs("test_serves_a_file")
@read("open(2), O_NONBLOCK", "fifo(7)", "inode(7)", "RFC 9110, section 15.5.4")
def test_what_is_no_file_or_not_readable(server: Server, tcp: Tcp) -> None:
    """A FIFO, a socket, and what the server may not read, are refused with 403, and hold up nobody."""
    root = server.directory({"in.txt": b"in", "locked.txt": SECRET, "vault/a.txt": SECRET, "shut/index.html": SECRET})
    root.fifo("pipe").fifo("pipes/index.html").socket("sock").unreadable("locked.txt").unreadable("vault").unreadable(
        "shut/index.html"
    )
    peer = serves(server, tcp, root)
    waits = "To open a FIFO for reading is to wait for somebody who writes to it, unless O_NONBLOCK is set."
    for path in ("/pipe", "/pipes/"):
        asks(peer, path, status=403, hint=waits)
    asks(peer, "/sock", status=403, hint="open(2) fails with ENXIO for a socket.")
    for path in ("/locked.txt", "/vault/", "/vault/a.txt"):
        asks(peer, path, status=403, hint="EACCES: it is there, and not for everybody. That is 403.")
    asks(peer, "/shut/", status=403, hint="There is an index.html, and it may not be read: that is no reason to list.")
    asks(peer, GOOD, body=b"in")


@points(3)
@needs("test_serves_a_file")
@read("open(2), ERRORS", "RFC 9110, section 15.5.5")
def test_not_found(server: Server, tcp: Tcp) -> None:
    """What is not there is 404, whatever the error is called; and dot files are not there."""
    root = server.directory({"in.txt": b"in", ".env": SECRET, ".git/config": SECRET, "d/.hidden": SECRET})
    root.write("...", SECRET).write("d/..a", SECRET)
    peer = serves(server, tcp, root)
    hints = {
        "/in.txt/": "ENOTDIR: behind a file's name nothing can follow, not even a slash.",
        "/in.txt/more": "ENOTDIR: a file is no directory.",
        f"/{'n' * 256}": "ENAMETOOLONG: no file has a name of that length.",
        f"/{'d/' * 2500}": "ENAMETOOLONG: no path has that length.",
    }
    for path in ("/nothing", "/no/thing", "/IN.TXT", *hints):
        asks(peer, path, status=404, hint=hints.get(path, "ENOENT is 404."))
    for path in ("/.env", "/.git/config", "/.git/", "/.git", "/d/.hidden", "/%2eenv", "/...", "/d/..a", "/d/../.env"):
        asks(peer, path, status=404, hint="A name that begins with a dot is not for the public: .git, .env, .htpasswd.")
    asks(peer, GOOD, body=b"in")


@points(2)
@needs("test_serves_a_file")
@read("RFC 9110, section 8.3", "path_resolution(7)")
def test_index(server: Server, tcp: Tcp) -> None:
    """A directory that has an index.html is answered with it, as if that had been asked for."""
    root = server.directory({"index.html": b"<p>root", "d/index.html": b"<p>d", "e/other.html": b"<p>e"})
    root.links({"e/index.html": "../index.html"})
    peer = serves(server, tcp, root)
    expect(
        asks(peer, "/", status=None).status != 404,
        "GET / is answered with 404, though below the root there is an index.html.",
        "The path of / is empty, and no file has an empty name (ENOENT): the root itself is opened as `.`.",
    )
    for path, body in (("/", b"<p>root"), ("/d/", b"<p>d"), ("/e/", b"<p>root"), ("/d/index.html", b"<p>d")):
        answer = asks(peer, path, body=body, headers={"etag": "*", "last-modified": "*"})
        kind = answer.header("content-type") or "nothing"
        expect(kind.startswith("text/html"), f"{path} is an HTML page, but is sent as {kind}.")


@points(3)
@needs("test_names_are_decoded_once")
@read("RFC 9110, section 15.4.2", "RFC 9110, section 10.2.2", "RFC 3986, section 4.2")
def test_redirect_to_the_slash(server: Server, tcp: Tcp) -> None:
    """A directory without its slash is moved, 301, to the path with one: on this server, whatever was asked."""
    root = server.directory({"d/a": b"", "my dir/e/a": b"", "ground.example/a": b"", "\\ground.example/a": b""})
    root.write("x\r\nSet-Cookie: a=b/a", b"")
    peer = serves(server, tcp, root)
    paths = [
        "/d",
        "/my%20dir/e",
        "//ground.example",
        "///ground.example",
        "/%5Cground.example",
        "/%78%0D%0ASet-Cookie:%20a=b",
    ]
    for path in paths:
        answer = asks(peer, path, status=301, headers={"location": "*", "date": "*"})
        location = answer.header("location") or ""
        expect(
            answer.header("set-cookie") is None,
            "A line break in a directory's name has become one in the answer's head: Location has to be encoded.",
        )
        expect(
            location.startswith("/") and location[1:2] not in ("/", "\\"),
            f"GET {path} is sent to Location: {location}.",
            "To a browser what is behind two slashes is a server's name: anybody could send people anywhere with a "
            "link to this one.",
        )
        wanted = f"/{unquote(path).lstrip('/')}/"
        expect(unquote(location) == wanted, f"GET {path} is sent to Location: {location}, which is not {wanted!r}.")
        expect(all("!" <= letter <= "~" for letter in location), f"Location is not encoded: {location!r}.")
        hint = f"This is where the Location of {path} leads, {location}: the slashes of a path stay slashes, not %2F."
        asks(peer, location, status=200, hint=hint)


class _Links(HTMLParser):
    """Collects the links of a page: where they lead, and what a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open = tag == "a"
        if self._open:
            self.found.append((dict(attrs).get("href") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._open:
            where, text = self.found[-1]
            self.found[-1] = (where, text + data)


def listed(body: bytes) -> _Links:
    """Return the links in a listing, but for one to the directory above."""
    page = _Links()
    page.feed(body.decode("utf-8"))
    page.found = [(where, text) for where, text in page.found if where not in ("../", "..", "./")]
    return page


@points(3)
@needs("test_serves_a_file")
@read("readdir(3)", "scandir(3)", "RFC 3986, section 5.2")
def test_listing(server: Server, tcp: Tcp) -> None:
    """A directory without index.html is answered with an HTML page: a link for each name, sorted, without dot files."""
    names = ["zebra.txt", "Apple", "apple", "b2", "b10", "sub/inner", ".secret"]
    root = server.directory({f"d/{name}": name.encode() for name in names})
    root.directory("void").write("</title><img x>/y", b"")
    peer = serves(server, tcp, root)
    answer = asks(peer, "/d/", headers={"content-length": "*", "date": "*"})
    kind = answer.header("content-type") or "nothing"
    expect(kind.startswith("text/html"), f"A listing is an HTML page, but is sent as {kind}.")
    found = listed(answer.body).found
    texts = [text for _, text in found]
    expect(".secret" not in texts, "The listing shows a dot file.")
    wanted = ["Apple", "apple", "b10", "b2", "sub/", "zebra.txt"]
    expect(texts == wanted, f"The listing shows {texts}, where {wanted} was expected: every name, sorted by bytes.")
    for where, text in found:
        target = urljoin("/d/", where)
        expect(target.startswith("/d/"), f"The link of {text!r} leads to {target}: names are relative to the page.")
        hint = f"This is where the link of {text!r} leads, {target}. Behind a directory's name is a slash, there too."
        asks(peer, target, body=None if text.endswith("/") else text.encode(), hint=hint)
    void = listed(asks(peer, "/void/").body).found
    expect(void == [], f"The listing of an empty directory has {len(void)} links.")
    tags = listed(asks(peer, "/%3C/title%3E%3Cimg%20x%3E/").body).tags
    expect("img" not in tags, "The directory's own name has become an element of its page.")


@points(3)
@needs("test_listing", "test_names_are_decoded_once")
@read("RFC 3986, section 2.1", "RFC 3986, section 4.2")
def test_listing_escapes_names(server: Server, tcp: Tcp) -> None:
    """Whatever a file is called, a listing shows its name as it is, and its link leads to it."""
    names = [
        "<script>alert(1)<",
        "a&amp;b",
        "\"on'x=",
        "100%",
        "%41",
        "a?b",
        "a#b",
        "a b",
        "javascript:x",
        "ü",
        "a\\b",
        "t\tb",
    ]
    root = server.directory({name: name.encode() for name in sorted(names)})
    peer = serves(server, tcp, root)
    page = listed(asks(peer, "/").body)
    expect(
        "script" not in page.tags,
        "A file's name has become an element of the page: < has to be escaped in HTML.",
    )
    texts = [text for _, text in page.found]
    for name in sorted(names, key=str.encode):
        expect(
            name in texts,
            f"In a browser the listing has no link that reads {name!r}.",
            "What means something in HTML has to be escaped in the text, and encoded in the link: there a quotation "
            "mark would be the end of it.",
        )
    expect(len(texts) == len(names), f"The listing has {len(texts)} links for {len(names)} files: {texts}.")
    for where, text in page.found:
        target = urljoin("http://ground/", where)
        expect(target.startswith("http://ground/"), f"The link of {text!r} leads to {target}: : has to be encoded.")
        hint = f"The link of {text!r} is {where!r}: all that means something in a URL has to be encoded, % first."
        path = target.removeprefix("http://ground").partition("#")[0]
        asks(peer, quote(path, safe=AS_BROWSERS_DO), body=text.encode(), hint=hint)
