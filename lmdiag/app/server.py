"""What keeps the memory and the time of a server, which lives for days, where its work is: done once for each process."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

import streamlit as st

ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


@st.cache_resource
def share_one_heap() -> None:
    """Let the arrays of one draft of a page take the place of those of the last.

    Streamlit draws each page in a thread of its own, and glibc gives each thread a heap of its own, in which freed arrays leave holes
    that no other thread fills: a followed log of 200,000 steps took 200 MB more after 40 seconds, and 30 MB with one heap.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(ARENA_MAX, 1)


@st.cache_resource
def leave_programs_out_of_collection() -> None:
    """Keep what was imported out of the garbage collection that Streamlit asks for after every run: it takes a tenth of a second."""
    gc.collect()
    gc.freeze()
