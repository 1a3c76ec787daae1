"""Words of a report and what they mean."""

GLOSSARY = {
    "run": "One pooler, trained and tested with one configuration and one seed.",
    "study": "A named set of runs that are compared with each other.",
    "task": "One dataset with one encoder. Poolers are compared within a task.",
    "paired seeds": (
        "Runs of two poolers with the same seed have the same batches and the same test examples. "
        "Their difference does not depend on how hard these are."
    ),
    "reference": "The pooler that every other pooler is compared with.",
    "margin": "A difference in points that is too small to matter, chosen before the results.",
    "look": (
        "A number of seeds at which a study is tested. With several looks, each one requires more "
        "evidence. A test at any other number is exploratory."
    ),
    "cannot be ruled out as best": "No other pooler is shown to be better.",
    "control": (
        "A pooler that is compared and never recommended. A pitfall makes a known mistake; a width "
        "control has the width of another pooler but not its method."
    ),
    "p (corrected)": (
        "The p value after Holm's correction for the number of comparisons, and for the looks."
    ),
    "Brier score": "A score of the predicted probabilities, 100 if they are perfect.",
    "expected calibration error": (
        "The mean difference between the predicted probability and the share of right predictions."
    ),
    "Pareto front": "The poolers that no other one exceeds in quality at the same or a lower cost.",
}

BASELINES = {
    "majority class": "always the most frequent class of the test set",
    "most frequent labels": "always those of over half of the test examples, or else the top one",
}
CHANCE = {
    "spearman": "no correlation",
    "pearson": "no correlation",
    "auroc": "each order of two examples with equal probability",
    "ndcg@10": "the expected value in a random order",
}


def baseline_note(name: str, metric: str) -> str:
    """What a predictor does that reads no text."""
    return BASELINES.get(name) or CHANCE.get(metric, "each class with equal probability")
