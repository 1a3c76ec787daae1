"""The Hugging Face hub: whether it can be reached, and why something cannot be loaded from it."""

import functools
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError


@functools.cache
def hub_reachable() -> bool:
    """Whether the Hugging Face hub answers within 4 s, asked once per process.

    If not, its libraries are set to offline mode: they would retry for 30 s at every call.
    """
    if not constants.HF_HUB_OFFLINE:
        try:
            urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=4.0).close()
        except HTTPError as answer:
            answer.close()
        except OSError:
            constants.HF_HUB_OFFLINE = True
    return not constants.HF_HUB_OFFLINE


def why_not_loaded(error: BaseException) -> str:
    """One line that says why a library could not load something, with the fix if it is known."""
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    # `datasets` replaces the error by one of its own.
    if any(isinstance(cause, GatedRepoError) or "is a gated" in str(cause) for cause in causes):
        return (
            "access is restricted: request it on the hub, then log in with `hf auth login` or set "
            "HF_TOKEN"
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return (
            "the hub has no such repository; if it is private, log in with `hf auth login` or set "
            "HF_TOKEN"
        )
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= 400 else f"{line[:400]} ..."
