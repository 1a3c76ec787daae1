"""Named random streams: every random number is a function of (seed, purpose, index).

Under one shared stream a pooler with parameters draws numbers that shift everything after it: batch
order, the head's initial weights, dropout. "The same seed" then compares two different experiments.
Here each purpose has its own stream, so two cells with one seed differ in the pooler alone.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream(seed: int, purpose: str, index: int = 0) -> int:
    """The 63-bit seed of one stream, for example ``stream(0, "order", epoch)``."""
    name = f"{seed}/{purpose}/{index}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """A CPU generator at the start of one stream."""
    return torch.Generator().manual_seed(stream(seed, purpose, index))


def seed_device(device: torch.device, seed: int) -> None:
    """``torch.manual_seed`` for the CPU and one more device.

    torch's own reaches out to every kind of accelerator it knows: 0.6 ms a call, and where there
    is none it keeps a note of each call for ever.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def drawing(seed: int, purpose: str, index: int = 0) -> Iterator[None]:
    """Everything drawn inside comes from one stream; outside, nothing has moved."""
    with torch.random.fork_rng():
        torch.manual_seed(stream(seed, purpose, index))
        yield
