"""Measure what padding, batch and precision do to a pooler, on real text behind an encoder.

    python scripts/certify.py pooler=conv
    python scripts/certify.py pooler=mean,pitfall/unmasked_mean encoder=pretrained encoder.name=...

Takes the choices of ``train.py``; nothing is trained. Exits 1 where a line is not kept.
"""

import sys

from poolbench.core.errors import BadInput
from poolbench.training.launch import check_command


def main(overrides: list[str] | None = None) -> int:
    """0: every line is kept; 1: some are not; 2: the command is wrong, for the reason given."""
    given = sys.argv[1:] if overrides is None else overrides
    if {"-h", "--help"} & set(given):
        print(__doc__)
        return 0
    try:
        asked = check_command(given, multirun=True)
        from poolbench.training.certificate import certificate  # only now: it imports torch

        found = [(one.choices["pooler"], certificate(one.cfg)) for one in asked]
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for pooler, lines in found:
        print(f"\n{pooler}")
        for name, line in lines.items():
            deviation, limit = line["deviation"], line["limit"]
            measured = "" if deviation is None else f"{deviation:.1e}"
            allowed = "" if limit is None else f"{limit:.0e}" if limit else "0"
            kept = "kept" if line["kept"] else "BROKEN"
            print(f"  {name:<12}{line['promise']:<50}{measured:>9}{allowed:>8}  {kept}")
    return int(any(not line["kept"] for _, lines in found for line in lines.values()))


if __name__ == "__main__":
    sys.exit(main())
