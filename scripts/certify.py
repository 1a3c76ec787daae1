"""Measure the pooler contract on real text behind an encoder; nothing is trained.

    python scripts/certify.py pooler=conv
    python scripts/certify.py pooler=mean,pitfall/unmasked_mean encoder=pretrained encoder.name=...

Takes the overrides of train.py. Exit code 1 if a line of the contract fails.
"""

import sys

from poolbench.core.errors import command
from poolbench.training.launch import compose_runs


@command
def main(overrides: list[str]) -> int:
    """Exit code 0; 1 if a line fails; 2 if the command is wrong."""
    if {"-h", "--help"} & set(overrides):
        print(__doc__)
        return 0
    requests = compose_runs("cache=off", *overrides)
    from poolbench.training.certificate import certify
    from poolbench.training.session import Session

    session, kept = Session(), True
    for request in requests:
        config = request.config
        model, data = session.model(config), session.inputs(config).data
        lines = certify(model, data, config.pooled_tokens)
        print(f"\n{request.names['pooler']}")
        for name, line in lines.items():
            measured = "" if line.deviation is None else f"{line.deviation:.1e}"
            limit = "" if line.limit is None else f"{line.limit:.0e}" if line.limit else "0"
            word = "passed" if line.kept else "FAILED"
            print(f"  {name:<18}{line.promise:<54}{measured:>9}{limit:>8}  {word}")
            kept &= line.kept
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
