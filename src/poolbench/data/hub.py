"""The Hugging Face hub, where there is one."""

import functools

import httpx
from huggingface_hub import constants


@functools.cache
def reachable() -> bool:
    """Does the hub answer? Asked once, for 4 s at most; if not, its libraries look on disk only.

    Left to themselves they would retry for half a minute at every call.
    """
    if not constants.HF_HUB_OFFLINE:
        try:
            httpx.head(constants.ENDPOINT, timeout=4.0)
        except httpx.HTTPError:
            constants.HF_HUB_OFFLINE = True
    return not constants.HF_HUB_OFFLINE
