"""The fast way of reading large tables gives exactly what reading each row gives."""

import random

import numpy as np
import pytest

from lmdiag.readers.csv import table as csv_table
from lmdiag.sources.source import Source

ODD = [
    "5",
    "",
    "1,2,3,4,5,6",
    "step,loss,lr,kind",
    "nonsense",
    "9,1\0.5,3,a",
    "7,soon,0.1,b",
    "8,NA,,",
    "8,-inf, 0.5 ,c",
    '8,"1.5",2,d',
]


def read(content, monkeypatch, large):
    monkeypatch.setattr(csv_table, "LARGE", 0 if large else 1 << 40)
    (raw,) = csv_table.read(Source("a.csv", content=content))
    return raw


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("damaged", [0, 0.01, 0.3])
@pytest.mark.parametrize("quoted", [False, True])
def test_blocks_and_rows_agree(monkeypatch, end, damaged, quoted):
    rng = random.Random(f"{end}{damaged}{quoted}")
    odd = ODD if quoted else ODD[:-1]
    rows = ["# made by hand", "step,loss,lr,kind"]
    for step in range(2000):
        plain = f"{step},{rng.random() if step % 7 else 'nan'},{'' if step % 3 else rng.random()},F"
        rows.append(rng.choice(odd) if rng.random() < damaged else plain)
    content = end.join(rows).encode()
    assert_same(read(content, monkeypatch, False), read(content, monkeypatch, True))


@pytest.mark.parametrize("odd", ["", " 0.5", "5e-1", "-inf", "NA", "soon", "1_0"])
def test_numbers_and_words_agree(monkeypatch, odd):
    """Columns of numbers alone are taken for that, until a word is met."""
    blocks = Source.blocks
    monkeypatch.setattr(Source, "blocks", lambda source: blocks(source, 4000))
    rng = random.Random(odd)
    rows = [f"{step},{rng.random() if step != 400 else odd},{'' if step % 5 else 2.5}" for step in range(1000)]
    content = "\n".join(["step,loss,val_loss", *rows]).encode()
    assert_same(read(content, monkeypatch, False), read(content, monkeypatch, True))


def assert_same(slow, fast):
    assert (slow.n_rows, sorted(slow.columns)) == (fast.n_rows, sorted(fast.columns))
    for name, column in slow.columns.items():
        np.testing.assert_array_equal(column.rows, fast.columns[name].rows, name)
        np.testing.assert_array_equal(column.values, fast.columns[name].values, name)
    np.testing.assert_array_equal(slow.lines, fast.lines)
    assert sorted(map(str, slow.skipped)) == sorted(map(str, fast.skipped))
    assert {name: words for name, (_, words) in slow.texts.items()} == {
        name: words for name, (_, words) in fast.texts.items()
    }
