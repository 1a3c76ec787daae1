"""The arguments of a command, checked before Hydra is imported."""

import re
from collections.abc import Iterable
from pathlib import Path

from poolbench.core.errors import UserError, nearest

_PACKAGE = Path(__file__).parents[1]
# The checkout's own folder; in an installed package, the copy of it.
CONF = next(p for p in (_PACKAGE.parents[1] / "conf", _PACKAGE / "conf") if p.is_dir())

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())


def check_arguments(arguments: Iterable[str]) -> None:
    """Reject what Hydra reads as something else than a user would expect."""
    groups = "|".join(GROUPS)
    for argument in arguments:
        if dashed := re.match(rf"--((?:{groups}|seed|study)\b.*=.*)", argument):
            raise UserError(
                f"{argument}: write it without dashes, {dashed[1]}; in a sweep file of W&B, use "
                "${args_no_hyphens}"
            )
        if re.fullmatch(r"\+*hydra\.job\.chdir=(?!false).*", argument, re.IGNORECASE):
            raise UserError(f"{argument}: paths are relative to the folder of the command")
        structured = re.fullmatch(
            rf"({groups})(?:@[\w.]+)?=(null|\[.*|\{{.*|)", argument, re.DOTALL
        )
        if structured:
            raise UserError(
                f"{argument}: expected the name of one file of conf/{structured[1]}; to change a "
                f"value in it, {structured[1]}.key=value"
            )


def check_first_words(arguments: Iterable[str]) -> None:
    """Reject a misspelt group or value in a tenth of the time that Hydra takes to find it.

    Hydra finds the others: a misspelt choice or key of a group, and any in a configuration that is
    not conf/config.yaml.
    """
    given = list(arguments)
    if any(re.match(r"--config-|-c[dnp]", argument) for argument in given):
        return
    values = re.findall(r"^(\w+):", (CONF / "config.yaml").read_text(), re.MULTILINE)
    known = sorted({*GROUPS, *values})
    for argument in given:
        word = re.match(r"(\w+)[.=/@:].*", argument)
        if word and "=" in argument and word[1] not in known:
            raise UserError(f"unknown key {word[1]}{nearest(word[1], known)}")
