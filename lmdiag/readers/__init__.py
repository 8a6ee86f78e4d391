"""Readers: bytes -> RawLog, one file per format; `gather`: RawLog -> Run, once for all.

To add a reader, write its file with `can_read(name, head) -> bool` and `read(source) -> list[RawLog]`, add one line to
`READERS` in the order in which they are asked, one generated sample, and its page in `docs/formats/`.
"""
