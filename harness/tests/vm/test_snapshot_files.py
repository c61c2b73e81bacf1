"""What a snapshot says of itself, and what of it can be damaged."""

import json
from pathlib import Path

import pytest

from groundup.vm.snapshot import _damage, _facts


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        '{"mode": "mapped", "fil',
        "[1]",
        "5",
        '{"mode": "other", "files": {}}',
        '{"mode": "mapped"}',
        '{"mode": "mapped", "files": [1]}',
        '{"mode": "mapped", "files": {"initrd": "5"}}',
        '{"mode": ["mapped"], "files": {}}',
        b"\xff\xfe",
    ],
)
def test_facts_that_are_none(tmp_path: Path, text: str | bytes | None) -> None:
    if text is not None:
        (tmp_path / "facts.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert _facts(tmp_path) is None


def test_damage(tmp_path: Path) -> None:
    (tmp_path / "initrd").write_bytes(b"12345")
    (tmp_path / "facts.json").write_text(json.dumps({"mode": "stream", "files": {"initrd": 5, "server.state": 7}}))
    facts = _facts(tmp_path)
    assert facts is not None
    assert _damage(tmp_path, facts) == "server.state is missing"
    (tmp_path / "server.state").write_bytes(b"1234567")
    assert _damage(tmp_path, facts) == ""
    (tmp_path / "initrd").write_bytes(b"1234")
    assert _damage(tmp_path, facts) == "initrd has 4 bytes in place of 5"
