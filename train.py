"""Train one cell, or with -m a grid of them.

python train.py pooler=mean
python train.py -m pooler=cls,mean,max,conv seed=0,1,2,3,4
python train.py --help
"""

import os
import sys

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from poolbench.command import check_command
from poolbench.errors import BadInput


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def train(cfg: DictConfig) -> float:
    from poolbench.experiment import run_cell  # heavy: only once the configuration is known good

    try:
        return run_cell(cfg)
    except BadInput as error:
        refuse(error)


def refuse(error: BadInput) -> None:
    """One line and exit code 2; the traceback too under HYDRA_FULL_ERROR=1."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    args = get_args_parser().parse_args()
    if not (args.help or args.hydra_help or args.info or args.shell_completion):
        try:
            check_command(args.overrides, args.multirun)
        except BadInput as error:
            refuse(error)
    train()
