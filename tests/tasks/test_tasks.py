"""Every task from files to its record, against scipy, loops and sentence-transformers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from poolbench.encoders import feature_cache
from poolbench.runs.predictions import LAYOUTS
from poolbench.runs.protocol import METRICS
from poolbench.runs.record import RunRecord, read_record
from poolbench.tasks.classification import RecallAtFalsePositives
from poolbench.tasks.heads import CosineHead, PairFeatures
from poolbench.training.config import Config
from poolbench.training.session import Session
from tests.conftest import plan, rejection, train
from tests.tasks.rows import TINY, write_rows

Run = Callable[..., RunRecord]


@pytest.mark.parametrize("task", METRICS)
@pytest.mark.parametrize("pooler", ["mean", "attention"])
def test_the_record_of_a_task_follows_from_its_predictions(
    run: Run, tmp_path: Path, task: str, pooler: str
) -> None:
    record = run(f"task={task}", f"pooler={pooler}", *TINY, write_rows(tmp_path, task))
    kept, metrics = record.predictions, record.metrics
    targets, outputs = kept.targets, kept.outputs.astype(float)
    assert record.task == task
    assert record.trained == (pooler == "attention" or task not in ("similarity", "retrieval"))
    expected: dict[str, float] = {}
    if LAYOUTS[record.task].outputs == 1:
        expected["spearman"] = stats.spearmanr(targets, outputs[:, 0]).statistic
        expected["pearson"] = stats.pearsonr(targets, outputs[:, 0]).statistic
    elif task == "retrieval":
        expected = dict(zip(METRICS["retrieval"], outputs.mean(0), strict=False))
    elif task == "multilabel":
        hits = ((outputs > 0) & (targets > 0)).sum()
        expected["f1_micro"] = 2 * hits / ((outputs > 0).sum() + targets.sum())
    else:
        expected["accuracy"] = (outputs.argmax(1) == targets).mean()
    for name, value in expected.items():
        assert metrics[f"test/{name}"] == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize(
    ("task", "lr", "least"),
    [
        ("pair_classification", 0.03, 0.75),
        pytest.param("multilabel", 0.03, 0.65, marks=pytest.mark.slow),
        pytest.param("regression", 0.03, 0.6, marks=pytest.mark.slow),
        pytest.param("similarity", 0.01, 0.5, marks=pytest.mark.slow),
    ],
)
def test_what_the_texts_say_is_learned(
    run: Run, tmp_path: Path, task: str, lr: float, least: float
) -> None:
    features = ["pair_features=abs_diff"] if task == "pair_classification" else []
    record = run(
        *(f"task={task}", "pooler=attention", *TINY, write_rows(tmp_path, task, 600), *features),
        *("trainer.max_epochs=40", "patience=40", f"optimizer.lr={lr}"),
    )
    assert record.metrics[f"test/{METRICS[record.task][0]}"] > least
    assert record.history[-1]["train/loss"] < record.history[0]["train/loss"]


def test_similarity_agrees_with_sentence_transformers(
    run: Run, tmp_path: Path, session: Session
) -> None:
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    record = run("task=similarity", *TINY, write_rows(tmp_path, "similarity"))
    (spec,) = plan(
        tmp_path, "task=similarity", *TINY, write_rows(tmp_path, "similarity"), session=session
    )
    config = Config.model_validate(spec.config)
    inputs, model = session.inputs(config), session.new_model(config)
    (vectors,) = feature_cache.pooled_vectors([model.pool], model.encoder, inputs.data)
    table = inputs.splits["test"]
    members = inputs.data.members[inputs.data.splits["test"]]
    looked_up = dict(zip(table["text"], vectors[members[:, 0]].numpy(), strict=True))
    looked_up |= dict(zip(table["text_b"], vectors[members[:, 1]].numpy(), strict=True))

    class Encoder:
        similarity_fn_name = "cosine"
        model_card_data = None

        def encode(self, texts: list[str], **_: object) -> np.ndarray:
            return np.stack([looked_up[text] for text in texts])

    evaluator = evaluation.EmbeddingSimilarityEvaluator(
        *(list(table[name]) for name in ("text", "text_b", "label")),
        main_similarity="cosine",
        write_csv=False,
    )
    evaluator.store_metrics_in_model_card_data = lambda *_: None
    theirs = evaluator(Encoder())
    for name in ("spearman", "pearson"):
        assert record.metrics[f"test/{name}"] == pytest.approx(theirs[f"{name}_cosine"], abs=1e-6)


@pytest.mark.parametrize("task", ["similarity", "retrieval"])
def test_constant_vectors_are_at_chance(run: Run, tmp_path: Path, task: str) -> None:
    record = run(
        *(f"task={task}", "pooler=cls", "layers=layer", "layers.index=0", "encoder=scratch"),
        *(*TINY[1:], write_rows(tmp_path, task)),
    )
    outputs = record.predictions.outputs
    if task == "similarity":
        assert record.metrics["test/spearman"] == 0
        assert len(np.unique(outputs)) == 1
    else:
        np.testing.assert_allclose(outputs[:, 0], outputs[:, 4], rtol=1e-5)


def test_runs_that_train_nothing_share_one_pass_of_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    compute = feature_cache.pooled_vectors

    def counted(pools: list, *args: object) -> list:
        passes.append(len(pools))
        return compute(pools, *args)

    monkeypatch.setattr("poolbench.training.vectors.pooled_vectors", counted)
    rows = write_rows(tmp_path, "similarity")
    common = ("task=similarity", "encoder=scratch", *TINY[1:], rows, "layers=layer")
    swept = plan(tmp_path / "map", *common, "pooler=mean,max,cls", "layers.index=0,1,2")
    assert train(swept)
    assert passes == [9]
    assert not list(tmp_path.rglob("*.states")), "no hidden states are stored"
    alone = plan(tmp_path / "alone", *common, "pooler=max", "layers.index=1")
    assert train(alone)
    (same,) = [spec for spec in swept if spec.variant == alone[0].variant]
    found, expected = (read_record(s.folder).predictions.outputs for s in (same, alone[0]))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_one_run_serves_every_seed_if_nothing_is_trained(tmp_path: Path) -> None:
    rows = write_rows(tmp_path, "similarity")
    specs = plan(tmp_path, "task=similarity", *TINY, rows, "pooler=mean,attention", "seed=3,4")
    assert [(s.pooler, s.seed) for s in specs] == [("mean", 0), ("attention", 3), ("attention", 4)]
    assert "seed=" not in specs[0].command


@pytest.mark.parametrize("features", ["uv", "abs_diff", "product", "uv_abs_diff", "all"])
def test_pair_features_declare_whether_the_order_of_the_texts_matters(features: str) -> None:
    module = PairFeatures(5, features)
    u, v = torch.randn(2, 7, 5)
    found, swapped = module(torch.cat([u, v])), module(torch.cat([v, u]))
    assert found.shape == (7, module.output_dim)
    assert torch.equal(found, swapped) == module.symmetric


def test_a_zero_vector_is_similar_to_nothing() -> None:
    pooled = torch.tensor([[0.0, 0.0], [1e-30, 0.0], [3.0, 4.0], [2.0, 0.0]])
    assert CosineHead(2)(pooled).tolist() == [[0.0], [pytest.approx(1e-18)]]


REJECTED = {
    ("task=similarity", "dataset=presence"): "set task=classification",
    ("task=retrieval", "comparison.metric=accuracy", "dataset=presence"): "retrieval has ndcg@10",
    ("pair_features=uv", "dataset=presence"): "classification has no pair_features",
}


@pytest.mark.parametrize("overrides", REJECTED, ids=" ".join)
def test_what_does_not_fit_the_task_is_rejected(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert REJECTED[overrides] in rejection(lambda: plan(tmp_path, "encoder=embedding", *overrides))


def test_recall_at_one_percent_of_false_positives() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 700)
    scores = np.round(draw.normal(size=700) + labels, 2)  # with ties
    metric = RecallAtFalsePositives()
    for part in np.array_split(np.arange(700), 3):
        logits = np.stack([np.zeros(len(part)), scores[part]], axis=1)
        metric.update(torch.tensor(logits), torch.tensor(labels[part]))
    negatives = scores[labels == 0]
    best = max(
        (scores[labels == 1] > threshold).mean()
        for threshold in scores
        if (negatives > threshold).mean() <= 0.01
    )
    assert float(metric.compute()) == pytest.approx(best)


def test_a_file_of_test_pairs_is_enough_where_nothing_is_trained(run: Run, tmp_path: Path) -> None:
    for task in ("retrieval", "similarity"):
        rows = write_rows(tmp_path, task).removeprefix("dataset.train=")
        common = (f"task={task}", *TINY, f"dataset.test={rows}")
        record = run(*common)
        assert record.data.examples == {"train": 0, "validation": 0, "test": 160}
    message = rejection(lambda: plan(tmp_path, *common, "pooler=attention"))
    assert "the dataset has no training split" in message
    needed = rejection(lambda: plan(tmp_path, *TINY, f"dataset.test={rows}"))
    assert needed.startswith("dataset.train needs a value")


def test_vectors_of_one_dataset_never_serve_another(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    first = write_rows(tmp_path, "similarity", 120)
    second = write_rows(tmp_path / "more", "similarity", 200)
    common = ("task=similarity", *TINY)
    expected = {}
    for rows in (first, second):
        for pooler in ("mean", "max"):
            (spec,) = plan(tmp_path / "alone", *common, rows, f"pooler={pooler}")
            assert train([spec])
            expected[spec.variant] = read_record(spec.folder).metrics["test/spearman"]
    session = Session()
    both = f"{first},{second.removeprefix('dataset.train=')}"
    assert train(plan(tmp_path / "both", *common, first, "pooler=max", session=session), session)
    specs = plan(tmp_path / "both", *common, both, "pooler=max,mean", session=session)
    assert train(specs, session)
    found = {s.variant: read_record(s.folder).metrics["test/spearman"] for s in specs}
    assert found == pytest.approx(expected, abs=1e-6)
    assert len(set(found.values())) == 4


def test_folds_need_something_to_train(tmp_path: Path) -> None:
    rows = write_rows(tmp_path, "similarity")
    message = rejection(lambda: plan(tmp_path, "task=similarity", *TINY, rows, "split=cv3"))
    assert "nothing is trained" in message


def test_documents_are_ranked_in_full_precision(run: Run, tmp_path: Path) -> None:
    rows = write_rows(tmp_path, "retrieval")
    full, half = (
        run("task=retrieval", *TINY, rows, f"trainer.precision={precision}", f"study={precision}")
        for precision in ("32-true", "bf16-mixed")
    )
    np.testing.assert_allclose(full.predictions.outputs, half.predictions.outputs, atol=1e-6)
