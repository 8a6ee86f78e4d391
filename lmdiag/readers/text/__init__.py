"""Readers of printed logs: standard output that was kept, in any of the formats people print.

    bytes -> pieces: clean pieces -> recognise: which format -> scanner: its lines -> table -> RawLog

A `LineFormat` knows its lines (`Shape`, or a scanner of its own) and its conventions; `fallback` reads what no other
knows. `can_read` and `read` are the reader of all of them; each value of `FORMATS` is a reader of one.
"""

from lmdiag.readers.text.any_text import read_pattern
from lmdiag.readers.text.formats import FORMATS
from lmdiag.readers.text.recognise import begin, can_read, read

__all__ = ["FORMATS", "begin", "can_read", "read", "read_pattern"]
