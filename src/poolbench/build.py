"""From a config with a ``_target_`` to the object it describes."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from poolbench.errors import BadInput


def build(config: Any, *args: Any, **kwargs: Any) -> Any:
    """``hydra.utils.instantiate``, with the user's own mistakes in their own words."""
    try:
        return instantiate(config, *args, **kwargs)
    except InstantiationException as error:
        if isinstance(error.__cause__, BadInput):
            raise error.__cause__ from None
        raise
