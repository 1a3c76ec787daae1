"""Compressed vectors: codes of sentence-transformers, metrics by loops, the record of the run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from poolbench.core.errors import UserError
from poolbench.inference.compression import FORMATS, int8_codes, int8_values, vector_costs
from poolbench.inference.load import TrainedModel, load
from poolbench.report.build import findings_of, report_files
from poolbench.runs.vector_cost import VECTOR_COST, VectorCost, VectorCosts, read_vector_costs
from poolbench.tasks.similarity import DECIMALS
from scripts import vector_cost
from tests.conftest import plan, rejection, train
from tests.report.studies import Tags
from tests.tasks.rows import TINY, write_rows

TASKS = ["similarity", "retrieval"]


@pytest.fixture
def measured(run, session, tmp_path: Path) -> Callable[..., tuple[TrainedModel, VectorCosts]]:
    """A finished run, loaded, and what its vectors cost."""

    def measured(task: str, *overrides: str) -> tuple[TrainedModel, VectorCosts]:
        rows = write_rows(tmp_path, task, 320)
        trained = load(run(f"task={task}", *TINY, rows, *overrides).folder, session)
        return trained, vector_costs(trained)

    return measured


def found(costs: VectorCosts, name: str, width: int) -> VectorCost:
    return next(c for c in costs.costs if (c.format, c.width) == (name, width))


def test_codes_are_those_of_sentence_transformers() -> None:
    quantization = pytest.importorskip("sentence_transformers.util.quantization")
    draw = torch.Generator().manual_seed(0)
    vectors, corpus = torch.randn(50, 24, generator=draw), torch.randn(40, 24, generator=draw)
    vectors[:, 3], corpus[:, 3] = 0.25, 0.25  # a constant dimension has no range
    ranges = torch.stack([*corpus.aminmax(dim=0)])
    expected = quantization.quantize_embeddings(
        vectors.numpy(), "int8", calibration_embeddings=corpus.numpy()
    )
    np.testing.assert_array_equal(int8_codes(vectors, ranges).numpy(), expected)
    assert {-128, 127} <= set(expected.ravel().tolist()), "values outside of the range are clipped"
    bits = quantization.quantize_embeddings(vectors.numpy(), "ubinary")
    signs = FORMATS["binary"].stored(vectors, ranges).numpy()
    np.testing.assert_array_equal(np.packbits(signs > 0, axis=1), bits)


def test_an_int8_value_is_within_half_a_step() -> None:
    vectors = torch.rand(50, 6, dtype=torch.float64) * torch.tensor([0, 1, 2, 3, 4, 5])
    ranges = torch.stack([*vectors.aminmax(dim=0)])
    step = (ranges[1] - ranges[0]) / 255
    error = (int8_values(vectors, ranges) - vectors).abs()
    assert (error <= step / 2 + 1e-12).all()
    assert (error[:, 0] == 0).all()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("pooler", ["mean", "attention"])
def test_uncompressed_vectors_have_the_metric_of_the_record(measured, task, pooler) -> None:
    trained, costs = measured(task, f"pooler={pooler}")
    whole, width = costs.costs[0], trained.model.pooler.output_dim
    assert (whole.format, whole.width, whole.bytes) == ("float32", width, 4 * width)
    assert (whole.difference, whole.interval) == (0, None)
    tolerance = 1e-4 if pooler == "mean" else 0.2  # trained on cached states in half precision
    recorded = 100 * trained.record.metrics[f"test/{costs.metric}"]
    assert whole.value == pytest.approx(recorded, abs=tolerance)
    sizes = {(c.format, c.width): c.bytes for c in costs.costs}
    assert sizes["float16", width] == 2 * sizes["int8", width] == 16 * sizes["binary", width]
    assert len(sizes) == 20
    assert sizes["binary", width // 8] == -(-width // 64)
    assert trained.model.vectors is None, "the loaded model still works on new texts"


def test_spearman_of_bits_is_that_of_hamming_distances(measured, session) -> None:
    trained, costs = measured("similarity")
    table = session.inputs(trained.config).splits["test"]
    width = trained.model.pooler.output_dim // 2
    u, v = (trained.vectors(table[name][:])[:, :width].numpy() for name in ("text", "text_b"))
    packed = np.packbits(u > 0, axis=1) ^ np.packbits(v > 0, axis=1)
    distance = np.bitwise_count(packed).sum(axis=1)
    expected = stats.spearmanr(table["label"][:], -distance.astype(int)).statistic
    assert found(costs, "binary", width).value == pytest.approx(100 * expected, abs=1e-3)


def test_spearman_of_codes_is_that_of_sentence_transformers(measured, session) -> None:
    quantization = pytest.importorskip("sentence_transformers.util.quantization")
    trained, costs = measured("similarity", "pooler=max")
    splits, width = session.inputs(trained.config).splits, trained.model.pooler.output_dim // 2

    def cut(texts: list[str]) -> np.ndarray:
        vectors = trained.vectors(texts)[:, :width].numpy()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    of = {name: [*table["text"][:], *table["text_b"][:]] for name, table in splits.items()}
    calibration = cut([*({*of["train"], *of["validation"]} - {*of["test"]})])
    codes = quantization.quantize_embeddings(
        cut(of["test"]), "int8", calibration_embeddings=calibration
    )
    u, v = np.split(codes.astype(float), 2)
    cosines = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    expected = stats.spearmanr(splits["test"]["label"][:], cosines.round(DECIMALS)).statistic
    assert found(costs, "int8 codes", width).value == pytest.approx(100 * expected, abs=0.05)


def test_cut_vectors_rank_documents_as_a_loop_does(measured, session) -> None:
    trained, costs = measured("retrieval", "pooler=max")
    data, width = session.inputs(trained.config).data, trained.model.pooler.output_dim // 8
    table = session.inputs(trained.config).splits
    documents = [d for name in table for d in table[name]["text_b"][:]]
    documents = list(dict.fromkeys(documents))
    assert len(documents) == len(data.relevance.corpus)

    def cut(texts: list[str]) -> np.ndarray:
        vectors = trained.vectors(texts).double().numpy()[:, :width]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    queries, own = table["test"]["text"][:], table["test"]["text_b"][:]
    gains = []
    for scores, document in zip(cut(queries) @ cut(documents).T, own, strict=True):
        scores = scores.round(DECIMALS)
        place = documents.index(document)
        above, equal = (scores > scores[place]).sum(), (scores == scores[place]).sum()
        ranks = np.arange(above + 1, above + equal + 1)
        gains.append(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())
    whole = found(costs, "float32", width)
    assert whole.value == pytest.approx(100 * np.mean(gains), abs=0.05)
    lost = 100 * (np.array(gains) - trained.record.predictions.outputs[:, 0])
    assert whole.difference == pytest.approx(lost.mean(), abs=0.05)
    interval = stats.ttest_1samp(lost, 0).confidence_interval(1 - 0.05 / 19)
    assert whole.interval == pytest.approx(interval, abs=0.05)
    assert whole.interval[1] - whole.interval[0] > 1


def test_the_smallest_vector_within_the_margin() -> None:
    rows = [
        ("float32", 8, 32, None),
        ("float16", 8, 16, (-0.1, 0.1)),
        ("int8", 8, 8, (-0.4, 0.2)),
        ("binary", 8, 1, (-4.0, 2.0)),
    ]
    costs = [
        VectorCost(format=f, width=w, bytes=b, value=50, difference=0, interval=interval)
        for f, w, b, interval in rows
    ]
    made = VectorCosts(predictions_sha256=None, metric="spearman", costs=costs)
    assert [made.smallest(m) and made.smallest(m).bytes for m in (0.05, 0.2, 0.5, 5)] == [
        *(None, 16, 8, 1),
    ]


def test_the_command_writes_what_the_report_shows(tmp_path: Path, capsys) -> None:
    specs = plan(
        *(tmp_path, "task=similarity", *TINY, write_rows(tmp_path, "similarity")),
        *("pooler=mean,max", "study=costs"),
    )
    train(specs)
    study = tmp_path / "costs"
    assert "What a vector costs" not in Tags(report_files(findings_of(study))["report.html"]).text
    capsys.readouterr()
    assert vector_cost.main([str(spec.folder) for spec in specs]) == 0
    printed = capsys.readouterr().out
    findings = findings_of(study)
    files = report_files(findings)
    page, words = Tags(files["report.html"]).text, files["report.md"]
    for record in findings.study.finished:
        costs = read_vector_costs(record)
        assert costs is not None
        for cost in costs.costs:
            assert f"{cost.bytes:6} {cost.value:6.2f}" in printed
        for text in (page, words):
            assert "What a vector costs" in text
            assert f"{costs.costs[-1].value:.1f}" in text
    # A file that is damaged, or of an earlier result, is named and left out.
    record = findings.study.finished[0]
    path, sha = record.folder / VECTOR_COST, record.predictions_sha256
    whole = path.read_text()
    for content, why in ((whole[:99], "damaged"), (whole.replace(sha, "0" * 64), "earlier result")):
        path.write_text(content)
        assert why in report_files(findings_of(study))["report.md"]
    with pytest.raises(UserError, match="earlier result"):
        read_vector_costs(record)


def test_runs_with_a_head_are_refused(run, tmp_path: Path, capsys) -> None:
    record = run("task=regression", *TINY, write_rows(tmp_path, "regression"))
    capsys.readouterr()
    assert vector_cost.main([str(record.folder)]) == 2
    error = capsys.readouterr().err
    assert "similarity or retrieval" in error
    assert error.count("\n") == 1
    assert "similarity or retrieval" in rejection(lambda: vector_costs(load(record.folder)))
