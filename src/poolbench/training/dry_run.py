"""One step of training, validation and test with two texts, before the first run starts."""

import os

import torch
from pytorch_lightning.plugins.environments import LightningEnvironment

from poolbench.core.errors import DivergedError, UserError, one_line
from poolbench.training.config import Config
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.run import make_trainer, quiet
from poolbench.training.session import Session


def check_step(config: Config, session: Session) -> None:
    """Reject a configuration whose trainer, optimizer or model fails; nothing is written.

    Several devices start processes that would do this again: for them only the trainer is built.

    Raises:
        UserError: with the reason in one line.
    """
    quiet(profiling=False)
    try:
        trainer = make_trainer(config, fast_dev_run=True, profiler=None)
        strategy = trainer.strategy
        environment = getattr(strategy, "cluster_environment", None)
        if trainer.num_nodes > 1 and isinstance(environment, LightningEnvironment):
            raise UserError("trainer.num_nodes needs a launcher on each node: torchrun or Slurm")
        cores = os.cpu_count() or 1
        if strategy.root_device.type == "cpu" and trainer.num_devices > cores:
            raise UserError(f"trainer.devices={trainer.num_devices}: there are {cores} CPU cores")
        if trainer.world_size == 1:
            with torch.random.fork_rng():
                model, task = session.new_model(config), session.task(config)
                few = session.datamodule(config, first=2)
                module = LitPooledModel(model, task, config.optimizer, config.seed)
                if model.learns and not len(few.dataset.splits["train"]):
                    raise UserError(
                        "the run has parameters to train but the dataset has no training split: "
                        "set dataset.train, or use poolers without parameters"
                    )
                if model.learns:
                    trainer.fit(module, few)
                if task.ranks:  # its test pools every document
                    trainer.validate(module, few.test_dataloader(), verbose=False)
                else:
                    trainer.test(module, few, verbose=False)
    except (DivergedError, torch.OutOfMemoryError, MemoryError):
        pass  # the run explains these
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"a training step fails: {type(error).__name__}: {one_line(error)}"
        ) from error
