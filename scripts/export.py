"""Export the encoder, pooler and head of a run to ONNX or sentence-transformers.

    python scripts/export.py outputs/first/rotten_tomatoes/minilm/mean/seed=0-1a2b3c4d --to onnx
    python scripts/export.py <run> --to sentence-transformers --out my-model

Needs the extra: pip install -c constraints.txt -e ".[export]". The predictions of the export are
compared with those of the run on some test texts; exit code 1 if they differ.
"""

import argparse
import sys
from pathlib import Path

from poolbench.core.errors import command


@command
def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if predictions differ; 2 if the run cannot be exported."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run, with its record.json")
    parser.add_argument("--to", required=True, choices=("onnx", "sentence-transformers"))
    parser.add_argument("--out", type=Path, help="folder to write; default: <run>/<target>")
    parser.add_argument("--texts", type=int, default=256, help="test texts to compare on")
    options = parser.parse_args(arguments)
    from poolbench.inference import export, export_onnx, export_sentence_transformers, load

    if options.to == "onnx":
        write, logits = export_onnx.write_onnx, export_onnx.onnx_logits
    else:
        write = export_sentence_transformers.write_sentence_transformer
        logits = export_sentence_transformers.sentence_transformer_logits
    folder = options.out or options.run / options.to
    trained = load.load(options.run)
    with export.replaced_folder(folder) as new:
        write(trained, new)
    deviation, equal, texts = export.compare(trained, folder, logits, options.texts)
    print(f"{folder}: largest deviation {deviation:.1e}, predictions equal: {equal} of {texts}")
    if equal < texts:
        print("error: the export and the run give different predictions", file=sys.stderr)
    return int(equal < texts)


if __name__ == "__main__":
    sys.exit(main())
