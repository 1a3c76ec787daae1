"""Parts of every export: tokenizer, description, and the comparison with the trained run."""

import copy
import inspect
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from poolbench.core.errors import UserError
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.inference.load import TrainedModel
from poolbench.runs.study import read_test_texts

DESCRIPTION = "classifier.json"
README = """# {run.pooler} on {run.encoder}, trained on {run.dataset}

```python
import json
from pathlib import Path

import numpy as np


{source}

classes = json.loads(Path("classifier.json").read_text())["classes"]
found = {name}(Path("."), ["A joy.", "A waste of time."])
print([classes[best] for best in found.argmax(axis=1)])
```
"""
Logits = Callable[[Path, list[str]], np.ndarray]


def compare(
    trained: TrainedModel, folder: Path, logits: Logits, number: int
) -> tuple[float, int, int]:
    """Compare an export with its run on ``number`` texts, evenly spread over the test split.

    Returns:
        The largest difference of two logits, the number of equal predictions, the number of texts.
    """
    texts = _test_texts(trained)
    rows = np.linspace(0, len(texts) - 1, min(number, len(texts))).round().astype(int)
    texts = [texts[row] for row in np.unique(rows)]
    own, exported = trained.logits(texts).numpy(), logits(folder, texts)
    equal = own.argmax(axis=1) == exported.argmax(axis=1)
    return float(np.abs(exported - own).max()), int(equal.sum()), len(texts)


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill; it replaces ``folder``, which must be an earlier export, when complete."""
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise UserError(f"{folder} exists and is not an earlier export: choose another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            new = Path(made) / folder.name
            new.mkdir()
            yield new
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error


def exportable_encoder(trained: TrainedModel) -> PretrainedEncoder:
    """The encoder of the run; a UserError if other libraries cannot load its tokenizer."""
    encoder = trained.model.encoder
    tokenizer = getattr(encoder, "tokenizer", None)
    if isinstance(encoder, PretrainedEncoder) and isinstance(tokenizer, PreTrainedTokenizerBase):
        return encoder
    name = trained.record.run.encoder
    raise UserError(f"other libraries cannot load the tokenizer of {name}: use encoder=pretrained")


def save_tokenizer(encoder: PretrainedEncoder, padding_side: str, folder: Path) -> None:
    """Save the tokenizer so that a plain call truncates and pads as the run did."""
    tokenizer: PreTrainedTokenizerBase = copy.deepcopy(encoder.tokenizer)
    tokenizer.model_max_length, tokenizer.padding_side = encoder.max_length, padding_side
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(encoder.pad_id)
    tokenizer.save_pretrained(folder)


def write_description(trained: TrainedModel, folder: Path, logits: Logits) -> None:
    """Write ``classifier.json`` and a README with the source of ``logits``."""
    run, prefix = trained.record.run, getattr(trained.model.encoder, "prefix", "")
    description = {"classes": trained.record.data.classes, "prefix": prefix}
    description |= {"run": run.model_dump(exclude={"config"}), "metrics": trained.record.metrics}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False))
    readme = README.format(run=run, source=inspect.getsource(logits), name=logits.__name__)
    (folder / "README.md").write_text(readme)


def _test_texts(trained: TrainedModel) -> list[str]:
    """Those kept in the folder of the study, else those of the dataset."""
    record = trained.record
    kept = read_test_texts(record, Path(*record.folder.resolve().parts[:-4]))
    return kept or list(trained.session.inputs(trained.config).splits["test"]["text"])
