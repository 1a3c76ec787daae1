"""Components: the objects that a configuration names by their ``_target_``.

Their knobs are declared by their constructors, and checked against them before anything is loaded.
"""

import copy
import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError, create_model

from poolbench.core.errors import UserError
from poolbench.runs.protocol import METRICS
from poolbench.training.config import STRICT, Config, first_invalid

# Modules whose objects may be built from a configuration; ``allow_targets`` adds others.
ALLOWED_TARGETS = ("poolbench.", "torch.optim.")
# Groups whose knobs are declared by what their ``_target_`` names, and the class it has to make.
COMPONENTS = {
    "dataset": "datasets.DatasetDict",
    "encoder": "poolbench.encoders.base.Encoder",
    "layers": "poolbench.encoders.layer_mix.LayerMix",
    "pooler": "poolbench.poolers.base.Pooler",
    "across": "poolbench.poolers.base.Pooler",
    "head": "poolbench.tasks.heads.Head",
    "task": "poolbench.tasks.base.Task",
    "logger": "poolbench.training.run_logger.RunLogger pytorch_lightning.loggers.Logger",
}


def check_components(config: Config) -> None:
    """Check the knobs of every component against its constructor; nothing is built or loaded."""
    for group, made in COMPONENTS.items():
        if (component := getattr(config, group)) is None:
            continue
        target = target_of(component, config.allow_targets)
        _check_made(target, made, group)
        check_arguments(target, _knobs(component), group)
    if config.across and (needs := target_of(config.across, config.allow_targets).needs):
        raise UserError(
            f"pooler@across needs {', '.join(sorted(needs))}, and windows have only their vectors: "
            "use another pooler"
        )
    task = target_of(config.task, config.allow_targets)
    known = METRICS[task.name]
    if config.comparison.metric not in known:
        raise UserError(
            f"comparison.metric={config.comparison.metric}: {task.name} has {', '.join(known)}"
        )
    if bool(config.pair_features) != ("pair_features" in inspect.signature(task).parameters):
        needs = "needs" if config.pair_features is None else "has no"
        raise UserError(f"task={task.name} {needs} pair_features")
    optimizer = target_of({"_target_": config.optimizer.target}, config.allow_targets)
    _check_made(optimizer, "torch.optim.Optimizer", "optimizer")


def target_of(component: Mapping[str, Any], allow_targets: Iterable[str] = ()) -> Any:
    """The class or function that a component's ``_target_`` names, defined in an allowed module."""
    name = str(component.get("_target_"))
    allowed = (*ALLOWED_TARGETS, *allow_targets)
    rejected = UserError(
        f"_target_={name} is not allowed, only {', '.join(allowed)} are: for your own code add "
        "allow_targets=[mypackage.]"
    )
    if not name.startswith(allowed):
        raise rejected
    module, _, attribute = name.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"_target_={name} cannot be imported: {error}") from error
    # poolbench.core.io.os.system starts with an allowed prefix, but is defined elsewhere.
    if not callable(target) or not f"{getattr(target, '__module__', '')}.".startswith(allowed):
        raise rejected
    return target


def _check_made(target: Any, expected: str, group: str) -> None:
    """Reject a class, or a function by its return annotation, that makes something else."""
    made = target if inspect.isclass(target) else get_type_hints(target).get("return")
    places = [name.rpartition(".") for name in expected.split()]
    kinds = tuple(getattr(importlib.import_module(module), name) for module, _, name in places)
    if not inspect.isclass(made) or not issubclass(made, kinds):
        raise UserError(f"{group}._target_={target.__qualname__}: expected a {kinds[0].__name__}")


def check_arguments(target: Any, given: Mapping[str, Any], group: str) -> None:
    """Check arguments against the annotations of a constructor or function."""
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function, include_extras=True)
    parameters = dict(inspect.signature(target).parameters)
    rest = [name for name, p in parameters.items() if p.kind is p.VAR_KEYWORD]
    options = get_args(hints[rest[0]]) if rest and rest[0] in hints else ()
    if options:  # **options: Unpack[Options]
        hints |= get_type_hints(options[0], include_extras=True)
        parameters |= options[0].__annotations__
    fields: dict[str, Any] = {k: (hints.get(k, Any), ...) for k in given if k in parameters}
    checked = {k: v for k, v in given.items() if k in fields or options or not rest}
    try:
        create_model("Arguments", __config__=STRICT, **fields).model_validate(checked)
    except ValidationError as error:
        raise UserError(first_invalid(error, group, parameters)) from error


def build(component: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Call what a checked component names with its knobs; ``alias`` is for display only."""
    module, _, attribute = str(component["_target_"]).rpartition(".")
    make = getattr(importlib.import_module(module), attribute)
    try:
        return make(*args, **copy.deepcopy(_knobs(component)) | kwargs)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{str(component['_target_']).rpartition('.')[2]}: {error}") from error


def _knobs(component: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in component.items() if key not in ("_target_", "alias")}
