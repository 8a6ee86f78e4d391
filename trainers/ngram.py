"""An n-gram model: counts, smoothed by interpolated modified Kneser-Ney. No network, no torch, no gradient.

It answers "how well can one do by looking at the last few tokens only?", so that its losses are what other runs are
held against. Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 3,
is the reference; numbers in the comments are its equations.

Training is counting, so that "steps" are growing shares of the text: each step first says how well the model built
so far predicts the next share (`loss`), then counts that too and evaluates.
"""

from __future__ import annotations

import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmdiag.record.writer import RunLogger
from trainers import corpus, results, sampling, saved_models
from trainers.faults import Hooks
from trainers.progress import Progress, not_fatal
from trainers.sampling import After
from trainers.settings import Files, check_alone, check_numbers, setting

COUNTED = 2_000_000  # tokens of a text that are enough to say what counting reaches


@dataclass
class Settings(Files):
    """The settings of the n-gram model."""

    order: int = setting(5, "tokens per n-gram: it looks back at one less", least=1)
    steps: int = setting(10, "shares the training text is cut into", least=1)
    sample: int = setting(200, "tokens of text to generate at the end; 0: none")
    temperature: float = setting(1.0, "temperature of the generated text")
    top_k: int = setting(0, "generate among this many likeliest tokens; 0: among all")
    checkpoints: str = setting("", "folder for the trained model; default: beside the log")
    save: bool = setting(True, "save the counts at the end, in the folder `final`")


@dataclass
class Level:
    """All n-grams of one length: sorted keys (context id * vocabulary + token), their counts, and sums by context."""

    keys: np.ndarray
    counts: np.ndarray
    totals: np.ndarray  # of a context: sum of the counts of its continuations
    backoff: np.ndarray  # of a context: share of probability left to the shorter context


class NGram:
    """An interpolated modified Kneser-Ney model of token ids.

    `discounts` (for counts of one, two, and three or more) are estimated from the text unless given.
    """

    def __init__(
        self, ids: np.ndarray, order: int, vocabulary: int, discounts: tuple[float, ...] | None = None
    ) -> None:
        self.order, self.vocabulary = order, vocabulary
        self.levels: list[Level] = []
        self.discounts: list[np.ndarray] = []
        grams, keys, counts = [], [], []
        contexts = np.zeros(len(ids), np.int64)  # of length 0: all the same
        for length in range(order):
            codes = contexts * vocabulary + ids[length:]
            unique, first, gram, count = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
            grams.append((gram, first))
            keys.append(unique)
            counts.append(count)
            contexts = gram[:-1]  # the n-gram that ends before the next token is its context one level up
        for length in range(order - 1):
            # shorter n-grams count the different tokens seen before them, not how often they occurred: "Francisco" is
            # frequent but follows "San" only, so that after anything else it is unlikely
            longer_first = grams[length + 1][1]
            counts[length] = np.bincount(grams[length][0][longer_first + 1], minlength=len(keys[length]))
        for length in range(order):
            self._add_level(keys[length], counts[length], discounts, 1 if not length else len(keys[length - 1]))

    def _add_level(
        self, keys: np.ndarray, counts: np.ndarray, discounts: tuple[float, ...] | None, contexts: int
    ) -> None:
        discount = np.array([0.0, *(discounts or estimated_discounts(counts))])
        context = keys // self.vocabulary
        taken = discount[np.minimum(counts, 3)]
        totals = np.bincount(context, counts, minlength=contexts)
        left = np.bincount(context, taken, minlength=contexts)
        backoff = np.divide(left, totals, out=np.ones(contexts), where=totals > 0)
        self.levels.append(Level(keys, counts, totals, backoff))
        self.discounts.append(discount)

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Return the probability of each token given those before it in `ids`: float64[n]."""
        result = np.full(len(ids), 1.0 / self.vocabulary)  # below the unigrams stands the uniform distribution
        contexts = np.zeros(len(ids), np.int64)
        for length, level in enumerate(self.levels):
            result[length:], grams = self._interpolate(
                level, self.discounts[length], contexts, ids[length:], result[length:]
            )
            contexts = grams[:-1]
        return result

    def _interpolate(
        self, level: Level, discount: np.ndarray, contexts: np.ndarray, tokens: np.ndarray, shorter: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return equation (3.20), p = (c - D(c)) / total + backoff * shorter, and the n-gram ids (-1: never seen)."""
        known = contexts >= 0
        keys = np.where(known, contexts * self.vocabulary + tokens, -1)
        at = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
        seen = level.keys[at] == keys
        counts = np.where(seen, level.counts[at], 0)
        safe = np.where(known, contexts, 0)
        usable = known & (level.totals[safe] > 0)
        kept = (counts - discount[np.minimum(counts, 3)]) / np.where(usable, level.totals[safe], 1)
        return np.where(usable, kept + level.backoff[safe] * shorter, shorter), np.where(seen, at, -1)

    def save(self, path: Path) -> None:
        """Write all counts to an `.npz` file."""
        arrays = {f"{name}-{n}": array for n, level in enumerate(self.levels) for name, array in vars(level).items()}
        arrays |= {f"discount-{n}": discount for n, discount in enumerate(self.discounts)}
        np.savez_compressed(path, shape=np.array([self.order, self.vocabulary]), **arrays)

    @classmethod
    def load(cls, path: Path) -> NGram:
        """Return the model that `save` wrote."""
        with np.load(path) as kept:
            order, vocabulary = map(int, kept["shape"])
            model = cls(np.zeros(1, np.int64), 1, vocabulary)
            names = [field.name for field in dataclasses.fields(Level)]
            model.order = order
            model.levels = [Level(**{name: kept[f"{name}-{n}"] for name in names}) for n in range(order)]
            model.discounts = [kept[f"discount-{n}"] for n in range(order)]
        return model

    def writer(self) -> After:
        """Return what says the logits of the token after those told so far."""
        told: list[int] = []

        def after(further: list[int]) -> np.ndarray:
            told.extend(further)
            return np.log(self.next_token(told[-self.order :]))

        return after

    def loss(self, ids: np.ndarray) -> float:
        """Return the mean negative log probability, nats per token; its exponential is the perplexity."""
        return float(-np.log(self.probabilities(ids)).mean())

    def next_token(self, ids: list[int]) -> np.ndarray:
        """Return the distribution of the token after `ids`: float64[vocabulary]."""
        result = np.full(self.vocabulary, 1.0 / self.vocabulary)
        for length in range(min(self.order, len(ids) + 1)):
            contexts = np.full(self.vocabulary, self._context(ids[len(ids) - length :]))
            tokens = np.arange(self.vocabulary)
            result, _ = self._interpolate(self.levels[length], self.discounts[length], contexts, tokens, result)
        return result

    def _context(self, ids: list[int]) -> int:
        """Return the id of a context, -1 where it was never seen."""
        found = np.zeros(1, np.int64)
        for length, token in enumerate(ids):
            level, discount = self.levels[length], self.discounts[length]
            found = self._interpolate(level, discount, found, np.array([token]), np.ones(1))[1]
        return int(found[0])


def estimated_discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """Return D1, D2, D3+ by equation (3.26) from how many n-grams occur once, twice, three and four times.

    Texts so small that one of these numbers is zero, or a discount, which would leave nothing for what was never seen, get the
    classic single discount of 0.75.
    """
    n1, n2, n3, n4 = (int((counts == k).sum()) for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return 0.75, 0.75, 0.75
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    if min(found) <= 0:
        return 0.75, 0.75, 0.75
    return tuple(min(max(d, 0.0), k) for k, d in enumerate(found, 1))  # type: ignore[return-value]


def reference_losses(text: corpus.Corpus, order: int = 2, part: str = "val") -> dict[str, float]:
    """Return the losses on a part of the text that a trained model has to beat, in nats per token.

    `uniform` knows the vocabulary only, `unigram` how often each token occurs, `bigram` the token before, `ngram` (from
    order 3 on) the `order` - 1 tokens before. Of a long text the first `COUNTED` tokens are counted.
    """
    size = text.vocabulary.size
    losses = {"uniform": float(np.log(size))}
    orders = {"unigram": 1, "bigram": 2} | ({"ngram": order} if order > 2 else {})
    train, held_out = (
        np.asarray(ids[:COUNTED]).astype(np.int64, copy=False) for ids in (text.train, getattr(text, part))
    )
    losses |= {name: NGram(train, n, size).loss(held_out) for name, n in orders.items()}
    return {name: round(loss, 5) for name, loss in losses.items()}


def train(settings: Settings, hooks: Hooks) -> None:
    """Count growing shares of the text, evaluate after each, and write the log."""
    check_alone("ngram")
    check_numbers(settings)
    if settings.dry_run:
        settings = dataclasses.replace(settings, steps=2, log=os.devnull, save=False)
    text = in_memory(hooks.corpus(corpus.of(settings)))
    ends = np.linspace(0, len(text.train), settings.steps + 1).astype(int)
    size = text.vocabulary.size
    model = NGram(text.train[:1], 1, size)  # one token, just to have a model before the first step
    header = {"clock": settings.clocks, "run_id": settings.run_id(), **header_facts(settings, text)}
    with RunLogger(settings.log, **header) as log, Progress(settings.steps) as progress:
        progress.say(results.about_text(text, settings))
        hooks.start(log)
        for step in range(1, settings.steps + 1):
            started = time.perf_counter()
            before = model.loss(text.train[ends[step - 1] : ends[step]])
            model = NGram(text.train[: ends[step]], settings.order, size)
            seconds = time.perf_counter() - started
            grams = sum(len(level.keys) for level in model.levels)
            record = {"loss": round(before, 6), "tokens": int(ends[step]), "n_grams": grams}
            log.step(step, **hooks.record(step, {**record, "step_time_s": round(seconds, 5)}))
            found = model.loss(text.val)
            log.eval(step, loss=round(found, 6), n_tokens=len(text.val))
            progress.step(step, before)
            progress.evaluation(step, found)
            hooks.after(step)
        tested = round(model.loss(text.test), 6)
        log.eval(settings.steps, "test", loss=tested, n_tokens=len(text.test))
        progress.say(results.about_losses({"validation": found, "test": tested}, reference_losses(text, part="test")))
        if settings.save:
            folder = saved_models.final_folder(settings)
            with not_fatal("model", settings.steps, log, progress):
                saved_models.save_description(folder, "ngram", settings, text.vocabulary)
                model.save(folder / "counts.npz")
        if settings.sample:
            write = (settings.sample, settings.temperature, settings.top_k, settings.seed)
            written = sampling.write(model.writer(), text.vocabulary, *write)
            log.event("sample", settings.steps, written)
            progress.text(written)


def in_memory(text: corpus.Corpus) -> corpus.Corpus:
    """Return a corpus whose ids can be multiplied: those of a token file are as narrow as their vocabulary allows."""
    train, val, test = (np.asarray(part).astype(np.int64, copy=False) for part in (text.train, text.val, text.test))
    return dataclasses.replace(text, train=train, val=val, test=test)


def header_facts(settings: Settings, text: corpus.Corpus) -> dict[str, Any]:
    """Return the header of the log."""
    facts = {
        "name": Path(settings.log).stem,
        "framework": "lmdiag-trainers",
        "task": "causal-lm",
        "max_steps": settings.steps,
        "loss_reduction": "step_mean",
        "reference_loss": reference_losses(text, settings.order),
        "model": {"name": "ngram", "vocab_size": text.vocabulary.size, "context": settings.order - 1},
        "config": dataclasses.asdict(settings),
    }
    return facts | ({"bytes_per_token": round(text.bytes_per_token, 6)} if text.bytes_per_token else {})
