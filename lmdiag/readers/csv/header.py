"""The names in the first line of a CSV file, by which the formats that are CSV are told apart."""

from __future__ import annotations

import csv

SEPARATORS = (",", "\t", ";")


def header_names(head: bytes) -> list[str]:
    """Return the names in the first line; an empty list if it is no line of several fields.

    >>> header_names(b"epoch;loss\\r\\n0;2.5\\r\\n")
    ['epoch', 'loss']
    """
    first = head.partition(b"\n")[0].decode("utf-8", "replace").strip("\r")
    separator = max(SEPARATORS, key=first.count)
    try:
        names = next(csv.reader([first], delimiter=separator), [])
    except csv.Error:
        return []
    return [name.strip() for name in names] if len(names) > 1 else []
