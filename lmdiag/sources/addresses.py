"""Addresses of files on other machines, as text."""

from __future__ import annotations

import re

from lmdiag.patterns import lazy

OF_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")  # the names of this machine that nobody else can reach
URL = lazy(r"[A-Za-z][A-Za-z0-9+.-]+://")
PASSWORD = lazy(  # it may hold @ and /; what follows the colon of a host is a port
    r"(?<=://)(?:[^\s/'\"]+@|[^\s/@:\['\"]+:(?!\d+(?:[/?#]|$))[^\s@'\"]*@)"
)
SECRET = lazy(
    r"([?&#;](?:[^=&\s]*(?:sig|token|key|cred|secret|pass|pwd|auth|jwt)[^=&\s]*|code|sas)=)[^&\s'\")]+", re.IGNORECASE
)


TRACKERS = {  # scheme of their addresses: file of lmdiag/trackers/ that asks them
    "mlflow": "mlflow",
    "mlflow+http": "mlflow",
    "mlflow+https": "mlflow",
    "wandb": "wandb",
    "trackio": "trackio",
    "trackio+https": "trackio",
    "aim": "aim",
    "aim+https": "aim",
    "clearml": "clearml",
    "comet": "comet",
    "swanlab": "swanlab",
}


def is_tracked(path: str) -> bool:
    """Tell whether an address is that of runs on the server of a tracker.

    >>> is_tracked("mlflow://localhost:5000/pretraining"), is_tracked("s3://bucket/run.jsonl")
    (True, False)
    """
    scheme, mark, _ = path.partition("://")
    return bool(mark) and scheme.lower() in TRACKERS


def is_url(path: str) -> bool:
    """Tell whether a path names something on another machine.

    >>> is_url("s3://bucket/run.jsonl"), is_url("runs/a.jsonl"), is_url("C:/a.jsonl")
    (True, False, False)
    """
    return URL.match(path) is not None


def without_secrets(text: str) -> str:
    """Return a text whose addresses tell no password, key or signature.

    >>> without_secrets("cannot read https://me:pw@host/a.jsonl?run=3&X-Signature=1f&v=2")
    'cannot read https://host/a.jsonl?run=3&X-Signature=…&v=2'
    """
    return SECRET.sub(r"\1…", PASSWORD.sub("", text))
