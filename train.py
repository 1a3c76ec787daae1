"""Train one cell, or with -m a grid of them.

python train.py pooler=mean
python train.py -m pooler=cls,mean,max,conv seed=0,1,2,3,4 study=first
python train.py --help
"""

import logging
import os
import signal
import sys

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from poolbench.core.errors import BadInput, Interrupted
from poolbench.training.launch import Asked, asked_by_hydra, check_command, help_text


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def launched(cfg: DictConfig) -> float | None:
    """One cell in a process of Hydra's own launcher; returns what a sweeper may optimise."""
    from poolbench.training.sweep import plan, run_one

    (planned,) = plan([asked_by_hydra(cfg)])
    record = run_one(planned)
    return record["metrics"]["best/val_accuracy"] if record and "metrics" in record else None


def main() -> int:
    """0: every cell has a result; 1: some have none; 2: nothing started; 130, 143: cut short."""
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    args = get_args_parser().parse_args()
    if args.help:
        print(help_text())
        return 0
    if args.hydra_help or args.info or args.shell_completion:
        launched()
        return 0
    try:
        asked = check_command(args.overrides, args.multirun)
        if args.cfg == "job":
            print(OmegaConf.to_yaml(asked[0].cfg, resolve=args.resolve), end="")
            return 0
        if args.cfg:
            launched()
            return 0
        return run(asked)
    except BadInput as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


def interrupted(number: int, _: object) -> None:
    """End here; what is on disk is whole."""
    print("interrupted: the same command goes on from here", file=sys.stderr)
    raise Interrupted(128 + number)


def run(asked: list[Asked]) -> int:
    """Plan, run and sum up; heavy imports happen here, once the command is known to be good."""
    from poolbench.training import console as closing
    from poolbench.training import sweep

    logging.basicConfig(format="%(levelname)s: %(message)s")
    planned = sweep.plan(asked)
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
        sweep.run_helper(planned[0])
        return 0
    if asked[0].cfg.plan:
        from poolbench.training.planner import estimate

        print(estimate(planned))
        return 0
    sweep.declare_all(planned)
    if asked[0].own_launcher:
        launched()
    else:
        sweep.run_all(planned)
    return closing.print_all([(p.cell, sweep.finished(p.cell)) for p in planned])


if __name__ == "__main__":
    sys.exit(main())
