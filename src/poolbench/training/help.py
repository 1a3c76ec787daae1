"""The text of ``--help``: every configuration group with its choices, read from the folders.

Hydra's own listing takes .9 s, since it copies all configurations for each group.
"""

import argparse
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

from poolbench.training.arguments import CONF

TEXT = """\
Which pooler should I use with this encoder on this data, and what does it cost?

  python train.py pooler=mean                                     train one run
  python train.py -m pooler=cls,mean,max seed=0,1,2 study=first   train a grid
  python train.py experiment=smoke                                every pooler, briefly
  python train.py pooler=conv --cfg job                           show every value, train nothing

Choose with group=name, change any value with group.key=value:

{groups}

Hydra's own options: python train.py --hydra-help"""
_SEARCHPATH = "hydra.searchpath="


def help_text(arguments: Sequence[str]) -> str:
    """The groups of conf/ and of the folders that ``--config-dir`` and hydra.searchpath add."""
    choices: dict[str, set[str]] = {}
    for folder in [CONF, *map(Path, _added(arguments))]:
        for path in folder.glob("*/**/*.yaml"):
            group = path.parent.relative_to(folder).as_posix()
            choices.setdefault(group, set()).add(path.stem)
    lines = (f"{group}: {', '.join(sorted(names))}" for group, names in sorted(choices.items()))
    return TEXT.format(groups="\n".join(lines))


def _added(arguments: Sequence[str]) -> Iterable[str]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")
    given, rest = parser.parse_known_args(arguments)
    if given.config_dir:
        yield given.config_dir
    paths = [a.removeprefix(_SEARCHPATH) for a in rest if a.startswith(_SEARCHPATH)]
    for path in ",".join(paths).replace("[", "").replace("]", "").split(","):
        scheme, _, place = path.strip(" '\"").rpartition("://")
        if scheme == "pkg":
            package = importlib.util.find_spec(place.replace("/", "."))
            yield from (package.submodule_search_locations if package else None) or ()
        elif place:
            yield place
