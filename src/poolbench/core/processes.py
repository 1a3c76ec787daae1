"""The processes of a distributed run."""

import os


def process_rank() -> int:
    """Rank of this process in a distributed run, as torchrun, Lightning or Slurm tell it."""
    told = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next(filter(None, told), 0))
