"""Golden files: what the reports looked like when a person last approved of them.

GROUNDUP_RENEW_GOLDEN=1 pytest tests/report     writes them anew; read the difference before you keep it
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with golden/NAME.txt, or write it there."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("GROUNDUP_RENEW_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
