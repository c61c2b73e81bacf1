"""A chapter made for the tests, and the guest image's root for those that compile."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.course.chapter import Chapter, load
from groundup.paths import IMAGES

SOURCE = """\
#include <stdio.h>

static int answer(void)
{
    /* BEGIN SOLUTION */
    return 42;
    /* END SOLUTION */
    /* STARTER: return 0;  // which number was it? */
}

int main(void)
{
    printf("%d\\n", answer());
    return 0;
}
"""

TESTS = '''\
from groundup_guest.testing import hidden, needs, points, read, timeout


@points(10)
@read("printf(3)", "RFC 1, section 2")
def test_prints(server):
    """The number is printed, e.g. 42. And more that nobody reads at a glance.

    A second paragraph.
    """


@points(2.5)
@needs("test_prints")
@timeout(3)
@hidden
def test_twice(server):
    """The number is printed twice."""


def test_free(server):
    """No points for this one."""


def helper():
    pass
'''

HINTS = """\
[test_prints]
1 = "What is printed?"
2 = "A number."
3 = "printf(3)"

[test_twice]
1 = "a"
2 = "b"
3 = "c"
"""

PATCH = """\
mistake: answers with another number
killed-by: test_prints
message: 41|another number

--- answer.c
+++ answer.c
@@ -3,7 +3,7 @@
 static int answer(void)
 {
     /* BEGIN SOLUTION */
-    return 42;
+    return 41;
     /* END SOLUTION */
     /* STARTER: return 0;  // which number was it? */
 }
"""

README = """\
# The answer

See [the source](answer.c), [below](#what-it-is) and [elsewhere](https://example.org/x).

## What it is

```c answer.c
static int answer(void)
{
    return 42;
}
…
printf("%d\\n",
       answer());
```
"""


@pytest.fixture
def chapters(tmp_path: Path) -> Path:
    root = tmp_path / "chapters"
    directory = root / "07-answer"
    files = {
        "chapter.toml": 'title = "The answer"\nsummary = "One number."\n',
        "answer.c": SOURCE,
        "README.md": README,
        "hints.toml": HINTS,
        "tests/test_answer.py": TESTS,
        **{f"mutants/m{n}.patch": PATCH for n in range(10)},
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def chapter(chapters: Path) -> Chapter:
    return load(chapters / "07-answer")


@pytest.fixture
def edit(chapter: Chapter) -> Callable[[str, str, str], None]:
    """Replace one text in one of the chapter's files."""

    def replace(name: str, old: str, new: str) -> None:
        path = chapter.directory / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return replace


@pytest.fixture(scope="session")
def root() -> Path:
    """The unpacked guest image with its compiler: the newest that `make setup` made, or $GROUNDUP_ROOT."""
    made = sorted(IMAGES.glob("*/root"), key=lambda path: path.stat().st_mtime)
    if "GROUNDUP_ROOT" in os.environ:
        made.append(Path(os.environ["GROUNDUP_ROOT"]))
    if not made:
        pytest.fail("there is no guest image: run 'make setup', or set GROUNDUP_ROOT to an unpacked one")
    return made[-1]
