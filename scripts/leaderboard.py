"""Put every record below a folder into one table: Markdown and HTML.

    python scripts/leaderboard.py outputs/
    python scripts/leaderboard.py outputs/ --metric f1_macro --out somewhere

Takes seconds and needs neither torch nor a GPU.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from poolbench.core.errors import command
from poolbench.report.build import write_files
from poolbench.report.leaderboard import leaderboard_files, read_leaderboard
from poolbench.runs.protocol import Metric


@command
def main(arguments: list[str]) -> int:
    """Exit code 0: both files are written; 2: they cannot be, with the reason in one line."""
    doc, raw = __doc__, argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=raw)
    parser.add_argument("root", type=Path, help="folder with studies below it: outputs/")
    parser.add_argument("--metric", choices=get_args(Metric), default="accuracy")
    parser.add_argument("--out", type=Path, help="folder to write to; default: the same")
    options = parser.parse_args(arguments)
    board = read_leaderboard(options.root, options.metric)
    written = write_files(options.out or options.root, leaderboard_files(board))
    print(board.summary)
    print(*(f"  {path}" for path in written), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
