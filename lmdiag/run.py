"""One training run in memory: what every rule, chart and report looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lmdiag.account import Account, Skipped
from lmdiag.methods import METHODS, OF_OBJECTIVE
from lmdiag.naming import evaluation_set
from lmdiag.stats.masked import masked_zeros
from lmdiag.stats.windows import block_medians, median

if TYPE_CHECKING:
    import pandas
    import polars

TRAINING_CURVE_POINTS = 5  # fewer training losses than this say less than the evaluations do
MANY_EVALUATIONS = 10
TRAINING_CURVE_POINTS_BESIDE_MANY = 8
MULTIPLE = 1.8  # a training loss so many times the evaluation is a sum, or was counted so often: `wrong-loss-scale`


@dataclass(frozen=True, eq=False)
class Series:
    """Values of one metric at the steps where it was logged.

    `steps` is int64[n], strictly ascending; `values` is float64[n] in the unit of `metrics.METRICS`; NaN and
    infinities are kept as they were logged. `lines` is int64[n], the line of the source of each value, where known.

    >>> loss = Series(np.array([1, 2, 3]), np.array([2.0, np.nan, 1.0]))
    >>> len(loss), loss.finite.values.tolist()
    (3, [2.0, 1.0])
    """

    steps: np.ndarray
    values: np.ndarray
    lines: np.ndarray | None = None
    source_name: str = ""  # the name in the log, before translation
    source_unit: str = ""  # the unit in the log, when it was converted
    decimals: int | None = None  # values are rounded to this many decimals; None: full precision
    reduction: str = ""  # "window_mean", "ema", "epoch_mean"; "": the value of one step, or unknown
    logged: int = 0  # how many values there were, where only some are kept to be shown

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} values>"

    @property
    def finite(self) -> Series:
        """The points whose value is a finite number."""
        part = self._finite_part
        return self if part is None else part

    @cached_property
    def _finite_part(self) -> Series | None:
        """None where all are finite: a series that kept itself would stay in memory until the garbage collector comes by."""
        good = np.isfinite(self.values)
        return None if good.all() else self.at(good)

    @property
    def of_tokens(self) -> bool:
        """Whether the values are not those of bytes or characters, which the log gave in bits."""
        return not self.source_unit.startswith("bits per ")

    @property
    def nats(self) -> str:
        """The unit of a loss: that of a token, or of the byte or character of which the log gave bits."""
        return "nats per token" if self.of_tokens else self.source_unit.replace("bits", "nats", 1)

    @property
    def rounding(self) -> float:
        """By how much a value may differ from what was measured because it is rounded, 0 at full precision."""
        return 0.0 if self.decimals is None else 0.5 * 10.0**-self.decimals

    def at(self, chosen: np.ndarray | slice) -> Series:
        """Return the points selected by a boolean mask, an index array or a slice."""
        lines = None if self.lines is None else self.lines[chosen]
        return Series(
            self.steps[chosen],
            self.values[chosen],
            lines,
            self.source_name,
            self.source_unit,
            self.decimals,
            self.reduction,
        )

    def thinned(self, most: int) -> Series:
        """Return at most `most` points: the series itself, or the medians of as many nearly equal stretches.

        >>> Series(np.arange(1, 7), np.array([1.0, 2, 3, 10, 11, 12])).thinned(2).values.tolist()
        [2.0, 11.0]
        """
        if len(self) <= most:
            return self
        if most not in self._thinned:
            levels, starts = block_medians(self.values, most)
            self._thinned[most] = Series(self.steps[starts], levels)
        return self._thinned[most]

    @cached_property
    def _thinned(self) -> dict[int, Series]:
        return {}  # several rules ask for the same number of points

    def between(self, first_step: float, last_step: float) -> Series:
        """Return the points with first_step <= step <= last_step."""
        start, stop = np.searchsorted(self.steps, [first_step, last_step + 0.5])
        return self.at(slice(int(start), int(stop)))


@dataclass(frozen=True)
class Segment:
    """One uninterrupted stretch of a run, between restarts; `first_row` counts the rows of the log."""

    first_step: int
    last_step: int
    first_row: int


@dataclass(frozen=True)
class Event:
    """Something that happened during the run: a checkpoint, a restart, a generated sample, an exception, the end."""

    kind: str
    step: int | None = None
    message: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def _without(series: Series, masked: np.ndarray) -> Series:
    return series.at(~masked) if masked.any() else series


@dataclass(frozen=True, eq=False)
class Run:
    """Everything a log says about one run, under canonical metric names.

    `config` holds the facts of the header under their names in `lmdiag-log/1` (`max_steps`, `grad_clip`, `model`, …)
    and the program's own settings under `config["config"]`. `superseded` holds the values of steps that a
    resumed run wrote again: the later value stands in `series`, the earlier one here. `objective` is `causal-lm`,
    `masked-lm`, `classification`, `reinforcement`, `composite` or `signed`: only for the first three must the loss fall. `method` is one of
    `methods.METHODS`.
    `step_kind` says what the steps count: `step`, `epoch`, `tokens`, `samples` or `record`. `decided` holds `curve` and
    `evaluation` where they were chosen among more points than `series` has; else they are chosen when first asked for.
    `account` tells what became of every line and column of the log. `spread` says that no step of its evaluations is known: they
    were taken to stand evenly among the records.

    >>> run = Run("a", {"loss": Series(np.array([1, 2]), np.array([2.0, 1.0]))})
    >>> "loss" in run, run.has("grad_norm"), run.last_step
    (True, False, 2)
    """

    name: str
    series: Mapping[str, Series]
    source: str = ""
    format: str = ""
    segments: tuple[Segment, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    superseded: Mapping[str, Series] = field(default_factory=dict)
    objective: str = "causal-lm"
    method: str = ""
    step_kind: str = "step"
    decided: Mapping[str, tuple[str, Series] | None] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    spread: bool = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self.series)} series to {self.place(self.last_step)}>"

    def __getitem__(self, metric: str) -> Series:
        return self.series[metric]

    def __contains__(self, metric: str) -> bool:
        return metric in self.series

    def __iter__(self) -> Iterator[str]:
        return iter(self.series)

    def has(self, need: str) -> bool:
        """Tell whether the log holds what a rule needs: a metric, or one of the names in `NEEDS`."""
        if need in ("curve", "measured", "evaluation", "evaluation_loss"):
            return getattr(self, need) is not None
        if need == "layers":
            return any(name.startswith("layers/") for name in self.series)
        return need in self.series

    @property
    def trained_by(self) -> str:
        """The method that trains the model: as the log tells, else as its objective suggests."""
        return self.method or OF_OBJECTIVE.get(self.objective, "composite")

    @property
    def kind(self) -> str:
        """What the loss of the method is: `language-model`, `classification`, `preference`, `reinforcement` or `other`."""
        return METHODS[self.trained_by][0]

    @cached_property
    def evaluations(self) -> dict[str, Series]:
        """The loss on every evaluation set: {split: Series}; estimates of the training loss are left out."""
        return {
            name.removesuffix("/loss"): series
            for name, series in self.series.items()
            if name.endswith("/loss") and evaluation_set(name) not in ("", "train")
        }

    @cached_property
    def evaluation(self) -> tuple[str, Series] | None:
        """The evaluations to judge by, with their metric name: the evaluation loss, else bits per byte."""
        if "evaluation" in self.decided:
            return self.decided["evaluation"]
        bits = {name: series for name, series in self.series.items() if name.endswith("/bpb")}
        if self.evaluation_loss or not bits:
            return self.evaluation_loss
        name = "val/bpb" if "val/bpb" in bits else max(bits, key=lambda name: len(bits[name]))
        return name, bits[name]

    @cached_property
    def evaluation_loss(self) -> tuple[str, Series] | None:
        """The evaluation loss in nats per token, with its metric name: `val/loss`, or the mean of sets of equal steps.

        Single sets of a healthy run drift and jump, so that several sets are averaged; sets with other steps than
        the longest ones are left out.
        """
        sets = self.evaluations
        if not sets:
            return None
        sets = {name: _without(s, masked_zeros(s.values, evaluated=True)) for name, s in sets.items()}
        if "val" in sets:
            return "val/loss", sets["val"]
        longest = max(sets.values(), key=len)
        alike = [name for name, s in sets.items() if np.array_equal(s.steps, longest.steps)]
        if len(alike) == 1:
            return f"{alike[0]}/loss", longest
        mean = np.mean([sets[name].values for name in alike], axis=0)
        return "val/loss", Series(longest.steps, mean, longest.lines, f"mean of {len(alike)} evaluation sets")

    @cached_property
    def curve(self) -> tuple[str, Series] | None:
        """The loss that shows how the run went, with its metric name: the training loss, or else the evaluation loss.

        Printed logs often hold a handful of training losses beside many evaluations: then the evaluations say more.
        """
        if "curve" in self.decided:
            return self.decided["curve"]
        evaluation = self.evaluation_loss
        loss = self.series.get("loss")
        if loss is None:
            return evaluation
        loss = _without(loss, masked_zeros(loss.values))
        finite = int(np.isfinite(loss.values).sum())
        many = evaluation is not None and len(evaluation[1]) >= MANY_EVALUATIONS
        enough = TRAINING_CURVE_POINTS_BESIDE_MANY if many else TRAINING_CURVE_POINTS
        if finite < enough and evaluation is not None and len(evaluation[1]) > finite:
            return evaluation
        return "loss", loss

    @cached_property
    def per_token(self) -> bool:
        """Whether the loss is that of one token, in nats: that of a language model, and no multiple of its evaluation."""
        if self.objective not in ("causal-lm", "masked-lm"):
            return False
        if "loss" in self and not self["loss"].of_tokens:
            return False
        trained = self["loss"].finite.values if "loss" in self else np.empty(0)
        evaluated = self.evaluation_loss[1].finite.values if self.evaluation_loss else np.empty(0)
        if not (len(evaluated) and len(trained)):
            return True
        return float(evaluated[-1]) * MULTIPLE > float(median(trained[-TRAINING_CURVE_POINTS:]))

    @cached_property
    def measured(self) -> tuple[str, Series] | None:
        """What shows how the run went, with its metric name: the loss, or else the reward of a policy, or else its fullest metric."""
        if self.curve is not None or self.kind != "reinforcement":
            return self.curve
        if "reward" in self:
            return "reward", self["reward"]
        return max(self.series.items(), key=lambda item: len(item[1]), default=None)

    def beside_loss(self, metric: str) -> dict[str, tuple[Series, Series]]:
        """Return the metric of the training and of every evaluation set with the loss of the same set, where the log has both."""
        sets = {metric: "loss", **{f"{split}/{metric}": f"{split}/loss" for split in self.evaluations}}
        return {name: (self[name], self[loss]) for name, loss in sets.items() if name in self and loss in self}

    def value_at(self, metric: str, step: int) -> float | None:
        """Return the last value of a metric logged at or before a step, None where there is none."""
        series = self.series.get(metric)
        row = -1 if series is None else int(np.searchsorted(series.steps, step, side="right")) - 1
        return float(series.values[row]) if series is not None and row >= 0 else None

    def checkpoint_before(self, step: int) -> int | None:
        """Return the step of the last checkpoint the log says was saved at or before a step."""
        saved = [e.step for e in self.events if e.kind == "checkpoint_saved" and e.step is not None and e.step <= step]
        return max(saved, default=None)

    @property
    def first_step(self) -> int:
        """The first step at which anything was logged, 0 for an empty run."""
        return min((int(s.steps[0]) for s in self.series.values() if len(s)), default=0)

    @property
    def last_step(self) -> int:
        """The last step at which anything was logged, 0 for an empty run."""
        return max((int(s.steps[-1]) for s in self.series.values() if len(s)), default=0)

    @property
    def unit(self) -> str:
        """What the steps of the log count, in the singular: `step`, `epoch`, `record`, `token` or `sample`."""
        return self.step_kind.removesuffix("s")

    def place(self, first: int, last: int | None = None) -> str:
        """Write a step of the log, or a stretch of steps, for a sentence: every sentence that names one takes it from here.

        >>> Run("a", {}).place(1040), Run("a", {}).place(1040, 1500), Run("a", {}, step_kind="epoch").place(7, 7)
        ('step 1,040', 'steps 1,040–1,500', 'epoch 7')
        >>> Run("a", {}, step_kind="tokens").place(61952)
        '61,952 tokens'
        """
        span = f"{first:,}" if last in (None, first) else f"{first:,}–{last:,}"
        if self.step_kind in ("tokens", "samples"):
            return f"{span} {self.step_kind}"
        return f"{self.unit}{'' if last in (None, first) else 's'} {span}"

    def place_of(self, metric: str, step: int) -> str:
        """Write the step of a value of a metric: "about record 1,759" where the log does not say at which it was evaluated."""
        return f"{'about ' if self.spread and metric != 'loss' else ''}{self.place(step)}"

    @property
    def tokens(self) -> Series | None:
        """Tokens trained on so far: as logged, else steps times `batch_tokens` of the header, else None."""
        if "tokens" in self.series:
            return self.series["tokens"]
        per_step = self.config.get("batch_tokens")
        curve = self.curve
        if not per_step or curve is None or self.step_kind != "step":
            return None
        return Series(curve[1].steps, curve[1].steps * float(per_step))

    @property
    def records(self) -> tuple[int, int]:
        """How many records with the main loss (or reward) were read, and how many records could not be read."""
        lost = sum(skipped.count for skipped in self.skipped if skipped.unit == "record")
        return (len(self.measured[1]) if self.measured else 0), lost

    @property
    def status(self) -> str:
        """How the run ended: `completed`, `stopped`, `crashed` or `killed`; "" while it goes on, or where the log does not say."""
        last = next((e for e in reversed(self.events) if e.kind in ("end", "restart")), None)
        return str(last.fields.get("status", "")) if last is not None and last.kind == "end" else ""

    @property
    def complete(self) -> bool | None:
        """Whether the run came to its end: True, False, or None where the log does not say."""
        ends = [e.fields.get("status") for e in self.events if e.kind == "end"]
        if ends:
            return ends[-1] == "completed"
        share = self.planned_share
        return None if share is None else share >= 0.98

    @property
    def unfinished(self) -> bool:
        """Whether the log is that of a part of the run: it was killed, or ends before its plan without saying that it is over."""
        if self.status in ("completed", "stopped"):
            return False
        return self.status == "killed" or self.complete is False

    @property
    def planned_steps(self) -> float:
        """The steps that were planned; 0 where the log counts something else or tells no plan."""
        return float(self.config.get("max_steps") or 0) if self.step_kind == "step" else 0.0

    @property
    def planned_share(self) -> float | None:
        """Which share of the planned steps the log reaches, at most 1; None where that is not known."""
        return min(self.steps_done / self.planned_steps, 1.0) if self.planned_steps else None

    @property
    def steps_done(self) -> int:
        """The steps that the log reaches: one more than the last where the training loss counts them from 0, as Lightning does."""
        return self.last_step + int("loss" in self and bool((self["loss"].steps[:1] == 0).any()))

    def _repr_html_(self) -> str:
        shown: str = import_module("lmdiag.reports.notebook").run_html(self)  # reports know runs, never the reverse
        return shown

    def to_polars(self) -> polars.DataFrame:
        """Return one row per step and one column per metric; a value that was not logged is null."""
        import polars as pl

        steps = np.unique(np.concatenate([s.steps for s in self.series.values()] or [np.empty(0, np.int64)]))
        columns: dict[str, Any] = {"step": steps}
        for name, series in self.series.items():
            rows = np.searchsorted(steps, series.steps)
            logged = np.zeros(len(steps), bool)
            logged[rows] = True
            column = np.zeros(len(steps))
            column[rows] = series.values
            columns[name] = pl.select(pl.when(pl.Series(logged)).then(pl.Series(column))).to_series()
        return pl.DataFrame(columns)

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per step, indexed by step; a value that was not logged is NaN."""
        import pandas as pd

        return pd.DataFrame({name: pd.Series(s.values, index=s.steps) for name, s in self.series.items()}).rename_axis(
            "step"
        )
