"""`groundup pcap`: where the last run's packets are, and what they say."""

import argparse
import sys

from groundup.errors import EXIT_PASSED
from groundup.link.diagram import Style, describe
from groundup.report.text import Printer
from groundup.runs import last_run


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    out = Printer(sys.stdout)
    for path in sorted(last_run().glob("*.pcapng")):
        out.line(describe(path, Style(columns=out.style.width, options=options.options)))
    return EXIT_PASSED
