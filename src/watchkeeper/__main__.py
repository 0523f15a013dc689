"""`python -m watchkeeper` is `wk`."""

import sys

from watchkeeper.surface.cli import main

if __name__ == "__main__":
    sys.exit(main())
