"""Nothing is built but what this project and torch.optim define, however it is spelt."""

import pytest
from omegaconf import OmegaConf

from poolbench.core.errors import BadInput
from poolbench.poolers.mean import MeanPooler
from poolbench.training.build import build


@pytest.mark.parametrize(
    "target", ["os.system", "poolbench.core.io.os.system", "torch.optim.Adam.__init__.__globals__"]
)
def test_what_was_defined_elsewhere_is_refused(target: str) -> None:
    with pytest.raises(Exception, match=r"not allowed|locat") as refused:
        build({"_target_": target}, "exit 3")
    assert not isinstance(refused.value, SystemExit)


def test_targets_inside_values_are_not_built() -> None:
    inside = OmegaConf.create({"_target_": "poolbench.poolers.mean.MeanPooler", "hidden_dim": 4})
    assert isinstance(build(inside), MeanPooler)
    with pytest.raises(Exception, match="unexpected keyword argument"):
        build({**inside, "extra": {"_target_": "os.getcwd"}})


def test_the_users_mistakes_keep_their_own_words() -> None:
    config = {"_target_": "poolbench.data.loaders.files", "train": "nowhere.csv"}
    rest = dict.fromkeys(("validation", "test", "text_column", "label_column"))
    with pytest.raises(BadInput, match=r"nowhere\.csv: no such file"):
        build({**config, **rest, "validation_size": 1, "test_size": 1, "split_seed": 0})
