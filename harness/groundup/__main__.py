"""`python -m groundup`: what the launcher starts."""

import sys

from groundup.cli import main

sys.exit(main(sys.argv[1:]))
