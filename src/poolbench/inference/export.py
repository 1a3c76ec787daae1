"""Parts of every export: tokenizer, description, and the comparison with the run.

The export of a task that predicts something of one text gives the outputs of its head; that of a
task of two texts gives the pooled vectors of single texts.
"""

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
from poolbench.runs.protocol import ONE_TEXT
from poolbench.runs.study import read_test_texts

DESCRIPTION = "poolbench.json"
README = """# {run.pooler} on {run.encoder}, {made} on {run.dataset}

```python
{program}
```
"""
PROGRAM = """import json
from pathlib import Path

import numpy as np


{source}

classes = json.loads(Path("poolbench.json").read_text())["classes"]
found = {name}(Path("."), ["A joy.", "A waste of time."])
{use}"""
# The last line of the program in a README.
USES: dict[str, str] = {
    "classification": "print([classes[best] for best in found.argmax(axis=1)])",
    "multilabel": "print([[c for c, x in zip(classes, row) if x > 0] for row in found])",
    "regression": "print(found[:, 0])",
}
COSINES = """unit = found / np.linalg.norm(found, axis=1, keepdims=True)
print(unit @ unit.T)"""
TOLERANCE = 1e-5  # of scores and vectors, relative to the largest value
Outputs = Callable[[Path, list[str]], np.ndarray]  # of texts, by the model in a folder


def compare(
    trained: TrainedModel, folder: Path, outputs: Outputs, number: int
) -> tuple[float, int, int]:
    """Compare an export with its run on ``number`` texts, evenly spread over the test split.

    Classes and labels are equal or not; scores and vectors within ``TOLERANCE``.

    Returns:
        The largest difference of two outputs, the number of texts with equal predictions (or
        vectors), the number of texts.
    """
    texts = _test_texts(trained)
    rows = np.linspace(0, len(texts) - 1, min(number, len(texts))).round().astype(int)
    texts = [texts[row] for row in np.unique(rows)]
    compute = trained.logits if trained.record.task in ONE_TEXT else trained.vectors
    own, exported = compute(texts).numpy(), outputs(folder, texts)
    difference = np.abs(exported - own)
    equal = {
        "classification": own.argmax(axis=1) == exported.argmax(axis=1),
        "multilabel": ((own > 0) == (exported > 0)).all(axis=1),
    }.get(trained.record.task, difference.max(axis=1) <= TOLERANCE * np.abs(own).max())
    return float(difference.max()), int(equal.sum()), len(texts)


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
    """The encoder of the run; a UserError if other libraries cannot encode texts as it does."""
    encoder = trained.model.encoder
    tokenizer = getattr(encoder, "tokenizer", None)
    if encoder.window is not None:
        raise UserError(
            "exports have no windows: use scripts/predict.py, or train without encoder.windows.size"
        )
    if trained.record.run.setting("pair_features") == "together":
        raise UserError("an export encodes one text: train with other pair_features than together")
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


def write_description(
    trained: TrainedModel, folder: Path, outputs: Outputs, program: str = ""
) -> None:
    """Write ``poolbench.json`` and a README with a program; by default one with ``outputs``."""
    run, prefix = trained.record.run, getattr(trained.model.encoder, "prefix", "")
    description = {"classes": trained.record.data.classes, "prefix": prefix}
    description |= {"run": run.model_dump(exclude={"config"}), "metrics": trained.record.metrics}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False))
    use = USES.get(trained.record.task, COSINES)
    source = inspect.getsource(outputs)
    program = program or PROGRAM.format(source=source, name=outputs.__name__, use=use)
    made = "trained" if trained.record.trained else "tested"
    (folder / "README.md").write_text(README.format(run=run, made=made, program=program))


def _test_texts(trained: TrainedModel) -> list[str]:
    """Those kept in the folder of the study, else those of the dataset."""
    record = trained.record
    kept = read_test_texts(record, Path(*record.folder.resolve().parts[:-4]))
    return kept or trained.session.inputs(trained.config).test_texts
