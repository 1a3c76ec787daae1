"""From a config with a ``_target_`` to the object it describes."""

from typing import Any

from hydra.utils import get_object, instantiate

from poolbench.core.errors import BadInput
from poolbench.training.config import TARGETS


def build(config: Any, *args: Any, **kwargs: Any) -> Any:
    """``hydra.utils.instantiate`` for allowed targets, errors in their own words.

    Raises:
        BadInput: the target was not defined where it may be, whatever path leads to it.
    """
    target = config["_target_"]
    # poolbench.core.io.os.system starts with an allowed prefix, but it was defined elsewhere.
    if not f"{getattr(get_object(target), '__module__', '')}.".startswith(TARGETS):
        raise BadInput(f"_target_={target} is not allowed, only {' and '.join(TARGETS)} are")
    # In two steps: Hydra would take dataclasses among the arguments for configurations.
    make = instantiate(config, _recursive_=False, _partial_=True, _convert_="all")
    return make(*args, **kwargs)
