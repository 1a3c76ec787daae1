"""The map finds the layer that knows the answer, and the report says which one it is."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from poolbench.data.collate import Batch
from poolbench.encoders.toy import EmbeddingEncoder
from poolbench.report.build import findings_of, report_files
from poolbench.runs.record import read_record
from tests.conftest import plan, train

PLANTED, DEPTH = 2, 4
NDCG = "test/ndcg@10"


class PlantedEncoder(EmbeddingEncoder):
    """On one layer a word has the same vector in all texts, on the others another one in each."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.depth, self.layers = DEPTH, (DEPTH,)

    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        shift = 7919 * (1 + batch.text_ids.unsqueeze(1))
        elsewhere = self.table((batch.input_ids + shift) % self.table.num_embeddings)
        planted = self.table(batch.input_ids % self.table.num_embeddings)
        states = [planted if layer == PLANTED else elsewhere for layer in self.layers]
        return torch.stack(states, dim=2)


def test_the_map_finds_the_planted_layer(tmp_path: Path) -> None:
    draw = random.Random(0)
    path = tmp_path / "test.jsonl"
    with path.open("w") as file:
        for _ in range(300):
            words = [f"word{draw.randrange(2000)}" for _ in range(8)]
            shuffled = draw.sample(words, len(words))
            row = {"query": " ".join(words), "document": " ".join(shuffled)}
            file.write(json.dumps(row) + "\n")
    specs = plan(
        tmp_path,
        *("experiment=layer_map", "task=retrieval", "dataset=files", f"dataset.test={path}"),
        *("encoder=embedding", "encoder._target_=tests.tasks.test_planted_layer.PlantedEncoder"),
        *("allow_targets=[tests.]", "pooler=mean,max", f"layers.index=range({DEPTH + 1})"),
    )
    assert train(specs)
    found = {
        (spec.pooler, spec.config["layers"]["index"]): read_record(spec.folder).metrics[NDCG]
        for spec in specs
    }
    assert len(found) == 2 * (DEPTH + 1)
    assert found.pop(("mean", PLANTED)) == found.pop(("max", PLANTED)) == 1.0
    assert max(found.values()) < 0.1
    page = report_files(findings_of(specs[0].study_folder))["report.md"]
    assert f"No layer below {PLANTED} is shown to be within the 0.5-point margin" in page
