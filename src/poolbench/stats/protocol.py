"""What is fixed before the results are seen."""

from dataclasses import dataclass

METRICS = ("accuracy", "f1_macro")


@dataclass(frozen=True)
class Protocol:
    """The choices of a study that decide its verdicts.

    ``margin`` is in points (hundredths of the metric), ``looks`` are the numbers of seeds at which
    the study may be tested, each at alpha / number of looks. ``seeds``, where given, are those
    every pooler must have. Raises ValueError for values no verdict can be made with.
    """

    metric: str = "accuracy"
    reference: str = "cls"
    margin: float = 0.5
    alpha: float = 0.05
    looks: tuple[int, ...] = (5, 10, 20)
    power: float = 0.8
    fewest_seeds: int = 5
    fewest_datasets: int = 6
    seeds: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"metric is {self.metric!r}, expected one of {METRICS}")
        if not self.margin > 0:
            raise ValueError(f"margin is {self.margin}, expected more than 0 points")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is {self.alpha}, expected between 0 and 0.5")
        if not self.alpha < self.power < 1:
            raise ValueError(f"power is {self.power}, expected between alpha and 1")
        if self.fewest_seeds < 2:
            raise ValueError(f"fewest_seeds is {self.fewest_seeds}, expected 2 or more")
        if not self.looks or len(set(self.looks)) < len(self.looks):
            raise ValueError(f"looks are {self.looks}, expected different numbers of seeds")
