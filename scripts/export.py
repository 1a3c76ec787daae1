"""Export the encoder, pooler and head of a run to ONNX or sentence-transformers.

Of tasks that need two texts, the pooled vectors of single texts are exported, without a head.

    python scripts/export.py outputs/first/rotten_tomatoes/minilm/mean/seed=0-1a2b3c4d --to onnx
    python scripts/export.py <run> --to sentence-transformers --out my-model

Needs the extra: pip install -c constraints.txt -e ".[export]". The predictions or vectors of the
export are compared with those of the run on some test texts; exit code 1 if they differ.
"""

import argparse
import sys
from pathlib import Path

from poolbench.core.errors import command
from poolbench.runs.protocol import ONE_TEXT


@command
def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if predictions or vectors differ; 2 if the run cannot be exported."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run, with its record.json")
    parser.add_argument("--to", required=True, choices=("onnx", "sentence-transformers"))
    parser.add_argument("--out", type=Path, help="folder to write; default: <run>/<target>")
    parser.add_argument("--texts", type=int, default=256, help="test texts to compare on")
    options = parser.parse_args(arguments)
    from poolbench.inference import export, export_onnx, load
    from poolbench.inference import export_sentence_transformers as library

    folder = options.out or options.run / options.to
    trained = load.load(options.run)
    of_texts = trained.record.task in ONE_TEXT
    if options.to == "onnx":
        write, outputs = export_onnx.write_onnx, export_onnx.onnx_outputs
    else:
        write = library.write_sentence_transformer
        outputs = library.sentence_transformer_logits
        outputs = outputs if of_texts else library.sentence_transformer_vectors
    with export.replaced_folder(folder) as new:
        write(trained, new)
    deviation, equal, texts = export.compare(trained, folder, outputs, options.texts)
    what = "predictions" if of_texts else "vectors"
    print(f"{folder}: largest deviation {deviation:.1e}, {what} equal: {equal} of {texts}")
    if equal < texts:
        print(f"error: the export and the run give different {what}", file=sys.stderr)
    return int(equal < texts)


if __name__ == "__main__":
    sys.exit(main())
