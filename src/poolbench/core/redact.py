"""Remove secrets from what is written to records, manifests and dashboards."""

import re
from typing import Any

HIDDEN = "***"
_SECRET = r"(?:\b|_)token|secret\w*|passw\w*|api_?key|credentials?"
_SECRET_KEY = re.compile(rf"(?:{_SECRET})$", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_IN_COMMAND = re.compile(rf"((?:{_SECRET})=)\S+", re.IGNORECASE)


def redacted(value: Any) -> Any:
    """The same containers without values of secret keys and without passwords in URLs.

    Example:
        >>> redacted({"api_key": "abc", "path": "https://me:abc@host/data", "tokens": 128})
        {'api_key': '***', 'path': 'https://***@host/data', 'tokens': 128}
        >>> redacted("python train.py logger.api_key=abc seed=1")
        'python train.py logger.api_key=*** seed=1'
    """
    if isinstance(value, dict):
        return {
            key: HIDDEN if _SECRET_KEY.search(str(key)) and inner else redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, str):
        return _IN_COMMAND.sub(rf"\1{HIDDEN}", _IN_URL.sub(HIDDEN, value))
    return value
