"""Hydra sweeper: checks a whole grid before its first run, then trains it in one process."""

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """The cartesian product of all values on the command line, as Hydra's basic sweeper makes it.

    With Hydra's basic launcher the runs are trained one after another in this process; any other
    launcher (joblib, submitit, Ray) gets one job per run. ``params`` are overrides of an experiment
    file; the command line takes precedence.
    """

    def __init__(self, params: DictConfig | None = None) -> None:
        self.params: dict[str, Any] = dict(params or {})

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = None
        if config.hydra.runtime.choices["hydra/launcher"] != "basic":
            self.launcher = Plugins.instance().instantiate_launcher(
                hydra_context=hydra_context, task_function=task_function, config=config
            )

    def sweep(self, arguments: list[str]) -> Any:
        from poolbench.training import grid, launch

        config, context = self.config, self.hydra_context
        assert config is not None
        assert context is not None
        loader = context.config_loader
        jobs = grid.split_grid(loader, arguments, self.params)
        requests = grid.check_grid(jobs, lambda job: loader.load_sweep_config(config, list(job)))
        launch.run(requests, self.launcher)


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="poolbench",
    node={"_target_": f"{__name__}.GridSweeper", "params": None},
    provider="poolbench",
)
