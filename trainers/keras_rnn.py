"""An Elman network in Keras 3, on PyTorch: the model of `rnn`, but `fit` is the loop, and a callback writes the log.

Read `train` from top to bottom: data, model, `compile`, `fit`. There is no loop to read, which is Keras' point; what
it would hide (the loss of each batch, the gradients) is what `LmdiagCallback` brings back.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers import corpus, results, resuming, sampling, saved_models
from trainers.borrowed_loops import check_fault
from trainers.faults import Hooks
from trainers.ngram import reference_losses
from trainers.settings import Files, check_alone, check_numbers, checkpoint_folder, setting

if TYPE_CHECKING:
    import keras


@dataclass
class Settings(Files):
    """The settings of the Keras network."""

    # how long, and on how much
    steps: int = setting(300, "optimizer updates", least=1)
    batch_size: int = setting(24, "sequences per optimizer update", least=1)
    context: int = setting(32, "tokens per sequence; Keras unrolls them one by one, which takes its time", least=1)

    # how fast
    lr: float = setting(5e-3, "peak learning rate")
    rho: float = setting(0.9, "share of the old mean square that RMSprop keeps")
    min_lr_ratio: float = setting(0.1, "learning rate at the end, as a share of the peak; between them a cosine")
    warmup_steps: int = setting(20, "steps of linear warm-up")
    grad_clip: float = setting(1.0, "limit of the global gradient norm; 0: none")

    # the model
    d_model: int = setting(96, "width of embedding and state", least=1)
    n_layer: int = setting(1, "recurrent layers", least=1)
    dropout: float = setting(0.0, "share of activations dropped in training")

    # how often to look
    log_every: int = setting(1, "steps per step record", least=1)
    layers_every: int = setting(10, "steps between per-layer statistics; 0: none")
    eval_every: int = setting(50, "steps between evaluations", least=1)
    eval_tokens: int = setting(8192, "tokens of the validation split to evaluate on; 0: all of it")
    sample: int = setting(200, "tokens of text to write at the end, printed and logged; 0: none")
    temperature: float = setting(0.8, "temperature of the generated text; 0: always the likeliest token")

    # checkpoints
    checkpoints: str = setting("", "folder for the newest checkpoint and the trained model; default: beside the log")
    save: bool = setting(
        True, "save model and optimizer at each evaluation, and the trained model in the folder `final`"
    )
    resume: bool = setting(False, "continue from the checkpoint and append to the log")


def train(settings: Settings, hooks: Hooks) -> None:
    """Train with `model.fit`; raises ValueError for settings that do not fit together."""
    check_alone("keras-rnn")
    check_fault(hooks, "Keras")
    check_numbers(settings)
    if settings.dry_run:
        settings = dataclasses.replace(settings, steps=2, eval_every=2, log=os.devnull)
    os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it once, when it is imported: hence the imports down here
    import keras

    from lmdiag.record.keras import LmdiagCallback

    keras.utils.set_random_seed(settings.seed)

    # ---- data: windows that follow each other, in a random order; Keras wants arrays [windows, context]

    text = hooks.corpus(corpus.of(settings))
    print(results.about_text(text, settings), file=sys.stderr)
    inputs, targets = windows(text.train, settings.context)
    windows(text.test, settings.context)  # refuses a part that is too short before the training, not after it
    validation = windows(text.val[: settings.eval_tokens + 1] if settings.eval_tokens else text.val, settings.context)

    # ---- model, optimizer, loss: new, or with all their state from the checkpoint

    checkpoint = checkpoint_folder(settings) / "newest.keras"
    if settings.resume and not checkpoint.exists():
        raise ValueError(f"no checkpoint in {checkpoint.parent}: train without --no-save first")
    begun = resuming.begun(settings, text.vocabulary.state(), text.train)
    model = compiled(settings, text.vocabulary.size)
    if settings.resume:
        go_on(model, checkpoint, begun)
    done = int(model.optimizer.iterations)
    resuming.check_steps(done, settings.steps)

    # ---- fit: an "epoch" here is what lies between two evaluations, so that the log gets several of them

    print(f"model: keras-rnn with {model.count_params():,} parameters", file=sys.stderr)
    header = header_facts(settings, text, model.count_params())
    log = LmdiagCallback(settings.log, settings.log_every, settings.layers_every, **header)
    callbacks: list[keras.callbacks.Callback] = [log, same_chance(model, settings.seed)]
    # an epoch is evaluated when it ends, and may end early: so the last one is as long as there are steps
    callbacks.append(
        keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: stop_after(model, settings.steps))
    )
    callbacks.insert(
        0, keras.callbacks.LambdaCallback(on_train_end=lambda logs: finish(model, settings, text, log))
    )  # before the log is closed
    if settings.save and not settings.dry_run:
        callbacks.append(
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: keep(model, checkpoint, begun, log))
        )
    with log:  # when training is interrupted, the log says it
        model.fit(
            batches(inputs, targets, settings, done),
            steps_per_epoch=min(settings.eval_every, settings.steps),
            initial_epoch=done // settings.eval_every,
            epochs=math.ceil(settings.steps / settings.eval_every),
            validation_data=validation,
            validation_batch_size=settings.batch_size,
            callbacks=callbacks,
            shuffle=False,  # the batches are shuffled already
            verbose=0 if settings.dry_run else 2,  # one line per evaluation
        )
    if settings.save and not settings.dry_run:
        final = saved_models.final_folder(settings)
        try:
            saved_models.save_description(final, "keras-rnn", settings, text.vocabulary)
            model.save(final / "model.keras")
        except OSError as error:
            print(f"the model could not be written ({error})", file=sys.stderr)


def keep(model: keras.Model, checkpoint: Path, begun: dict[str, Any], log: Any) -> None:
    """Write the newest checkpoint, whole or not at all; a disk that is full costs the checkpoint, never the run."""
    step = int(model.optimizer.iterations)
    unfinished = checkpoint.with_name("unfinished.keras")
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        model.save(unfinished)
        beside(checkpoint).write_text(json.dumps(begun), encoding="utf-8")
        os.replace(unfinished, checkpoint)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        log.run_log.event("not_saved", step, f"the checkpoint of step {step} could not be written: {error}")
        print(f"the checkpoint of step {step} could not be written ({error}); training goes on", file=sys.stderr)


def beside(checkpoint: Path) -> Path:
    """Return the file that says what run a checkpoint is of."""
    return checkpoint.with_suffix(".json")


def go_on(model: keras.Model, checkpoint: Path, begun: dict[str, Any]) -> None:
    """Put weights and optimizer where the checkpoint has them; schedule, clipping and dropout are those asked for now."""
    import keras

    kept = json.loads(beside(checkpoint).read_text(encoding="utf-8")) if beside(checkpoint).exists() else None
    if said := resuming.other_text(kept, begun):
        print(said, file=sys.stderr)
    old = keras.models.load_model(checkpoint)
    model.optimizer.build(model.trainable_variables)
    for new, saved in zip([*model.variables, *model.optimizer.variables], [*old.variables, *old.optimizer.variables]):
        new.assign(saved)


def stop_after(model: keras.Model, steps: int) -> None:
    """End the training when so many updates are made."""
    if int(model.optimizer.iterations) >= steps:
        model.stop_training = True


def finish(model: keras.Model, settings: Settings, text: corpus.Corpus, log: Any) -> None:
    """Measure the trained model on the test part, and let it write."""
    if settings.dry_run:
        return
    tested, tokens = measured(model, text.test, settings)
    log.run_log.eval(settings.steps, "test", loss=round(tested, 6), n_tokens=tokens)
    validated, _ = measured(model, text.val[: settings.eval_tokens + 1] if settings.eval_tokens else text.val, settings)
    losses = {"validation": validated, "test": tested}
    print(results.about_losses(losses, reference_losses(text, results.COUNTED, "test")), file=sys.stderr)
    if settings.sample:
        write = (settings.sample, settings.temperature, 0, settings.seed)
        written = sampling.write(Writer(model, settings.context), text.vocabulary, *write)
        log.run_log.event("sample", settings.steps, written)
        print(f"\n{written}\n")


def same_chance(model: keras.Model, seed: int) -> keras.callbacks.Callback:
    """Return a callback that seeds each batch by its number, so that dropout goes on after a stop as if there was none."""
    import keras

    # A checkpoint of Keras holds weights and optimizer, but not the state of the generator that dropout draws from
    def seeded(batch: int, logs: Any = None) -> None:
        keras.utils.set_random_seed(seed + int(model.optimizer.iterations))

    return keras.callbacks.LambdaCallback(on_train_batch_begin=seeded)


def compiled(settings: Settings, vocab_size: int) -> keras.Model:
    """Return the model with its optimizer and its loss."""
    import keras

    model = build(settings, vocab_size)
    schedule: Any = keras.optimizers.schedules.CosineDecay(
        settings.lr / max(settings.warmup_steps, 1),
        max(settings.steps - settings.warmup_steps, 1),
        alpha=settings.min_lr_ratio,
        warmup_target=settings.lr if settings.warmup_steps else None,
        warmup_steps=max(settings.warmup_steps - 1, 0),  # Keras counts from 0: update number w gets the peak
    )
    optimizer = keras.optimizers.RMSprop(schedule, rho=settings.rho, global_clipnorm=settings.grad_clip or None)
    # from_logits: the softmax inside the loss cannot overflow, one in the last layer can
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def build(s: Settings, vocab_size: int) -> keras.Model:
    """Embedding, recurrent layers, logits."""
    import keras

    as_large_as_states = keras.initializers.RandomUniform(-1.0, 1.0)
    embedding = keras.layers.Embedding(vocab_size, s.d_model, embeddings_initializer=as_large_as_states)
    layers: list[Any] = [keras.layers.Input((None,), dtype="int32"), embedding]
    for _ in range(s.n_layer):
        layers.append(keras.layers.SimpleRNN(s.d_model, return_sequences=True, dropout=s.dropout))
    # without the zeros the first logits are random guesses, and the first loss is above ln(vocabulary)
    layers.append(keras.layers.Dense(vocab_size, kernel_initializer="zeros"))
    return keras.Sequential(layers, name="keras-rnn")


def windows(ids: np.ndarray, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a text into inputs and targets, int32[windows, context]; the targets are the inputs one token later."""
    count = (len(ids) - 1) // context
    if count < 1:
        raise ValueError(f"{len(ids)} tokens are too few for a context of {context} tokens")
    length = count * context
    return ids[:length].reshape(count, context).astype(np.int32), ids[1 : length + 1].reshape(count, context).astype(
        np.int32
    )


def batches(inputs: np.ndarray, targets: np.ndarray, settings: Settings, done: int = 0) -> Any:
    """Yield batches without end, after those already done; each pass over the windows is in another order."""
    rng = np.random.default_rng(settings.seed)
    size = min(settings.batch_size, len(inputs))
    while True:
        order = rng.permutation(len(inputs))
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            if done == 0:
                yield inputs[rows], targets[rows]
            done = max(done - 1, 0)


class Writer:
    """A Keras model that is told further tokens and sees its last window again."""

    def __init__(self, model: keras.Model, context: int) -> None:
        self._model, self._context = model, context
        self._ids: list[int] = []

    def __call__(self, further: list[int]) -> np.ndarray:
        """Return the logits of the token after these, which follow those told before."""
        import keras

        self._ids = [*self._ids, *further][-self._context :]
        logits = self._model(np.array([self._ids], np.int32))
        return np.array(keras.ops.convert_to_numpy(logits)[0, -1], np.float64)


def loaded(path: Path) -> keras.Model:
    """Return a saved model."""
    os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it once, when it is imported
    import keras

    return keras.models.load_model(path)


def measured(model: keras.Model, ids: np.ndarray, settings: Settings) -> tuple[float, int]:
    """Return the mean loss of whole windows of a text, nats per token, and of how many tokens it is."""
    inputs, targets = windows(ids, settings.context)
    return float(model.evaluate(inputs, targets, settings.batch_size, verbose=0)), targets.size


def header_facts(settings: Settings, text: corpus.Corpus, params: int) -> dict[str, Any]:
    """Return the header of the log: all that a reader cannot see from the curves."""
    facts = {
        "name": Path(settings.log).stem,
        "clock": settings.clocks,
        "run_id": settings.run_id(),
        "task": "causal-lm",
        "max_steps": settings.steps,
        "warmup_steps": settings.warmup_steps,
        "lr_schedule": "cosine",
        "batch_size": settings.batch_size,
        "batch_tokens": settings.batch_size * settings.context,
        "precision": "fp32",
        "reference_loss": reference_losses(text),
        "model": {
            "name": "keras-rnn",
            "params": params,
            "vocab_size": text.vocabulary.size,
            "context": settings.context,
        },
        "config": dataclasses.asdict(settings),
    }
    return facts | ({"bytes_per_token": round(text.bytes_per_token, 6)} if text.bytes_per_token else {})
