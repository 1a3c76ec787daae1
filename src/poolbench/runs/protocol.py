"""What a study declares before its results are known: how its poolers will be compared."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from poolbench.runs.schema import EXACT, Count, Percent

TaskName = Literal[
    "classification",
    "multilabel",
    "regression",
    "pair_classification",
    "pair_regression",
    "similarity",
    "retrieval",
]
# These predict something of one text; all others need two.
ONE_TEXT: tuple[TaskName, ...] = ("classification", "multilabel", "regression")
Metric = Literal[
    "accuracy",
    "f1_macro",
    "f1_micro",
    "auroc",
    "spearman",
    "pearson",
    "ndcg@10",
    "recall@1",
    "recall@10",
    "mrr@10",
]
# The metrics by which runs of a task can be compared, the primary one first.
METRICS: dict[TaskName, tuple[Metric, ...]] = {
    "classification": ("accuracy", "f1_macro", "auroc"),
    "multilabel": ("f1_micro", "f1_macro"),
    "regression": ("spearman", "pearson"),
    "pair_classification": ("accuracy", "f1_macro", "auroc"),
    "pair_regression": ("spearman", "pearson"),
    "similarity": ("spearman", "pearson"),
    "retrieval": ("ndcg@10", "recall@1", "recall@10", "mrr@10"),
}
# Outputs of one query of retrieval: its metrics, and the expected nDCG of a random order.
RANKING = (*METRICS["retrieval"], "random ndcg@10")
METRIC_NAMES = {
    "accuracy": "accuracy",
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "ndcg@10": "nDCG@10",
    "recall@1": "recall@1",
    "recall@10": "recall@10",
    "mrr@10": "MRR@10",
    "mean_average_precision": "mean average precision",
    "mae": "mean absolute error",
    "auroc": "AUROC",
    "recall@1%fpr": "recall at 1 % false positives",
    "brier": "Brier score",
}
_SHARES = ("accuracy", "f1_macro", "f1_micro", "recall@1", "recall@10", "recall@1%fpr")


def scaled_name(metric: str) -> str:
    """A metric as the head of a column: accuracy (%), Spearman (× 100)."""
    unit = "%" if metric in _SHARES else "×\N{NO-BREAK SPACE}100"
    return f"{METRIC_NAMES[metric]} ({unit})"


def scaled_value(value: float, metric: str) -> str:
    """A value of such a column in a sentence: 75.1 %, or 75.1 for what is no share."""
    return f"{value:.1f}{' %' * (metric in _SHARES)}"


def _ascending(looks: list[int]) -> list[int]:
    if not looks or looks != sorted(set(looks)) or looks[0] < 2 or looks[-1] > 10_000:
        raise ValueError("expected ascending numbers of seeds, each from 2 to 10,000")
    return looks


class _Declared(BaseModel):
    model_config = EXACT | {"strict": True}


class PublishedValue(_Declared):
    """One value of a published table, in percent.

    Attributes:
        settings: dotted keys and values of the rest of its configuration.
        low, high: ends of the published interval, if there is one.
    """

    pooler: str
    value: Percent
    settings: dict[str, Any] = {}
    low: Percent | None = None
    high: Percent | None = None


class PublishedTable(_Declared):
    """A published table that a study repeats; dataset and encoder by their names in reports."""

    source: str
    dataset: str
    encoder: str
    seeds: Count | None = None
    metric: Metric = "accuracy"
    values: list[PublishedValue] = Field(min_length=1)
    deviations: list[str] = []


class Protocol(_Declared):
    """The choices that decide the verdicts of a study.

    Attributes:
        reference: pooler that all others are compared with.
        metric: of the test split.
        margin: difference in points (hundredths of the metric) that does not matter.
        looks: numbers of seeds at which the study may be tested, each at alpha / len(looks); None
            is one look, at the seeds of the first command with enough of them for a test.
        alpha: probability of any false positive in one family of comparisons.
        power: probability of finding a difference as large as the margin, for advice.
        published: table to compare with; it may be added at any time.
    """

    reference: str = "cls"
    metric: Metric = "accuracy"
    margin: float = Field(0.5, gt=0, le=100)
    looks: Annotated[list[int], AfterValidator(_ascending)] | None = None
    alpha: float = Field(0.05, ge=1e-9, lt=0.5)
    power: float = Field(0.8, ge=0.5, lt=1)
    published: PublishedTable | None = None
