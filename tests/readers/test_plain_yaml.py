"""Settings that trackers write as YAML: what is no such file costs nothing but itself."""

import time

from lmdiag.readers.trackers.plain_yaml import plain_yaml


def test_a_wide_gap_in_a_value_takes_little_time():
    begun = time.perf_counter()
    assert plain_yaml("note: a" + 50_000 * " " + "b  \nlr: 0.1  \n")["lr"] == 0.1
    assert time.perf_counter() - begun < 1


def test_mappings_that_no_settings_have_are_left_out():
    deep = "".join(f"{' ' * depth}a:\n" for depth in range(3000))
    assert plain_yaml(f"{deep}{' ' * 3000}b: 1\nlr: 0.1\n")["lr"] == 0.1
