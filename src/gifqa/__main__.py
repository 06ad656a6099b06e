"""`python -m gifqa` is the command `gifqa`."""

import sys

from gifqa.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
