"""Which unit each value of a printed column has, and when a word is a unit and when a name."""

import pytest

from lmdiag.readers.text.named_number_line import parse
from tests.readers.text.test_named_numbers import run_of


@pytest.mark.parametrize(
    ("text", "values", "units"),
    [
        ("step 1 loss 2.5 tok/s 100", {"loss": 2.5, "tok/s": 100}, {}),
        ("step 1 loss 2.5 bpb 1.25 lr 0.1", {"loss": 2.5, "bpb": 1.25, "lr": 0.1}, {}),
        ("step 1 loss 2.5 bpb 92 ms", {"loss": 2.5, "step time": 92}, {"loss": "bits", "step time": "ms"}),
        ("step 1 time 92 ms 1200 tok/s loss 2.5", {"time": 92, "tok/s": 1200, "loss": 2.5}, {"time": "ms"}),
        ("step 1 mem 5 GB 1200 tokens", {"mem": 5}, {"mem": "GB"}),
    ],
)
def test_a_number_behind_a_unit_makes_it_a_name(text: str, values: dict[str, float], units: dict[str, str]) -> None:
    line = parse(text)
    assert line.step == 1
    assert line.values == values
    assert line.units == units


@pytest.mark.parametrize(
    ("name", "words", "metric", "values"),
    [
        ("dt", ["800ms", "1.5s", "900ms"], "step_time_s", [0.8, 1.5, 0.9]),
        ("mem", ["512MiB", "1.5GiB", "2GiB"], "mem_bytes", [2**29, 1.5 * 2**30, 2**31]),
        ("elapsed", ["30s", "1.5min", "2min"], "elapsed_s", [30, 90, 120]),
        ("acc", ["25%", "0.5", "75%"], "accuracy", [0.25, 0.5, 0.75]),
        ("acc", ["0.25", "0.5", "75%"], "accuracy", [0.25, 0.5, 0.75]),
        ("acc", ["25%", "50", "75%"], "accuracy", [0.25, 0.5, 0.75]),
    ],
)
def test_each_value_has_its_own_unit(name: str, words: list[str], metric: str, values: list[float]) -> None:
    words, values = [word for word in words for _ in range(40)], [value for value in values for _ in range(40)]
    run = run_of("".join(f"step {k} loss {5 - k / 100:.2f} {name} {word}\n" for k, word in enumerate(words)))
    assert run.series[metric].values.tolist() == pytest.approx(values)


@pytest.mark.parametrize("times", ["data: {s}50ms, step time: 900ms", "data: 0.{s}5s, step time: 0.9s"])
def test_a_time_named_by_what_is_waited_for(times: str) -> None:
    run = run_of("".join(f"iter {s} loss 3.{s} {times.format(s=s)}\n" for s in range(1, 9)))
    assert run["data_time_s"].values == pytest.approx([s / 10 + 0.05 for s in range(1, 9)])
