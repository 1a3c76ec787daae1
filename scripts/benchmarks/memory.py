"""How much memory a piece of work asks for on top of what is there."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

# The profiler's own log announces each start and stop on the terminal.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def added_peak(work: Callable[[], object]) -> int:
    """Bytes that torch's CPU allocator holds at the highest point, above what it held before.

    The profiler notes every allocation and release; their running sum is followed through the run.
    Tensors that were there before, such as the input and the weights, are not in it; whatever
    ``work`` leaves behind, such as gradients, is.

    Example:
        >>> added_peak(lambda: torch.ones(1000).sum()) >= 4000
        True
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        left_behind = work()
    del left_behind
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for change in sorted(changes, key=lambda event: event["ts"]):
        held += change["args"]["Bytes"]
        peak = max(peak, held)
    return peak
