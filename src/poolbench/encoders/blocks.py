"""The states between the layers of a Hugging Face model, and the model cut off behind a layer."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from poolbench.core.errors import BadInput


def cut(model: PreTrainedModel, depth: int) -> None:
    """Leave away the layers behind layer ``depth``; one stays, to show what goes into it."""
    path = _path(model)
    parent, _, name = path.rpartition(".")
    kept = nn.ModuleList(list(model.get_submodule(path))[: max(depth, 1)])
    setattr(model.get_submodule(parent), name, kept)
    model.config.num_hidden_layers = len(kept)


def states(
    model: PreTrainedModel, layers: tuple[int, ...], depth: int, inputs: dict[str, Any]
) -> list[Tensor]:
    """The (B, T, D) states of ``layers``, 0 being what goes into the first one.

    Args:
        model: whole, or cut behind the last of ``layers``.
        layers: 0..depth.
        depth: L, the layers of the whole model. What comes out of layer L is the model's own
            ``last_hidden_state``, which some families normalise once more.
        inputs: the model's.
    """
    seen: dict[int, Tensor] = {}
    hooks = []
    if layers != (depth,):
        blocks = list(model.get_submodule(_path(model)))
        hooks.append(blocks[0].register_forward_pre_hook(_keep_input(seen), with_kwargs=True))
        for number, block in enumerate(blocks, start=1):
            hooks.append(block.register_forward_hook(_keep_output(seen, number)))
    try:
        last = model(**inputs).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    return [last if layer == depth else seen[layer] for layer in layers]


def _keep_input(seen: dict[int, Tensor]) -> Any:
    def keep(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen[0] = args[0] if args else kwargs["hidden_states"]

    return keep


def _keep_output(seen: dict[int, Tensor], number: int) -> Any:
    def keep(block: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        seen[number] = out if isinstance(out, torch.Tensor) else out[0]

    return keep


def _path(model: PreTrainedModel) -> str:
    """Where the list of the model's layers is."""
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return name
    raise BadInput(
        f"{model.config.model_type} keeps its layers in a way that is not known here "
        "(it may use one layer many times over): only layers=last can be read"
    )
