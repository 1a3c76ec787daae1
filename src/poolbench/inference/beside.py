"""What stands beside the weights in every exported folder: tokenizer, class names, a README."""

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from poolbench.core.errors import BadInput
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.inference.load import Trained

ABOUT = "classifier.json"


def pretrained(trained: Trained) -> PretrainedEncoder:
    """The cell's encoder.

    Raises:
        BadInput: no other library could load it.
    """
    encoder = trained.model.encoder
    if isinstance(encoder, PretrainedEncoder) and isinstance(
        encoder.tokenizer, PreTrainedTokenizerBase
    ):
        return encoder
    raise BadInput(
        f"encoder={trained.record['cell']['encoder']} has a tokenizer of its own, which no other "
        "library can load: export a cell with a pretrained encoder"
    )


def tokenizer_of(encoder: PretrainedEncoder, padding_side: str) -> PreTrainedTokenizerBase:
    """The encoder's tokenizer, set so that a plain call cuts and pads as the cell did."""
    tokenizer: PreTrainedTokenizerBase = copy.deepcopy(encoder.tokenizer)
    tokenizer.model_max_length, tokenizer.padding_side = encoder.max_length, padding_side
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(encoder.pad_id)
    return tokenizer


def write_about(trained: Trained, folder: Path, readme: str) -> None:
    """Write the class names, in the order of the logits, and the README."""
    record = trained.record
    about = {
        "classes": trained.classes,
        "prefix": pretrained(trained).prefix,
        "cell": record["cell"],
        "weights": record["checksum"],
        "test": {k: v for k, v in record["metrics"].items() if k.startswith("test/")},
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False))
    cell = record["cell"]
    title = f"# {cell['pooler']} on {cell['encoder']}, trained on {cell['dataset']}\n\n"
    (folder / "README.md").write_text(title + readme)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which then takes the place of ``folder``.

    Raises:
        BadInput: there is something else at ``folder``, or it cannot be written.
    """
    if folder.exists() and not (folder / ABOUT).is_file():
        raise BadInput(f"{folder} is there already, and no earlier export: choose another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
            filled = Path(made) / folder.name
            filled.mkdir()
            yield filled
            if folder.exists():
                shutil.rmtree(folder)
            filled.rename(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror or error}") from error
