"""Readers of printed logs: standard output that was kept, in any of the formats people print.

    bytes -> lexing: clean pieces -> cascade: which family -> family: its scanner -> table -> RawLog

A family knows its lines (`Shape`, or a scanner of its own) and its conventions; `generic_pairs` reads what no family
knows. `can_read` and `read` are the reader of all of them; each value of `FAMILIES` is a reader of one.
"""

from lmdiag.readers.text.recognise import FAMILIES, begin, can_read, read
from lmdiag.readers.text.user_pattern import read_pattern

__all__ = ["FAMILIES", "begin", "can_read", "read", "read_pattern"]
