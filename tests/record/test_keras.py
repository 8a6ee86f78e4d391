"""The callback sees what real Keras on PyTorch does, batch by batch, and changes nothing."""

import json
import math
import time

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    module = pytest.importorskip("keras")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was imported with another backend")
    return module


def fit(keras, callbacks, poison=None, epochs=2, **compiled):
    import numpy as np

    torch.set_num_threads(1)
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(20, 8), keras.layers.SimpleRNN(8), keras.layers.Dense(20)]
    model = keras.Sequential([keras.layers.Input((5,), dtype="int32"), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5, **compiled), loss, metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 20, (24, 5)), rng.integers(0, 20, 24)
    weights = np.ones(24)
    if poison is not None:
        weights[poison] = np.nan
    history = model.fit(
        x,
        y,
        batch_size=4,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        sample_weight=weights,
        validation_data=(x, y),
        callbacks=callbacks,
    )
    return model, history.history


def records(path, kind):
    return [r for r in map(json.loads, path.read_text().splitlines()) if r["type"] == kind]


def test_one_record_for_every_batch(keras, tmp_path):
    from lmdiag.record.keras import LmdiagCallback

    means = []

    class Means(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            means.append(float(logs["loss"]))

    path = tmp_path / "a.jsonl"
    _, history = fit(keras, [LmdiagCallback(path, layers_every=4, task="causal-lm"), Means()], global_clipnorm=0.01)
    steps = records(path, "step")
    assert [r["step"] for r in steps] == list(range(1, 13))
    for epoch in (steps[:6], steps[6:]):
        running = [sum(r["loss"] for r in epoch[: i + 1]) / (i + 1) for i in range(6)]
        assert running == pytest.approx(means[epoch[0]["step"] - 1 :][:6], rel=1e-5)
    assert all(r["grad_norm"] > 0.01 and r["lr"] == 0.5 for r in steps)
    assert [r["step"] for r in steps if "layers" in r] == [4, 8, 12]
    layers = steps[3]["layers"]
    assert len(layers) == 3
    assert math.hypot(*(x["grad_norm"] for x in layers.values())) == pytest.approx(steps[3]["grad_norm"], rel=1e-5)
    assert [r["loss"] for r in records(path, "eval")] == pytest.approx(history["val_loss"])
    (header,) = records(path, "run")
    assert (header["max_steps"], header["grad_clip"], header["task"]) == (12, 0.01, "causal-lm")
    assert records(path, "end")[0]["status"] == "completed"


def test_training_is_the_same_with_and_without(keras, tmp_path):
    from lmdiag.record.keras import LmdiagCallback

    watched, _ = fit(keras, [LmdiagCallback(tmp_path / "a.jsonl", layers_every=1)])
    plain, _ = fit(keras, [])
    assert all(torch.equal(a.value, b.value) for a, b in zip(watched.variables, plain.variables))
    assert "compute_loss" not in watched.__dict__


def test_a_nan_is_recorded_where_it_happens(keras, tmp_path):
    from lmdiag.record.keras import LmdiagCallback

    path = tmp_path / "a.jsonl"
    fit(keras, [LmdiagCallback(path)], poison=9, epochs=1)
    assert [r["loss"] == "NaN" for r in records(path, "step")[:3]] == [False, False, True]


def test_batches_between_records(keras, tmp_path):
    from lmdiag.record.keras import LmdiagCallback

    path = tmp_path / "a.jsonl"
    fit(keras, [LmdiagCallback(path, log_every=5, layers_every=0)])
    assert [r["step"] for r in records(path, "step")] == [5, 10]
    assert all("layers" not in r and "grad_norm" in r for r in records(path, "step"))


def test_losses_of_other_backends_come_from_the_means(keras, tmp_path, monkeypatch):
    from lmdiag.record.keras import LmdiagCallback

    taken, derived = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    fit(keras, [LmdiagCallback(taken)])
    monkeypatch.setattr(LmdiagCallback, "_take_losses", lambda self: None)
    fit(keras, [LmdiagCallback(derived)])
    assert [r["loss"] for r in records(derived, "step")] == pytest.approx(
        [r["loss"] for r in records(taken, "step")], rel=1e-4
    )


def test_the_run_is_stopped_when_the_log_shows_an_error(keras, tmp_path):
    from lmdiag.record.keras import LmdiagCallback

    class Slow(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(0.02)

    path = tmp_path / "a.jsonl"
    model, _ = fit(keras, [LmdiagCallback(path, stop_on="error", check_every_s=0.0), Slow()], poison=1, epochs=500)
    assert 0 < int(model.optimizer.iterations) < 3000
    assert "stopped" in [r["kind"] for r in records(path, "event")]
