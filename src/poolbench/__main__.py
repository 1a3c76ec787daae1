"""``python -m poolbench``: the command line of an installed package."""

import sys

from poolbench.training.command import main

if __name__ == "__main__":
    sys.exit(main())
