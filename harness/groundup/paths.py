"""Where things are in a checkout. What is made at run time lives under `build/`, or under `work/` for a learner.

GROUNDUP_BUILD names another place for `build/`: a checkout that cannot be written, a disk with more room.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GROUNDUP_BUILD") or ROOT / "build").resolve()
CHAPTERS = ROOT / "chapters"
HARNESS = ROOT / "harness"
GUEST_PACKAGE = HARNESS / "groundup_guest"
RECIPE = ROOT / "vm"
WORK = ROOT / "work"
IMAGES = BUILD / "vm"
SNAPSHOTS = BUILD / "snapshots"
RUNS = BUILD / "runs"
LAST_RUN = BUILD / "last"
