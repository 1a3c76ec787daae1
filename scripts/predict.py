"""Predict class, labels or score of new texts with a run: one JSON line per text, in their order.

    python scripts/predict.py outputs/first/rotten_tomatoes/minilm/mean/seed=0-1a2b3c4d "A joy."
    python scripts/predict.py <run> --file reviews.txt
    python scripts/predict.py <run> --file reviews.csv --text-column review
    tail -f reviews.txt | python scripts/predict.py <run>

A text file and standard input contain one text per line.
"""

import argparse
import json
import sys
from pathlib import Path

from poolbench.core.errors import command
from poolbench.inference.finished import check_one_text, finished_run
from poolbench.inference.predict import predict, read_file, read_stream


@command
def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run, with its record.json")
    parser.add_argument("texts", nargs="*", help="texts; if none, a file or standard input")
    parser.add_argument(
        "--file", type=Path, help="one text per line, or a table: .csv, .tsv, .jsonl, .parquet"
    )
    parser.add_argument("--text-column", default="text", help="of a table; default: text")
    parser.add_argument("--top", type=int, default=5, help="classes to show; default: 5")
    options = parser.parse_args(arguments)
    if options.top < 1 or (options.texts and options.file):
        parser.error("give texts or --file, not both, and --top of 1 or more")
    # torch is imported after that: a run or a file that cannot be used is reported at once.
    check_one_text(finished_run(options.run))
    texts = read_file(options.file, options.text_column) if options.file else options.texts
    from poolbench.inference.load import load

    trained = load(options.run)
    given = options.texts or options.file
    for group in [texts] if given else read_stream(sys.stdin.buffer):
        for answer in predict(trained, group, options.top):
            print(json.dumps(answer, ensure_ascii=False))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
