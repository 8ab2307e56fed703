"""`python -m fullyconv` is the command `fullyconv`."""

from __future__ import annotations

import sys

from fullyconv.cli import main

if __name__ == "__main__":
    sys.exit(main())
