"""What makes Streamlit a server that lives for days and asks nobody outside: done once for each process."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import streamlit as st
from streamlit import net_util

T = TypeVar("T")
ARENA_MAX, MMAP_THRESHOLD = -8, -3  # as malloc.h calls them, with M_ before
LARGE = 4 << 20  # bytes: a curve of half a million steps


@st.cache_resource
def share_heaps() -> None:
    """Let the arrays of one draft of a page take the place of those of the last.

    Streamlit draws each page in a thread of its own, and glibc gives each thread a heap of its own, in which freed arrays leave holes
    that no other thread fills: a followed log of 200,000 steps took 200 MB more after 40 seconds. Really large arrays get pages of their
    own; for smaller ones these cost more time than they save memory.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(ARENA_MAX, 1)
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)


def give_back() -> None:
    """Give the holes in all heaps back to the system: a hundredth of a second, and as much to fill them again."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def aside(task: Callable[[], T]) -> T:
    """Do what needs large arrays again and again in one thread that is kept for it, so that they use one heap."""
    return _worker().submit(task).result()


@st.cache_resource
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="lmdiag")


@st.cache_resource
def leave_programs_out_of_collection() -> None:
    """Keep what was imported out of the garbage collection that Streamlit asks for after every run: it takes a tenth of a second."""
    gc.collect()
    gc.freeze()


@st.cache_resource
def ask_nobody_for_the_address() -> None:
    """Keep Streamlit from asking a service on the Internet for the address of this machine when a page of another origin knocks."""
    if hasattr(net_util, "_external_ip"):
        net_util._external_ip = "127.0.0.1"
