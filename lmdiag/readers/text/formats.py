"""The printed formats that are rows of data: which lines they have, what these look like, and what their names mean."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import partial

import numpy as np

from lmdiag.facts import put_fact
from lmdiag.naming import evaluation_set, spelling
from lmdiag.patterns import lazy
from lmdiag.readers.json.mlperf import MLLogScanner
from lmdiag.readers.numbers import NUM, SUFFIXES, number
from lmdiag.readers.tables.column_names import canonical, name_columns
from lmdiag.readers.tables.drawn import head_of
from lmdiag.readers.tables.drawn_rows import TableScanner
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.readers.text.blocks import COMPOSER, OLMO, PPO_STATISTICS
from lmdiag.readers.text.hf_console import HF_CONSOLE
from lmdiag.readers.text.line_format import NOTHING, LineFormat, Said, Shape, shaped
from lmdiag.readers.text.named_numbers import FEWEST_RECORDS, PairScanner
from lmdiag.readers.text.plans import Record
from lmdiag.readers.text.progress_bar import BARS, KERAS, LOSS, BarScanner, states_in


def _next_step(table: Table, first: int) -> None:
    """Give evaluations that are printed without a step the one printed next, or the last where none follows."""
    step = table.cells(STEP)
    known, missing = np.flatnonzero(~np.isnan(step)), np.flatnonzero(np.isnan(step))
    if len(known) and len(missing):
        following = np.append(step[known], step[known[-1]] + 1)
        step[missing] = following[np.searchsorted(known, missing)] - first
        table.put(STEP, step)


# nanoGPT, build-nanogpt, nanochat and llm.c: small trainers whose prints were copied all over the world

_NAMED = lazy(rf"(?P<name>[A-Za-z_][\w /]*?)\s*[: ]\s*(?P<number>{NUM})(?:ms|%|s\b)?(?=[,\s)]|$)")
NANOGPT = LineFormat(
    "nanogpt",
    "nanoGPT",
    shaped(
        Shape(
            "val loss",
            lazy(rf"^step (?P<step>\d+): train loss (?P<train_loss_estimate>{NUM}), val loss (?P<val_loss>{NUM})(?P<rest>.*)$"),
            _NAMED,
            looks=lazy(r"^step \d+: train loss"),
        ),
        Shape(
            "iter ",
            lazy(rf"^iter (?P<step>\d+)(?:/(?P<total>\d+))?: loss (?P<loss>{NUM}),? (?P<rest>(?:\w+ {NUM},? )*time {NUM}ms.*)$"),
            _NAMED,
            looks=lazy(r"^iter \d+: loss"),
        ),
    ),
    (
        ("iter ", lazy(rf"\biter \d+(?:/\d+)?: loss {NUM},? (?:\w+ {NUM},? )*time {NUM}ms")),
        ("val loss", lazy(rf"\bstep \d+: train loss {NUM}, val loss {NUM}")),
    ),
    names={"time": "step_time_s"},
    units={"time": "ms", "mfu": "%"},
    not_measured={"mfu": -100.0},
)  # fmt: skip

_STEPLESS = (
    Shape("val", lazy(rf"^val(?:idation)? loss:?\s+(?P<val_loss>{NUM})\s*$")),
    Shape("HellaSwag", lazy(rf"^HellaSwag(?: accuracy)?:?\s+(?:\d+/\d+\s*=\s*)?(?P<hellaswag>{NUM})\s*$")),
)
_BUILD_CONSOLE = lazy(
    rf"^step\s+(?P<step>\d+) \| loss: (?P<loss>{NUM}) \| lr (?P<lr>{NUM}) \| norm: (?P<norm>{NUM}) \| dt: (?P<dt>{NUM})ms \| tok/sec: (?P<tok_per_sec>{NUM})"
)
BUILD_NANOGPT = LineFormat(
    "build-nanogpt",
    "build-nanogpt",
    shaped(
        Shape("| loss", _BUILD_CONSOLE),
        Shape(
            " ",
            lazy(rf"^(?P<step>\d+) (?P<rest>(?:train|val|hella)\w* {NUM}(?: [A-Za-z]\w* {NUM})*)$"),
            lazy(rf"(?P<name>\w+) (?P<number>{NUM})"),
            looks=lazy(r"^\d+ (?:train|val|hella)"),
        ),
        *_STEPLESS,
        settle=lambda table: _next_step(table, 0),
    ),
    ((" | norm: ", _BUILD_CONSOLE), (" ", lazy(rf"^\d+ (?:train|val|hella) {NUM}\s*$"))),
    names={"train": "loss", "val": "val/loss", "hella": "hellaswag/accuracy", "hellaswag": "hellaswag/accuracy"},
    units={"dt": "ms"},
)  # fmt: skip
NANOCHAT = LineFormat(
    "nanochat",
    "nanochat",
    shaped(
        Shape(
            "tep ",
            lazy(rf"^[Ss]tep (?P<step>\d+)(?:/(?P<total>\d+))?(?: \({NUM}%\))?\s*\| (?P<rest>.*\w:.*)$"),
            lazy(rf"(?P<name>[A-Za-z_][\w/. ]*?)[:=]\s*(?P<number>{NUM})(?P<si>[KMB]?)(?:ms|%|m|s|h)?(?=[\s|]|$)"),
            looks=lazy(r"^step \d+(?:/\d+)? \([\d.]+%\)"),
        )
    ),
    (
        ("lrm:", lazy(r"\bstep \d+(?:/\d+)? .*\| lrm: ")),
        ("Step ", lazy(r"\bStep \d+(?:/\d+)? \| (?:Validation (?:bpb|loss)|CORE metric|ChatCORE|Average reward|Training loss): ")),
    ),
    names={"lrm": "lr_multiplier", "total time": "elapsed_s", "eta": None, "CORE metric": "core/accuracy"},
    units={"dt": "ms", "mfu": "%", "bf16_mfu": "%", "total time": "min"},
    reductions={"loss": "ema"},
)  # fmt: skip
LLMC_LOG = LineFormat(
    "llm.c-log",
    "llm.c, main.log",
    shaped(
        Shape(
            "s:",
            lazy(rf"^s:(?P<step>\d+) (?:trl:(?P<trl>{NUM})|tel:(?P<tel>{NUM})|eval:(?P<hellaswag>{NUM}))(?: lr:(?P<lr>{NUM}))?(?: norm:(?P<norm>{NUM}))?\s*$"),
            looks=lazy(r"^s:\d+ "),
        )
    ),
    (("s:", lazy(rf"^s:\d+ (?:trl|tel|eval):{NUM}")),),
    names={"tel": "val/loss", "hellaswag": "hellaswag/accuracy"},
)  # fmt: skip
_LLMC_CONSOLE = lazy(
    rf"^step\s+(?P<step>\d+)/(?P<total>\d+) \| loss\s+(?P<loss>{NUM}) \([^)]*z\)\| norm\s+(?P<norm>{NUM}) \([^)]*z\)\| lr (?P<lr>{NUM}) \| (?P<time_ms>{NUM}) ms \| (?P<mfu>{NUM})% bf16 MFU \| (?P<tok_per_sec>{NUM}) tok/s"
)
_LLMC_OLD = lazy(
    rf"^step\s+(?P<step>\d+)(?:/(?P<total>\d+))?(?::| \|) train loss (?P<loss>{NUM})(?: \| norm (?P<norm>{NUM}) \| lr (?P<lr>{NUM}) \|)? \((?:took )?(?P<time_ms>{NUM}) ms(?:(?:,| \|) (?P<tok_per_sec>{NUM}) tok/s)?\)"
)
LLMC_CONSOLE = LineFormat(
    "llm.c-console",
    "llm.c, console",
    shaped(Shape("step", _LLMC_CONSOLE), Shape("step", _LLMC_OLD), *_STEPLESS, settle=lambda table: _next_step(table, 1)),
    (("tok/s", _LLMC_CONSOLE), ("train loss", _LLMC_OLD)),
    names={"hellaswag": "hellaswag/accuracy"},
    units={"mfu": "%"},
)  # fmt: skip

# Megatron-LM and its forks, GPT-NeoX, NeMo 2 and nanotron: items between bars

_ITERATION = lazy(r"(?:^|\| |\] |\s)iteration:?\s+(?P<step>\d+)\s*/\s*(?P<total>\d+)\s*(?=\||$)")
_ITEM = lazy(
    rf"^\s*(.+?)(?::\s*|(?<=[\w)])\s+)({NUM})\s*(%|[KMBGTPE]?(?:FLOPS|FLOP/s|B|iB)?|ms|s)\s*$"
)  # forks without colons: `lm loss 2.31E+00`
_EVALUATION = lazy(
    r"^\W*(?P<set>[\w./-]*?)[- ]?(?:loss|results) at (?P<place>.+?) \| (?P<items>.*)$|^\W*iteration (?P<n>\d+) (?:on (?P<what>\w+) set )?\| (?P<more>.*)$"
)
_PLACE = lazy(r"iteration (\d+)")
_CLOCK = lazy(r":\s*\d+:\d\d")
_NO_NUMBER = lazy(r"\beta\b|\d:\d\d|None|N/A")
_VALUE = lazy(rf"^\s*(.+?)(?: value)?(?::\s*|(?<=[\w)])\s+)({NUM})\s*$")
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


def _piped_evaluation(_: dict[str, float], match: re.Match[str], text: str) -> Record | None:
    found = [_VALUE.match(item) for item in (match["items"] or match["more"] or "").split("|")]
    measured = {item[1].strip(): number(item[2]) for item in found if item}
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


_MEGATRON = shaped(
    Shape("iteration", _ITERATION, told=_piped),
    Shape(" |", _EVALUATION, told=_piped_evaluation),
    settle=_settle_megatron,
)
_NAMES: dict[str, str | None] = {
    "throughput per GPU (TFLOP/s/GPU)": "tflops_per_device",
    "approx flops per GPU": "tflops_per_device",
    "samples/sec": "samples_per_sec",
    "eta": None,
}
NEMO = LineFormat(
    "nemo",
    "NeMo 2",
    PairScanner,
    (("Training epoch", lazy(r"Training epoch \d+, iteration \d+/\d+ \|")),),
    names={"train_step_timing in s": "step_time_s"},
)
MEGATRON = LineFormat(
    "megatron",
    "Megatron-LM, its forks, GPT-NeoX",
    _MEGATRON,
    (("iteration", lazy(r"\biteration\s+\d+/\s*\d+ \|.*(?::|\bloss\s).*\|")),),
    names=_NAMES,
    units={"MFU": "%", "HFU": "%"},
    reductions={"lm loss": "window_mean", "lm_loss": "window_mean", "lm-loss": "window_mean"},
)
NANOTRON = replace(
    MEGATRON,
    name="nanotron",
    title="nanotron",
    marks=(("consumed_tokens", lazy(r"iteration: \d+ / \d+ \| .*consumed_tokens")),),
    reductions={},
)

# torchtitan, torchtune, MaxText, verl

TORCHTITAN = LineFormat(
    "torchtitan",
    "torchtitan",
    shaped(
        Shape(
            "step:",
            lazy(r"(?P<under>validate )?step:\s+(?P<step>\d+)\s+(?P<rest>loss:\s+.*)$"),
            lazy(rf"(?P<name>[A-Za-z_][\w./-]*):\s+(?P<number>{NUM})(?:GiB|%|(?=\s|$))"),
            looks=lazy(r"step:\s+\d+\s+loss:"),
        )
    ),
    (("step:", lazy(rf"step:\s+\d+\s+loss:\s+{NUM}\s+.*memory:\s+{NUM}GiB")),),
    names={"validate loss": "val/loss", "validate memory": "val/mem_bytes", "validate tps": "val/tokens_per_sec_per_device"},
    units={"memory": "GiB", "validate memory": "GiB", "mfu": "%"},
    not_measured={"loss": -1.0},  # what pipeline stages print that never see the loss
)  # fmt: skip
TORCHTUNE = LineFormat(
    "torchtune",
    "torchtune",
    PairScanner,
    (("Step ", lazy(rf"^(?:.*\s)?Step \d+ \| (?:\S+:{NUM} )*(?:val_)?loss:{NUM}(?: |$)")),),
    units=dict.fromkeys(("peak_memory_active", "peak_memory_alloc", "peak_memory_reserved"), "GiB"),
    reductions={"loss": "step_mean"},
)
_COMMAS = lazy(rf"(?P<name>[A-Za-z_][\w./ ]*?)[:=]\s*(?P<number>{NUM})(?=,|\s*$)")
MAXTEXT = LineFormat(
    "maxtext",
    "MaxText",
    shaped(
        Shape(
            "completed step:",
            lazy(r"completed step: (?P<step>\d+), (?P<rest>.*loss: .*)$"),
            _COMMAS,
            looks=lazy("completed step:"),
        ),
        Shape(
            "after",
            lazy(r"(?P<under>eval )(?:after train step|metrics after step:) (?P<step>\d+), (?P<rest>.*loss=.*)$"),
            _COMMAS,
        ),
    ),
    (("completed step:", lazy(rf"completed step: \d+, seconds: {NUM}")),),
    names={"lm_loss": "lm_loss", "total_weights": "target_tokens", "eval total_weights": "val/n_tokens"},
)
VERL = LineFormat("verl", "verl", PairScanner, (("step:", lazy(r"(?:^|\s)step:\d+ - [\w/]+:")),))
OPENRLHF = LineFormat(
    "openrlhf",
    "OpenRLHF",
    shaped(
        Shape(
            "lobal",
            lazy(r"[Gg]lobal[ _]step (?P<step>\d+)(?:, eval_metrics)?: \{(?P<rest>.*)\}"),
            lazy(rf"'(?P<name>[\w/.-]+)': (?:np\.float\d+\(|tensor\()?(?P<number>{NUM})\)?(?=[,}}]|$)"),
            looks=lazy(r"Global step \d+: \{"),
        ),
    ),
    (("lobal step ", lazy(r"Global step \d+: \{'")),),
)
DEEPSPEED_CHAT = LineFormat(
    "deepspeed-chat",
    "DeepSpeed-Chat, step 3",
    shaped(
        Shape(
            "ppo_ep",
            lazy(r"epoch: ?(?P<epoch>\d+) ?\| ?step: ?(?P<step>\d+) ?\| ?ppo_ep: ?\d+ ?\|(?P<rest>.*)$"),
            lazy(rf"(?P<name>[a-z_]+): ?(?P<number>{NUM})"),
        ),
        Shape("verage reward score:", lazy(rf"[Aa]verage reward score: ?(?P<reward>{NUM})")),
        settle=lambda table: table.carry(STEP, first=0),
    ),
    (("ppo_ep", lazy(r"\| ?ppo_ep: ?\d+ ?\| ?act_loss:")),),
)

# litgpt, lit-gpt: several micro-batches per optimizer step, of which the one that made the update is kept


def _settle_litgpt(table: Table) -> None:
    """Give evaluations the step before them, and keep one record of each optimizer step where the log marks it."""
    table.carry(STEP, first=0)
    update = ~np.isnan(table.cells("update"))
    table.columns.pop("update", None)
    trained = np.zeros(len(update), bool)
    trained[table.columns.get("loss", ([], []))[0]] = True
    if update.any() and (trained & ~update).any():
        table.notes.append(f"{int((trained & ~update).sum())} records of micro-batches without an update left out")
        table.keep(update | ~trained)


_UPDATE = r"\((?:optimizer\.)?step\)"
_LIT = lazy(
    rf"(?:Epoch (?P<epoch>\d+) \| )?\biter (?:(?P<update>\d+)(?=.*ms {_UPDATE})|\d+) step (?P<step>\d+)(?: \||:) (?:loss train: |loss )"
    rf"(?P<loss>{NUM}),(?: val: \S+ \|)? iter time:\s+(?P<time>{NUM})\s?ms"
)  # its `val:` repeats an older evaluation and is none
LITGPT = LineFormat(
    "litgpt",
    "litgpt, lit-gpt",
    shaped(
        Shape("loss", _LIT),
        Shape("val loss", lazy(rf"\biter \d+: val loss (?P<val_loss>{NUM}), val time: (?P<val_time>{NUM})\s?ms")),
        Shape("val loss", lazy(rf"Final evaluation \| val loss: (?P<loss>{NUM})"), told=_at_the_end),
        Shape("loss", lazy(r"(?!)"), looks=lazy(r"\biter \d+ step \d+(?: \||:) loss|\biter \d+: val loss")),
        settle=_settle_litgpt,
    ),
    (("iter ", _LIT),),
    names={"time": "step_time_s", "val_time": "val/eval_time_s"},
    units={"time": "ms", "val_time": "ms"},
)

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


_PIPELINE = lazy(
    rf"steps: (?P<step>\d+) loss: (?P<loss>{NUM}) iter time \(s\): (?P<iter_time>{NUM}) samples/sec: (?P<samples_per_sec>{NUM})"
)
DEEPSPEED = LineFormat(
    "deepspeed",
    "DeepSpeed",
    shaped(
        Shape("steps:", _PIPELINE),
        Shape("skipped=", lazy(rf"step=(?P<step>\d+), skipped=(?P<skipped_so_far>\d+), lr=\[\s*(?P<lr>{NUM})?[^\]]*\]")),
        Shape(
            "global_step=",
            lazy(r"/global_step=(?P<step>\d+), (?P<rest>RunningAvgSamplesPerSec.*)$"),
            lazy(rf"(?P<name>CurrSamplesPerSec|MemAllocated|MaxMemAllocated)=(?P<number>{NUM})"),
        ),
        settle=_settle_deepspeed,
    ),
    (("steps:", _PIPELINE),),
    names={"CurrSamplesPerSec": "samples_per_sec", "MemAllocated": None},
    units={"MaxMemAllocated": "GB"},
)  # fmt: skip

# fairseq and metaseq: losses in bits, as `k=v`, as `k v |` and as JSON with quoted numbers

_INNER = lazy(r"epoch (?P<epoch>\d+):\s+(?P<n>\d+) / (?P<of>\d+) (?P<rest>\w+=.*)$")
_SUMMARY = lazy(
    r"\| epoch (\d+) \| (?:(?P<split>valid|test)\S* on '(?P<subset>[^']+)' subset \| )?(?P<rest>(?:[a-z]\w* [^|]+\|? ?)+)$"
)
_FAIRSEQ_JSON = lazy(
    r"(?:\| |\]\[|\[)(?P<tag>train_inner|train|valid[\w/.-]*|test[\w/.-]*)(?:\]\[INFO\] - | \| |\] - )(?P<json>\{.*\})\s*$"
)
_ASSIGNED = lazy(rf"(?P<name>[A-Za-z_][\w./-]*)=\s*(?P<number>{NUM})")
_BARRED = lazy(rf"(?:^|\|)\s*(?P<name>\w+)\s+(?P<number>{NUM})%?\s*(?=\||$)")
_IN_BITS = ("loss", "nll_loss")
_OF_A_SUMMARY = (*_IN_BITS, "ppl", "accuracy")
_STATES = ("lr", "gnorm", "loss_scale", "wps", "clip", "wall")  # of training, at the end of an epoch
_OF_AN_EPOCH = "epoch's "


def _interval(values: dict[str, float], match: re.Match[str], text: str) -> Record:
    n, size = values.pop("n"), values.pop("of")
    return {STEP: values.pop("num_updates", (values["epoch"] - 1) * size + n if size < 1e8 else n), **values}, NOTHING


def _summary(values: dict[str, float], match: re.Match[str], text: str) -> Record | None:
    return _under(match["subset"] or match["split"] or "train", values)


def _fairseq_json(values: dict[str, float], match: re.Match[str], text: str) -> Record | None:
    try:
        record = json.loads(match["json"])
    except ValueError:
        return {}, Said(lost=f"torn record: {match['json'][:80]}")
    for name, word in record.items():
        try:
            values[name] = float(word)
        except (TypeError, ValueError):
            continue
    if match["tag"] == "train_inner":
        step = values.pop("num_updates", None)
        return {**({} if step is None else {STEP: step}), **values}, Said()
    return _under(match["tag"], values)


def _under(name: str, values: dict[str, float]) -> Record | None:
    """Return the summary of an epoch (`train`) or an evaluation, under the name of its set."""
    prefix = re.split(r"[/_]", name)[0] + "_"
    plain = {key: key.removeprefix(prefix) for key in values}
    values = {key if plain[key] != key and plain[key] in values else plain[key]: v for key, v in values.items()}
    if values.keys().isdisjoint(_IN_BITS):
        return None
    step = values.pop("num_updates", None)
    split = {"valid": "val", "train": "train"}.get(name, name)
    kept = {f"{name} {key}": value for key, value in values.items() if key in _OF_A_SUMMARY}
    names, units = {}, {}
    for key in kept:
        measure = key.rpartition(" ")[2]
        names[key] = f"{split}/{'loss' if measure == 'nll_loss' else measure}"
        if measure in _IN_BITS:
            units[key] = "bits"
    if f"{name} nll_loss" in kept:
        names[f"{name} loss"] = f"{split}/smoothed_loss"
    if name == "train":
        kept |= {_OF_AN_EPOCH + key: values[key] for key in _STATES if key in values}
    return {**({} if step is None else {STEP: step}), **kept}, Said(names=names, units=units)


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
    shaped(
        Shape("{", _FAIRSEQ_JSON, prefixed=True, told=_fairseq_json),
        Shape("epoch ", _INNER, _ASSIGNED, prefixed=True, told=_interval),
        Shape("epoch ", _SUMMARY, _BARRED, prefixed=True, told=_summary),
        settle=_settle_fairseq,
    ),
    (
        ("train_inner", lazy(r"train_inner\]?(?: \| |\[INFO\] - )")),
        ("epoch ", lazy(r"\bepoch \d+:\s+\d+ / \d+ loss=")),
        ("num_updates", lazy(r"\| epoch \d+ \| .*loss [\d.]+ \| .*num_updates")),
        ("valid_loss", lazy(r"\{.*\"valid_loss\": \"?[\d.]+")),
    ),
    names={"wps": "tokens_per_sec", "clip": "clip_frac", "wall": "elapsed_s", "cuda_gb_allocated": "mem_bytes",
           "cuda_gb_reserved": "mem_reserved_bytes", "update": "epoch_fraction"},
    units={"loss": "bits", "nll_loss": "bits", "clip": "%", "cuda_gb_allocated": "GiB", "cuda_gb_reserved": "GiB"},
    reductions={"loss": "window_mean", "nll_loss": "window_mean", "train loss": "epoch_mean", "train nll_loss": "epoch_mean"},
)  # fmt: skip

# toolkits of machine translation: Sockeye's checkpoints, and the file of JoeyNMT's validations

_CHECKPOINT = lazy(r"Checkpoint \[(?P<checkpoint>\d+)\]\t(?:Updates=(?P<step>\d+) )?(?P<rest>\w.*)$")
_BATCH = lazy(r"\bE=\d+ B=(?P<step>\d+)\t(?P<rest>s/sec=.*)$")
_SPACED = lazy(rf"(?P<name>[\w/-]+): (?P<number>{NUM})")
_VALIDATION = lazy(r"^Steps: (?P<step>\d+)\t(?P<rest>(?:[\w/-]+: [^\t]*\t)+LR: \S+)")


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
    shaped(
        Shape("Checkpoint [", _CHECKPOINT, _ASSIGNED),
        Shape(" B=", _BATCH, _ASSIGNED, told=_since_checkpoint),
        settle=_settle_sockeye,
    ),
    (("Checkpoint [", _CHECKPOINT), (" B=", _BATCH)),
)
JOEYNMT = LineFormat(
    "joeynmt",
    "JoeyNMT, validations.txt",
    shaped(Shape("Steps: ", _VALIDATION, _SPACED, told=_validated, looks=lazy(r"^Steps: \d+\t"))),
    (("Steps: ", _VALIDATION),),
)

# labml draws a line for each step, which repeats what was not measured anew


def _settle_labml(table: Table) -> None:
    """Keep of what belongs to an evaluation the values that differ from those drawn before."""
    for name in [name for name in table.columns if evaluation_set(spelling(name).name) not in ("", "train")]:
        rows, values = (np.asarray(part) for part in table.columns[name])
        fresh = np.r_[True, values[1:] != values[:-1]]
        table.columns[name] = rows[fresh], values[fresh]


_DRAWN = lazy(rf"^\s*(?P<step>\d[\d,]*): {{2,}}(?P<rest>[A-Za-z][\w.]*: +{NUM}(?:\s.*)?)$")
LABML = LineFormat(
    "labml",
    "labml",
    shaped(Shape(":  ", _DRAWN, lazy(rf"(?P<name>[A-Za-z][\w.]*): +(?P<number>{NUM})(?=\s|$)")), settle=_settle_labml),
    ((":  ", _DRAWN),),
)

# JSON behind a mark

MLLOG = LineFormat(
    "mlperf",
    "MLPerf logging",
    MLLogScanner,
    ((":::MLLOG", lazy(r":::MLLOG\s+\{")),),
    names={"eval_error": "val/loss", "throughput": "samples_per_sec"},
)  # fmt: skip

# read as named numbers: modded-nanogpt and its descendants, and prints of tutorials that thousands of programs copied

SPEEDRUN = LineFormat(
    "modded-nanogpt",
    "modded-nanogpt, parameter-golf",
    partial(PairScanner, placed_only=True),
    (
        ("step:", lazy(r"(?<!\w)step:\d+(?:/\d+)?,? .*(?:train_time|step_avg|train_loss|val_loss|val_bpb|avg):")),
        ("_loss: ", lazy(rf"^(?:\S+ )*\d+/\d+ (?:train|val)_loss: {NUM}")),
    ),
    names={"train_time": "elapsed_s", "eval_time": "val/eval_time_s"},
    not_facts=("warmup_steps",),  # steps that warm the compiler up
)
_ANY_LOSS = rf"[Ll]oss\W{{0,4}}{NUM}"
WORD_LANGUAGE_MODEL = LineFormat(
    "word-language-model",
    "word_language_model, awd-lstm-lm",
    PairScanner,
    (("batches |", lazy(r"^\|? ?epoch\s+\d+ \|\s+\d+/\s*\d+ batches \|")),),
    reductions={"loss": "window_mean"},
)
MINIMIND = LineFormat(
    "minimind",
    "minimind",
    PairScanner,
    (("poch:[", lazy(r"Epoch:\s?\[\d+/\d+\]\(\d+/\d+\),? ?loss:")),),
    names={"epoch_Time": None, "epoch_time": None},
)
MMENGINE = LineFormat(
    "mmengine",
    "MMEngine, mmcv",
    PairScanner,
    (
        (
            "[",
            lazy(
                r"\bEpoch\((?:train|val|test)\) +\[\d+\]\[ *\d+/\d+\]|\bIter\((?:train|val)\) +\[ *\d+/\d+\]|\bmmcv - INFO - (?:Epoch|Iter) \["
            ),
        ),
    ),
    names={"time": "step_time_s"},
    units={"memory": "MB"},
)
METRIC_LOGGER = LineFormat(
    "metric-logger",
    "MetricLogger of DeiT and DETR: LLaMA-Adapter, MAE, …",
    PairScanner,
    (("max mem: ", lazy(r"\[ *\d+/\d+\] +eta: .*\btime: .*\bdata: .*\bmax mem: \d")),),
    names={"data": "data_time_s", "time": "step_time_s"},
    units={"max mem": "MB"},
)
_AT_SHARE = lazy(rf"^\[?(?:\d+h )?\d+m \d+s[^(]*\((?P<step>\d+) \d+%\)\s+(?P<loss>{NUM})\b")
_SHARE_FIRST = lazy(rf"^(?P<step>\d+) \d+% \(\d+m \d+s\) (?P<loss>{NUM}) ")
CHAR_RNN = LineFormat(
    "char-rnn-tutorial",
    "PyTorch's character-RNN tutorials",
    shaped(Shape("%", _AT_SHARE), Shape("%", _SHARE_FIRST)),
    (("m ", _AT_SHARE), ("m ", _SHARE_FIRST)),
)
_ALONE = rf"(?:tensor\()?(?P<loss>{NUM})(?:(?:, \w+=[^,()]+)*\))?"
BARE = LineFormat(
    "one-number-a-line",
    "One loss a line, without a word",
    shaped(Shape("", lazy(rf"^\s*{_ALONE}\s*$"))),
    (),
)
PAIRS = LineFormat(
    "two-numbers-a-line",
    "A step and its loss a line, without a word",
    shaped(Shape("", lazy(rf"^\s*(?P<step>\d+)[\s,:;]+{_ALONE}\s*$"), prefixed=True)),
    (),
)
EPOCHS = LineFormat(
    "epoch-print",
    "Tutorials: epochs, and steps within them",
    PairScanner,
    (
        ("poch", lazy(rf"\b[Ee]poch\W*\d+\s*/\s*\d+\W*(?:[Ss]tep|[Bb]atch|[Ii]ter(?:ation)?)\W*\d+\s*/\s*\d+\W.*{_ANY_LOSS}")),
        ("Train Epoch", lazy(rf"Train Epoch: \d+ \[\d+/\d+ \(\d+%\)\]\s*{_ANY_LOSS}")),
        ("poch", lazy(r"\bEpoch: \[\d+\]\[\s*\d+/\d+\]\t")),
        ("poch", lazy(rf"^(?>(?:.*(?:step|iter|batch)\W*\d)?)(?>.*?\b[Ee]poch\W*\d+(?:\s*/\s*\d+)?\W).*{_ANY_LOSS}")),
    ),
)  # fmt: skip

# bars


PROGRESS_BAR = LineFormat(
    "progress-bar",
    "tqdm, Lightning, NeMo 1 and other progress bars",
    BarScanner,
    BARS,
    tells=lambda piece: any(LOSS.search(name) for values, _ in states_in(piece) for name in values),
    names={"v_num": None, "train_step_timing in s": "step_time_s"},
)
KERAS_CONSOLE = LineFormat(
    "keras-console",
    "Keras, printed progress",
    partial(BarScanner, kinds=KERAS, whole_epochs=True),
    (("/", lazy(r"^\s*\d+/(?:\d+|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-) .*- \w+: ")),),
    reductions={"loss": "epoch_mean"},
)

# tables


ALIGNED_TABLE = LineFormat(
    "aligned-table",
    "Tables, and boxes of names and numbers",
    TableScanner,
    (),
    tells=lambda piece: (head := head_of(piece)) is not None and head.sure,
)

# any text with named numbers

GENERIC = LineFormat(
    "key-value text", "Text with named numbers", PairScanner, (), fewest=FEWEST_RECORDS, explained=True
)
FORMATS: dict[str, LineFormat] = {
    line_format.name: line_format
    for line_format in (
        *(HF_CONSOLE, MLLOG, NEMO, NANOTRON, MEGATRON, TORCHTITAN, TORCHTUNE, LITGPT, MAXTEXT, VERL, OPENRLHF),
        *(DEEPSPEED_CHAT, NANOGPT, BUILD_NANOGPT, NANOCHAT, LLMC_LOG, LLMC_CONSOLE, SPEEDRUN, FAIRSEQ, SOCKEYE),
        *(
            JOEYNMT,
            LABML,
            OLMO,
            COMPOSER,
            PPO_STATISTICS,
            DEEPSPEED,
            KERAS_CONSOLE,
            WORD_LANGUAGE_MODEL,
            MINIMIND,
            MMENGINE,
        ),
        *(METRIC_LOGGER, CHAR_RNN, PROGRESS_BAR, ALIGNED_TABLE, EPOCHS, GENERIC),
    )
}
"""All formats by name, in the order in which they are preferred where several fit equally well."""
