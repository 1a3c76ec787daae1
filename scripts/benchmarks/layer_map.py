"""Cost of the map of 13 poolers on all layers, against one encoding of the same texts.

    python scripts/benchmarks/layer_map.py
    python scripts/benchmarks/layer_map.py --texts 1000 encoder=scratch

Token ids to vectors on both sides: the mean over the last layer, or a vector per pooler and layer.
Other arguments are overrides of ``train.py experiment=layer_map``.
"""

import argparse

import measure

from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.feature_cache import pooled_vectors
from poolbench.poolers import masked
from poolbench.training.launch import compose_runs
from poolbench.training.model import PooledModel
from poolbench.training.session import Session


def main(arguments: list[str] | None = None) -> None:
    """Time both in turn."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--texts", type=int, default=5000, help="training texts; default: 5000")
    options = measure.parse(parser, arguments, rounds=3)
    requests = compose_runs("experiment=layer_map", *measure.QUIET, *options.overrides)
    configs = [request.config for request in requests]
    session, config = Session(), configs[0]
    inputs = session.inputs(config)
    data = tokenize_texts(inputs.splits["train"]["text"][: options.texts], inputs.encoder.tokenize)
    depth = inputs.encoder.depth
    plain = session.run_encoder(config, (depth,))
    every = session.run_encoder(config, tuple(range(depth + 1)))
    pools = [PooledModel(every, *session.parts(c)).pool for c in configs]
    works = {
        "encoding, mean of the last layer": lambda: pooled_vectors(
            [lambda states, batch: masked.mean(states[:, :, -1], batch.pooling_mask)], plain, data
        ),
        f"map of {len(pools)} vectors": lambda: pooled_vectors(pools, every, data),
    }
    variants = {name: measure.timed(work) for name, work in works.items()}
    seconds = measure.interleave(variants, options.rounds)
    print(f"{len(data.lengths)} texts\n\n{measure.table(seconds, next(iter(works)))}")


if __name__ == "__main__":
    measure.run(main)
