"""Load encoders and datasets as the program does; run by test_hub.py in a process of its own.

Arguments: JSON with a list of [name, loader, arguments]. Prints JSON: name -> result.
"""

import json
import sys
import time

from poolbench.core.errors import UserError
from poolbench.data.beir import beir
from poolbench.data.loaders import digest, hub
from poolbench.data.needs import Columns
from poolbench.encoders.huggingface import from_name


def main() -> None:
    found = {}
    for name, loader, given in json.loads(sys.argv[1]):
        started = time.perf_counter()
        try:
            if loader == "encoder":
                encoder = from_name(max_length=16, **given)
                result = {"digest": encoder.digest, "layers": encoder.depth}
            else:
                columns = Columns(*given.pop("columns", ()))
                splits = {"dataset": hub, "beir": beir}[loader](**given, columns=columns)
                label = splits["train"].features["label"]
                names = getattr(getattr(label, "feature", label), "names", None)
                lengths = {f"{split} rows": len(table) for split, table in splits.items()}
                result = {"digest": digest(splits), "train": len(splits["train"])}
                result |= {"names": names, "last": splits["test"][-1], **lengths}
        except UserError as error:
            result = {"error": str(error)}
        except Exception as error:
            result = {"traceback": repr(error)}
        found[name] = result | {"seconds": time.perf_counter() - started}
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
