"""The hub through its real client: right results, or one line with the fix, and no long waits."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from poolbench.encoders.huggingface import from_name
from tests.robustness.hub_server import COMMIT, Hub, Repository, serve
from tests.robustness.model_folders import save_model

pytestmark = pytest.mark.slow

ROWS = [(f"film {i}", i % 2) for i in range(20)]
Results = dict[str, dict[str, Any]]
LOADS = [
    ("model", "encoder", {"name": "me/model"}),
    ("pinned", "encoder", {"name": "me/model", "revision": COMMIT}),
    ("no revision", "encoder", {"name": "me/model", "revision": "v9"}),
    ("sharded", "encoder", {"name": "me/sharded"}),
    ("pickled", "encoder", {"name": "me/pickled"}),
    ("flaky", "encoder", {"name": "me/flaky"}),
    ("missing", "encoder", {"name": "me/missing"}),
    ("gated", "encoder", {"name": "me/gated"}),
    ("no weights", "encoder", {"name": "me/empty"}),
    ("one split", "dataset", {"path": "me/one", "validation_split": None, "test_split": None}),
    ("configuration", "dataset", {"path": "me/several", "name": "b", "validation_split": None}),
    ("no configuration", "dataset", {"path": "me/several"}),
    ("no split", "dataset", {"path": "me/one"}),
    ("missing data", "dataset", {"path": "me/missing"}),
    ("gated data", "dataset", {"path": "me/gated"}),
    (
        "flaky data",
        "dataset",
        {"path": "me/flaky", "validation_split": None, "test_split": None},
    ),
    (
        "pairs",
        "dataset",
        {
            "path": "me/pairs",
            "name": "b",
            "columns": [2, "score"],
            "text_column": "sentence1",
            "text_b_column": "sentence2",
            "validation_split": None,
            "test_split": "validation_matched",
        },
    ),
    ("labels", "dataset", {"path": "me/labels", "name": "simplified", "columns": [1, "labels"]}),
    ("beir", "beir", {"path": "me/beir", "columns": [2, "relevance"]}),
    ("beir without qrels", "beir", {"path": "me/one", "columns": [2, "relevance"]}),
]


def load(endpoint: str, home: Path, loads: list[Any]) -> Results:
    """Results of loading in a new process: the client reads its environment when imported."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    outcome = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hub_client.py")), json.dumps(loads)],
        env=kept | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    found: Results = json.loads(outcome.stdout.splitlines()[-1])
    return found


def csv(rows: list[tuple[str, int]]) -> bytes:
    return "".join(["text,label\n", *(f"{text},{label}\n" for text, label in rows)]).encode()


def card(**configurations: dict[str, str]) -> bytes:
    """A README that names the file of each split of each configuration."""
    given = [
        {
            "config_name": name,
            "data_files": [{"split": s, "path": path} for s, path in files.items()],
        }
        for name, files in configurations.items()
    ]
    return f"---\n{json.dumps({'configs': given})}\n---\n".encode()


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def pairs_repository() -> Repository:
    """As in GLUE: several configurations, and a split of another name."""
    rows = [{"sentence1": f"a {i}", "sentence2": f"b {i}", "score": i / 4} for i in range(20)]
    files = {"train": "b/train.jsonl", "validation_matched": "b/validation.jsonl"}
    readme = card(a={"train": "a/train.jsonl"}, b=files)
    content = {"a/train.jsonl": jsonl(rows[:2]), "b/train.jsonl": jsonl(rows)}
    return Repository({"README.md": readme, **content, "b/validation.jsonl": jsonl(rows[:6])})


def labels_repository(folder: Path) -> Repository:
    """As in GoEmotions: parquet files with lists of classes."""
    kind = datasets.List(datasets.ClassLabel(names=["joy", "anger"]))
    features = datasets.Features({"text": datasets.Value("string"), "labels": kind})
    files = {}
    for split in ("train", "validation", "test"):
        rows = {"text": [f"{split} {i}" for i in range(6)], "labels": [[0], [], [1, 0]] * 2}
        path = folder / f"{split}.parquet"
        datasets.Dataset.from_dict(rows, features).to_parquet(path)
        files[split] = path.read_bytes()
    readme = card(
        raw={"train": "raw/train.parquet"},
        simplified={split: f"simplified/{split}-0.parquet" for split in files},
    )
    content = {f"simplified/{split}-0.parquet": data for split, data in files.items()}
    return Repository({"README.md": readme, "raw/train.parquet": files["train"], **content})


def beir_repository() -> Repository:
    """As in mteb: the qrels, the corpus and the queries are configurations."""
    qrels = {split: f"qrels/{split}.jsonl" for split in ("train", "dev", "test")}
    parts = {"corpus": {"corpus": "corpus.jsonl"}, "queries": {"queries": "queries.jsonl"}}
    corpus = [{"_id": f"d{i}", "title": f"Title {i}", "text": f"text {i}"} for i in range(12)]
    files = {"README.md": card(default=qrels, **parts), "corpus.jsonl": jsonl(corpus)}
    files["queries.jsonl"] = jsonl([{"_id": f"q{i}", "text": f"query {i}"} for i in range(9)])
    for i, path in enumerate(qrels.values()):
        rows = [{"query-id": f"q{3 * i + j}", "corpus-id": f"d{j}", "score": 1.0} for j in range(3)]
        files[path] = jsonl(rows)
    return Repository(files)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def found(folder: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    shards = Path(shutil.copytree(folder, tmp_path_factory.mktemp("hub") / "sharded"))
    AutoModel.from_pretrained(folder).save_pretrained(shards, max_shard_size="30KB")
    (shards / "model.safetensors").unlink()
    pickled = Repository.of(folder)
    torch.save(load_file(folder / "model.safetensors"), shards.parent / "weights")
    pickled.files["pytorch_model.bin"] = (shards.parent / "weights").read_bytes()
    del pickled.files["model.safetensors"]
    configurations = {
        "a": {"train": "a/train.csv"},
        "b": {"train": "b/train.csv", "test": "b/test.csv"},
    }
    one = {"train.csv": csv(ROWS)}
    several = {"README.md": card(**configurations), "b/test.csv": csv(ROWS[:8])}
    several |= {"a/train.csv": csv(ROWS[:12]), "b/train.csv": csv(ROWS[:16])}
    configuration = (folder / "config.json").read_bytes()
    hub = Hub(
        {
            "models/me/model": Repository.of(folder),
            "models/me/sharded": Repository.of(shards),
            "models/me/pickled": pickled,
            "models/me/flaky": Repository.of(folder, failures=1),
            "models/me/gated": Repository.of(folder, gated=True),
            "models/me/empty": Repository({"config.json": configuration}),
            "datasets/me/one": Repository(one),
            "datasets/me/several": Repository(several),
            "datasets/me/pairs": pairs_repository(),
            "datasets/me/labels": labels_repository(tmp_path_factory.mktemp("labels")),
            "datasets/me/beir": beir_repository(),
            "datasets/me/gated": Repository(one, gated=True),
            "datasets/me/flaky": Repository(one, failures=1),
        }
    )
    with serve(hub) as endpoint:
        found = load(endpoint, home, LOADS)
    # Nothing but reading: transformers can ask for a conversion of the weights.
    assert not [request for request in hub.requests if "discussions" in request]
    return found


def test_models_are_those_of_the_local_folder(found: Results, folder: Path) -> None:
    expected = {"digest": from_name(str(folder), max_length=16).digest, "layers": 3}
    for name in ("model", "pinned", "sharded", "pickled", "flaky"):
        assert found[name].items() >= expected.items(), found[name]


def test_datasets_are_loaded(found: Results) -> None:
    assert found["one split"]["train"] == 14  # 20 rows less validation and test
    assert found["configuration"]["train"] == 14  # 16 rows less validation
    assert found["flaky data"]["digest"] == found["one split"]["digest"]


def test_pairs_lists_of_labels_and_the_layout_of_beir_are_loaded(found: Results) -> None:
    assert found["pairs"].items() >= {"train": 18, "validation rows": 2, "test rows": 6}.items()
    assert found["pairs"]["last"] == {"text": "a 5", "text_b": "b 5", "label": 1.25}
    assert found["labels"]["names"] == ["joy", "anger"]
    assert found["labels"]["last"] == {"text": "test 5", "label": [0, 1]}
    # Train has nine of the twelve documents as rows without a query.
    rows = {"train rows": 3 + 9, "validation rows": 3, "test rows": 3}
    assert found["beir"].items() >= rows.items()
    assert found["beir"]["last"] == {"text": "query 8", "text_b": "Title 2 text 2", "label": 1.0}


@pytest.mark.parametrize(
    ("name", "key_words"),
    [
        ("missing", "'me/missing'.*no such repository.*hf auth login"),
        ("gated", "'me/gated'.*restricted.*hf auth login"),
        ("no revision", "v9 is not a valid git identifier"),
        ("no weights", "me/empty.*model.safetensors"),
        ("missing data", "'me/missing'.*doesn't exist|no such repository"),
        ("gated data", "'me/gated'.*restricted.*hf auth login"),
        ("no configuration", "'me/several'.*'a', 'b'.*set dataset.name"),
        ("beir without qrels", "'me/one' cannot be loaded: .*corpus"),
        ("no split", "has no split 'validation', it has: train"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(found: Results, name: str, key_words: str) -> None:
    message = found[name]["error"]
    assert re.search(key_words, message), message
    assert "\n" not in message
    assert found[name]["seconds"] < 10


def test_without_network_a_downloaded_model_loads_and_others_fail_at_once(
    found: Results, home: Path
) -> None:
    loads = [
        LOADS[0],
        ["missing", "encoder", {"name": "me/missing"}],
        ["data", "dataset", {"path": "me/other"}],
    ]
    offline = load("http://127.0.0.1:9", home, loads)
    assert offline["model"]["digest"] == found["model"]["digest"]
    for name in ("missing", "data"):
        assert "the hub cannot be reached" in offline[name]["error"]
        assert offline[name]["seconds"] < 3
