"""Put every record below a folder into one table: Markdown and HTML.

    python scripts/leaderboard.py outputs/
    python scripts/leaderboard.py outputs/ --metric f1_macro --out somewhere

Takes seconds and needs neither torch nor a GPU.
"""

import argparse
import sys
from pathlib import Path

from poolbench.core.errors import BadInput
from poolbench.core.io import replacing
from poolbench.report.leaderboard import read_leaderboard
from poolbench.report.leaderboard_page import leaderboard_markdown, leaderboard_page
from poolbench.stats.protocol import METRICS


def main(arguments: list[str] | None = None) -> int:
    """0: both files are written; 2: they cannot be, for the reason in one line."""
    options = _parser().parse_args(arguments)
    folder = options.out or options.root
    try:
        board = read_leaderboard(options.root, options.metric)
        contents = {
            "leaderboard.html": leaderboard_page(board),
            "leaderboard.md": leaderboard_markdown(board),
        }
        for name, content in contents.items():
            write(folder / name, content)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(board.rows)} rows, {len(board.without)} cells without a result")
    print(*(f"  {folder / name}" for name in contents), sep="\n")
    return 0


def write(path: Path, content: str) -> None:
    """Write a file in one step; its folder is made where there is none.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content.encode())
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; use --out") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder with studies below it: outputs/")
    parser.add_argument("--metric", choices=METRICS, default="accuracy")
    parser.add_argument("--out", type=Path, help="folder to write to; default: the same")
    return parser


if __name__ == "__main__":
    sys.exit(main())
