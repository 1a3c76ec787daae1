"""Hand a trained encoder, pooler and head on to sentence-transformers or ONNX.

    python scripts/export.py outputs/first/rotten_tomatoes/minilm/mean/seed=0-1a2b3c4d --to onnx
    python scripts/export.py <cell> --to sentence-transformers --out my-model

Needs the extra: pip install -c constraints.txt -e ".[export]". Some test texts are then classified
by what was written, and the classes compared with the cell's own.
"""

import argparse
import sys
from pathlib import Path

from poolbench.core.errors import BadInput


def main(arguments: list[str] | None = None) -> int:
    """0: written, and it says the same; 1: it does not; 2: it cannot be written."""
    options = _parser().parse_args(arguments)
    try:
        return export(options)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def export(options: argparse.Namespace) -> int:
    """Write, then compare.

    Raises:
        BadInput: the target has no form for this cell, or it cannot be written.
    """
    # torch: not before the arguments are known to be good
    from poolbench.inference import as_onnx, as_sentence_transformer
    from poolbench.inference.beside import replacing_folder
    from poolbench.inference.load import load
    from poolbench.inference.parity import parity, some_tested

    if options.to == "onnx":
        write, logits = as_onnx.write_onnx, as_onnx.onnx_logits
    else:
        write = as_sentence_transformer.write_sentence_transformer
        logits = as_sentence_transformer.sentence_transformer_logits
    trained = load(options.cell)
    folder = options.out or options.cell / options.to
    with replacing_folder(folder) as filled:
        write(trained, filled)
    rows, texts = some_tested(trained, options.texts)
    found = parity(trained, rows, texts, logits(folder, texts))
    print(
        f"{folder}: largest deviation {found.deviation:.1e}, "
        f"predictions equal: {found.equal} of {found.texts}"
    )
    if found.recorded != found.equal:
        print(
            f"as recorded: {found.recorded} of {found.texts}; the cell's own test may have been in "
            "half precision"
        )
    if not found.holds:
        print("error: what was exported is not what was trained", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", type=Path, help="folder of a finished cell, with its record.json")
    parser.add_argument("--to", required=True, choices=("sentence-transformers", "onnx"))
    parser.add_argument("--out", type=Path, help="folder to write; default: <cell>/<target>")
    parser.add_argument("--texts", type=int, default=256, help="test texts to compare on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
