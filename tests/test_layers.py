"""Per-layer statistics as one table."""

import numpy as np

from lmdiag.layers import layer_table
from lmdiag.run import Run, Series


def test_layers_of_the_most_frequent_steps_make_the_table():
    steps = np.arange(1, 5)
    made = Run(
        "layers",
        {
            "layers/h.0/grad_norm": Series(steps, np.ones(4)),
            "layers/h.1/grad_norm": Series(steps, 2 * np.ones(4)),
            "layers/odd/grad_norm": Series(steps[:2], np.ones(2)),
            "layers/h.0/param_norm": Series(steps, 9 * np.ones(4)),
        },
    )
    table = layer_table(made)
    assert table.names == ("h.0", "h.1")
    assert table.values.tolist() == [[1, 1, 1, 1], [2, 2, 2, 2]]


def test_no_layers_no_table():
    assert layer_table(Run("empty", {})).names == ()
