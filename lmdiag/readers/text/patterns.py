"""Where the formats of this folder find `lazy`."""

from lmdiag.patterns import lazy

__all__ = ["lazy"]
