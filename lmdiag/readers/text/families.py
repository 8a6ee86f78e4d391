"""Printed formats whose lines say more than their numbers, or of which something is left to do when all were seen."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.naming import evaluation_set, spelling, words_of
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, SUFFIXES, number
from lmdiag.readers.tables.column_names import canonical, name_columns
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.readers.text.line_format import NOTHING, LineFormat, Said, Shape
from lmdiag.readers.text.names import OF_A_TASK
from lmdiag.readers.text.plans import Record

# Megatron-LM and its forks, GPT-NeoX and nanotron: items between bars

# Forks without colons: `lm loss 2.31E+00`
_ITEM = lazy(rf"^\s*(.+?)(?::\s*|(?<=[\w)])\s+)({NUM})\s*(%|[kKMBGTPE]?(?:FLOPS|FLOP/s|B|iB)?|ms|s)\s*$")
_PLACE = lazy(r"iteration (\d+)")
_CLOCK = lazy(r":\s*\d+:\d\d")
_NO_NUMBER = lazy(r"\beta\b|\d:\d\d|None|N/A")
_LOSS = lazy(r"loss$", re.IGNORECASE)
_AUXILIARY = lazy(r"balanc|z[_ ]loss|aux|sop|mtp|moe|router", re.IGNORECASE)
_SKIPPED, _NAN = "number of skipped iterations", "number of nan iterations"


def _piped(values: dict[str, float], match: re.Match[str], text: str) -> Record | None:
    units, broken = {}, 0
    for item in f"{text[: match.start()]}|{text[match.end() :]}".split("|"):
        found = _ITEM.match(item)
        if found and not _CLOCK.search(item):
            name, suffix = found[1].strip(), found[3]
            if suffix == "%":
                units[name] = "%"
            flops = suffix.endswith(("FLOPS", "FLOP/s"))  # brought to TFLOPS
            factor = SUFFIXES.get(suffix[:1], 1.0) / 1e12 if flops else SUFFIXES.get(suffix, 1.0)
            values[name] = number(found[2]) * factor
        elif ":" in item and not _NO_NUMBER.search(item):
            broken += 1
    if len(values) < 4:
        return None
    lost = f"{broken} items of the record are no numbers: {text.strip()[:80]}" if broken else ""
    return values, Said(units=units, lost=lost)


def _at_the_end(values: dict[str, float], match: re.Match[str], text: str) -> Record:
    return values, Said(event="final_evaluation")


def _piped_evaluation(values: dict[str, float], match: re.Match[str], text: str) -> Record | None:
    measured = {name.removesuffix(" value"): value for name, value in values.items() if name != "n"}
    if not measured:
        return None
    place = _PLACE.search(match["place"] or f"iteration {match['n']}")
    if place is None or "end of training" in text or (match["place"] or "").startswith("the end"):
        return _at_the_end(measured, match, text)
    word = (match["what"] or match["set"] or "validation").strip("- ").removeprefix("validation-")
    split = {"validation": "val", "valid": "val", "": "val"}.get(word, word)  # any other is the name of a set
    measures = {name: spelling(name).name for name in measured}
    names = {
        f"{split} {name}": f"{split}/{measure}" for name, measure in measures.items() if measure in ("loss", "ppl")
    }
    return {STEP: number(place[1]), **{f"{split} {name}": v for name, v in measured.items()}}, Said(names=names)


def _settle_megatron(table: Table) -> None:
    """A missing loss is NaN, unless every iteration of the interval was skipped; then tokens per step."""
    losses = [
        name for name in table.columns
        if _LOSS.search(name) and not _AUXILIARY.search(name) and table.names.get(name, "loss") == "loss"
    ]  # fmt: skip
    if _NAN in table.columns and losses:
        main = max(losses, key=lambda name: len(table.columns[name][0]))
        steps, skipped, nan = table.cells(STEP), table.cells(_SKIPPED), table.cells(_NAN)
        missing = ~np.isnan(nan)
        missing[table.columns[main][0]] = False
        interval = np.diff(np.maximum.accumulate(np.nan_to_num(steps)), prepend=0)
        lost = np.flatnonzero(missing & ((nan > 0) | (skipped < np.maximum(interval, 1))))
        if len(lost):
            rows, values = (np.asarray(side) for side in table.columns[main])
            order = np.argsort(merged := np.concatenate([rows, lost]), kind="stable")
            table.columns[main] = merged[order], np.concatenate([values, np.full(len(lost), np.nan)])[order]
            table.notes.append(f"{len(lost)} records print no {main}, which is how this program prints NaN")
    context, batch = table.config.get("model", {}).get("context"), table.columns.get("global batch size")
    if context and batch:
        put_fact(table.config, "batch_tokens", float(np.median(batch[1])) * context)


MEGATRON = LineFormat(
    "megatron",
    "Megatron-LM, its forks, GPT-NeoX",
    (
        Shape("iteration", lazy(r"(?:^|\| |\] |\s)iteration:?\s+(?P<step>\d+)\s*/\s*(?P<total>\d+)\s*(?=\||$)"), told=_piped),
        Shape(" |", lazy(
            r"^\W*(?:(?P<set>[\w./-]*?)[- ]?(?:loss|results) at (?P<place>.+?) |iteration (?P<n>\d+) (?:on (?P<what>\w+) set )?)\| (?P<rest>.*)$"
        ), told=_piped_evaluation),
    ),
    (("iteration", lazy(r"\biteration\s+\d+/\s*\d+ \|.*(?::|\bloss\s).*\|")),),
    _settle_megatron,
    names={"throughput per GPU (TFLOP/s/GPU)": "tflops_per_device", "approx flops per GPU": "tflops_per_device",
           "samples/sec": "samples_per_sec", "eta": None},
    units={"MFU": "%", "HFU": "%"},
    reductions=dict.fromkeys(("lm loss", "lm_loss", "lm-loss"), "window_mean"),
)  # fmt: skip
NANOTRON = replace(
    MEGATRON,
    name="nanotron",
    title="nanotron",
    marks=(("consumed_tokens", lazy(r"iteration: \d+ / \d+ \| .*consumed_tokens")),),
    reductions={},
)

# litgpt, lit-gpt: several micro-batches per optimizer step, of which the one that made the update is kept
_FEW_UPDATES = 5


def _settle_litgpt(table: Table) -> None:
    """Give evaluations the step before them, and keep one record of each optimizer step where the log marks it.

    Where few updates are marked, every micro-batch is kept, and its iteration is the step.
    Each record repeats the latest evaluation: where the log lacks the lines of evaluations, one was made where that changes.
    """
    update = ~np.isnan(table.cells("update"))
    trained = np.zeros(len(update), bool)
    trained[table.columns.get("loss", ([], []))[0]] = True
    few = 0 < update.sum() < min(_FEW_UPDATES, trained.sum() / 2)
    if few:
        table.put(STEP, np.where(update, table.cells("update"), table.cells("micro")))
        table.notes.append(
            f"every micro-batch was read, and its iteration is the step: {update.sum()} of {trained.sum()} made an update"
        )
    for name in ("update", "micro"):
        table.columns.pop(name, None)
    table.carry(STEP, first=0)
    rows, values = map(np.asarray, table.columns.pop("latest", ([], [])))
    if len(rows) and "val_loss" not in table.columns:
        new = np.flatnonzero(np.diff(values, prepend=np.inf) != 0)
        kept = np.flatnonzero(update) if update.any() else rows
        at = kept[np.maximum(np.searchsorted(kept, rows[new], "right") - 1, 0)]
        last = np.append(np.diff(at) > 0, True)
        table.columns["val_loss"] = at[last], values[new][last]
        table.notes.append("each record repeats the latest evaluation: one was read where that changes")
    if update.any() and not few and (trained & ~update).any():
        _keep_updates(table, np.flatnonzero(update), np.flatnonzero(trained & ~update))


def _keep_updates(table: Table, updates: np.ndarray, parts: np.ndarray) -> None:
    """Leave out the micro-batches; where the loss of one is not finite, that of its update is not either."""
    rows, losses = map(np.array, table.columns["loss"])
    steps, broken = table.cells(STEP), np.intersect1d(parts, rows[~np.isfinite(losses)])
    of = np.searchsorted(updates, broken)
    unfinished = broken[of == len(updates)][:1]
    losses[np.isin(rows, updates[of[of < len(updates)]])] = np.nan
    steps[unfinished] = steps[updates[-1]] + 1
    table.columns["loss"] = rows, losses
    table.put(STEP, steps)
    left_out = np.setdiff1d(parts, unfinished)
    table.notes.append(f"{len(left_out)} records of micro-batches without an update left out")
    if len(broken):
        table.notes.append(f"{len(broken)} micro-batches have no finite loss, nor has their update then")
    table.keep(np.isin(np.arange(len(steps)), left_out, invert=True))


LITGPT = LineFormat(
    "litgpt",
    "litgpt, lit-gpt",
    (
        Shape("loss", lazy(
            rf"(?:Epoch (?P<epoch>\d+) \| )?\biter (?:(?P<update>\d+)(?=.*ms \((?:optimizer\.)?step\))|(?P<micro>\d+)) step (?P<step>\d+)(?: \||:) (?:loss train: |loss )"
            rf"(?P<loss>{NUM}),(?: val: (?:(?P<latest>{NUM})|\S+) \|)? iter time:\s+(?P<time>{NUM})\s?ms"
        ), sure=True, looks=lazy(r"\biter \d+ step \d+(?: \||:) loss|\biter \d+: val loss")),
        Shape("val loss", lazy(rf"\biter \d+: val loss (?P<val_loss>{NUM}), val time: (?P<val_time>{NUM})\s?ms")),
        Shape("val loss", lazy(rf"Final evaluation \| val loss: (?P<loss>{NUM})"), told=_at_the_end),
    ),
    settle=_settle_litgpt,
    names={"time": "step_time_s", "val_time": "val/eval_time_s"},
    units={"time": "ms", "val_time": "ms"},
)  # fmt: skip

# DeepSpeed without a program that prints more: step lines, timer lines, and those of its pipeline engine


def _settle_deepspeed(table: Table) -> None:
    """Take differences of the number of steps skipped so far."""
    rows, values = table.columns.pop("skipped_so_far", ([], []))
    if len(rows):
        again = np.flatnonzero(np.diff(table.cells(STEP)[rows]) < 0) + 1
        # Of two engines that count in one log, an actor and a critic, the one that skips more is followed.
        most = np.concatenate([np.maximum.accumulate(part) for part in np.split(np.asarray(values), again)])
        since = np.diff(most, prepend=0.0)
        table.columns["skipped"] = rows, np.where(since < 0, most, since)


DEEPSPEED = LineFormat(
    "deepspeed",
    "DeepSpeed",
    (
        Shape("steps:", lazy(
            rf"steps: (?P<step>\d+) loss: (?P<loss>{NUM}) iter time \(s\): (?P<iter_time>{NUM}) samples/sec: (?P<samples_per_sec>{NUM})"
        ), sure=True),
        Shape("skipped=", lazy(rf"step=(?P<step>\d+), skipped=(?P<skipped_so_far>\d+), lr=\[\s*(?P<lr>{NUM})?[^\]]*\]")),
        Shape("global_step=", lazy(r"/global_step=(?P<step>\d+), RunningAvgSamplesPerSec=\S+ (?P<rest>.*)$")),
    ),
    settle=_settle_deepspeed,
    names={"CurrSamplesPerSec": "samples_per_sec", "MemAllocated": None},
    units={"MaxMemAllocated": "GB"},
)  # fmt: skip

# fairseq and metaseq: losses in bits, as `k=v`, as `k v |` and as JSON with quoted numbers

_IN_BITS = ("loss", "nll_loss")
_OF_A_SUMMARY = (*_IN_BITS, "ppl", "accuracy")
_STATES = ("lr", "gnorm", "loss_scale", "wps", "clip", "wall")  # of training, at the end of an epoch
_OF_AN_EPOCH = "epoch's "
_BEFORE, _BEHIND = r"(?:\| |\]\[|\[)", r"(?:\]\[INFO\] - | \| |\] - )(?P<rest>\{[^{}]*\})\s*$"


def _placed(values: dict[str, float]) -> dict[str, float]:
    return {STEP if name == "num_updates" else name: value for name, value in values.items()}


def _interval(values: dict[str, float], match: re.Match[str], text: str) -> Record:
    if "n" in values:
        n, size = values.pop("n"), values.pop("of")
        values.setdefault("num_updates", (values["epoch"] - 1) * size + n if size < 1e8 else n)
    return _placed(values), NOTHING


def _summary(values: dict[str, float], match: re.Match[str], text: str) -> Record | None:
    """Return the summary of an epoch (`train`) or an evaluation, under the name of its set."""
    name = match["set"] or "train"
    prefix = re.split(r"[/_]", name)[0] + "_"
    plain = {key: key.removeprefix(prefix) for key in values}
    values = {key if plain[key] != key and plain[key] in values else plain[key]: v for key, v in values.items()}
    if values.keys().isdisjoint(_IN_BITS):
        return None
    split = {"valid": "val"}.get(name, name)
    kept = {f"{name} {key}": key for key in values if key in _OF_A_SUMMARY or not OF_A_TASK.isdisjoint(words_of(key))}
    names = {key: f"{split}/{'loss' if measure == 'nll_loss' else measure}" for key, measure in kept.items()}
    if f"{name} nll_loss" in kept:
        names[f"{name} loss"] = f"{split}/smoothed_loss"
    units = {key: "bits" for key, measure in kept.items() if measure in _IN_BITS}
    if name == "train":
        kept |= {_OF_AN_EPOCH + key: key for key in _STATES if key in values}
    kept |= {key: key for key in ("num_updates",) if key in values}
    return _placed({key: values[measure] for key, measure in kept.items()}), Said(names=names, units=units)


def _settle_fairseq(table: Table) -> None:
    """With label smoothing the likelihood is the loss; without interval lines the summaries of epochs are the curve."""
    table.carry(STEP)
    names = table.names
    if "nll_loss" in table.columns:
        names["loss"], names["nll_loss"] = "smoothed_loss", "loss"
    elif "loss" not in table.columns:
        for key in ("train nll_loss", "train loss"):
            if names.get(key) == "train/loss":
                names[key] = "loss"
    for name in [name for name in table.columns if name.startswith(_OF_AN_EPOCH)]:
        column, plain = table.columns.pop(name), name.removeprefix(_OF_AN_EPOCH)
        table.columns.setdefault(plain, column)


FAIRSEQ = LineFormat(
    "fairseq",
    "fairseq, metaseq",
    (
        Shape("{", lazy(rf"{_BEFORE}train_inner{_BEHIND}"), prefixed=True, told=_interval, looks=lazy(r"\{\"epoch\": ")),
        Shape("{", lazy(rf"{_BEFORE}(?P<set>train|valid[\w/.-]*|test[\w/.-]*){_BEHIND}"), prefixed=True, told=_summary),
        Shape("epoch ", lazy(r"epoch (?P<epoch>\d+):\s+(?P<n>\d+) / (?P<of>\d+) (?P<rest>\w+=.*)$"), prefixed=True, told=_interval),
        Shape("epoch ", lazy(
            r"\| epoch (\d+) \| (?:(?:valid|test)\S* on '(?P<set>[^']+)' subset \| )?(?P<rest>(?:[a-z]\w* [^|]+\|? ?)+)$"
        ), prefixed=True, told=_summary),
    ),
    (
        ("train_inner", lazy(r"train_inner\]?(?: \| |\[INFO\] - )")),
        ("epoch ", lazy(r"\bepoch \d+:\s+\d+ / \d+ loss=")),
        ("num_updates", lazy(r"\| epoch \d+ \| .*loss [\d.]+ \| .*num_updates")),
        ("valid_loss", lazy(r"\{.*\"valid_loss\": \"?[\d.]+")),
    ),
    _settle_fairseq,
    names={"wps": "tokens_per_sec", "clip": "clip_frac", "wall": "elapsed_s", "cuda_gb_allocated": "mem_bytes",
           "cuda_gb_reserved": "mem_reserved_bytes", "update": "epoch_fraction"},
    units={"loss": "bits", "nll_loss": "bits", "clip": "%", "cuda_gb_allocated": "GiB", "cuda_gb_reserved": "GiB"},
    reductions={"loss": "window_mean", "nll_loss": "window_mean", "train loss": "epoch_mean", "train nll_loss": "epoch_mean"},
)  # fmt: skip

# toolkits of machine translation: Sockeye's checkpoints, and the file of JoeyNMT's validations


def _since_checkpoint(values: dict[str, float], match: re.Match[str], text: str) -> Record:
    """Return what was measured since the last checkpoint, which is measured again at the next."""
    metrics = {name: (canonical(name) or (name,))[0] for name in values}
    names = {f"{name} of batches": m for name, m in metrics.items() if m not in (STEP, "loss", "ppl", "accuracy")}
    return {name if name == STEP else f"{name} of batches": v for name, v in values.items()}, Said(names=names)


def _settle_sockeye(table: Table) -> None:
    """Give each line about a checkpoint the updates that its first line tells; the lines between count batches."""
    counted, checkpoint = table.cells(STEP), table.cells("checkpoint")
    table.columns.pop("checkpoint", None)
    about = np.flatnonzero(~np.isnan(checkpoint))
    step = counted / max(table.config.get("grad_accum", 1.0), 1.0)
    told = np.maximum.accumulate(np.where(np.isnan(counted[about]), -1, np.arange(len(about))))
    same = (told >= 0) & (checkpoint[about[told]] == checkpoint[about])
    step[about] = np.where(same, counted[about[told]], np.nan)
    table.put(STEP, step)
    table.move_events(counted)
    name_columns(table, {})


def _validated(values: dict[str, float], match: re.Match[str], text: str) -> Record:
    """Return what was measured on the validation set; older releases print a sum as the loss, beside the perplexity of a token."""
    values = {n if n == STEP else "lr" if n == "LR" else f"val/{n.lower()}": value for n, value in values.items()}
    loss, ppl = values.get("val/loss"), values.get("val/ppl")
    if loss is not None and ppl is not None and ppl > 0 and abs(loss - math.log(ppl)) > 0.1 * abs(loss) + 0.01:
        values["val/summed loss"] = values.pop("val/loss")
    return values, NOTHING


SOCKEYE = LineFormat(
    "sockeye",
    "Sockeye",
    (
        Shape("Checkpoint [", lazy(r"Checkpoint \[(?P<checkpoint>\d+)\]\t(?:Updates=(?P<step>\d+) )?(?P<rest>\w.*)$"), sure=True),
        Shape(" B=", lazy(r"\bE=\d+ B=(?P<step>\d+)\t(?P<rest>s/sec=.*)$"), sure=True, told=_since_checkpoint),
    ),
    settle=_settle_sockeye,
)  # fmt: skip
JOEYNMT = LineFormat(
    "joeynmt",
    "JoeyNMT, validations.txt",
    (
        Shape("Steps: ", lazy(r"^Steps: (?P<step>\d+)\t(?P<rest>(?:[\w/-]+: [^\t]*\t)+LR: \S+)"),
              sure=True, looks=lazy(r"^Steps: \d+\t"), told=_validated),
    ),
)  # fmt: skip

# labml draws a line for each step, which repeats what was not measured anew


def _settle_labml(table: Table) -> None:
    """Keep of what belongs to an evaluation the values that differ from those drawn before."""
    for name in [name for name in table.columns if evaluation_set(spelling(name).name) not in ("", "train")]:
        rows, values = (np.asarray(part) for part in table.columns[name])
        fresh = np.r_[True, values[1:] != values[:-1]]
        table.columns[name] = rows[fresh], values[fresh]


LABML = LineFormat(
    "labml",
    "labml",
    (Shape(":  ", lazy(rf"^\s*(?P<step>\d[\d,]*): {{2,}}(?P<rest>[A-Za-z][\w.]*: +{NUM}(?:\s.*)?)$"), sure=True),),
    settle=_settle_labml,
)
