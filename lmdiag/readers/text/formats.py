"""The printed formats that are rows of data: which lines they have, what these look like, and what their names mean."""

from __future__ import annotations

from functools import partial

import numpy as np

from lmdiag.patterns import lazy
from lmdiag.readers.json.mlperf import MLLogScanner
from lmdiag.readers.numbers import NUM
from lmdiag.readers.tables.drawn import head_of
from lmdiag.readers.tables.drawn_rows import TableScanner
from lmdiag.readers.tables.table import STEP, Table
from lmdiag.readers.text.blocks import COMPOSER, COQUI, OLMO, PPO_STATISTICS
from lmdiag.readers.text.families import DEEPSPEED, FAIRSEQ, JOEYNMT, LABML, LITGPT, MEGATRON, NANOTRON, SOCKEYE
from lmdiag.readers.text.hf_console import HF_CONSOLE
from lmdiag.readers.text.line_format import LineFormat, Shape
from lmdiag.readers.text.named_numbers import FEWEST_RECORDS, PairScanner
from lmdiag.readers.text.progress_bar import BARS, KERAS, LOSS, BarScanner, states_in


def _next_step(first: int, table: Table) -> None:
    """Give evaluations that are printed without a step the one printed next, or the last where none follows."""
    step = table.cells(STEP)
    known, missing = np.flatnonzero(~np.isnan(step)), np.flatnonzero(np.isnan(step))
    if len(known) and len(missing):
        following = np.append(step[known], step[known[-1]] + 1)
        step[missing] = following[np.searchsorted(known, missing)] - first
        table.put(STEP, step)


_STEPLESS = (
    Shape("val", lazy(rf"^val(?:idation)? loss:?\s+(?P<val_loss>{NUM})\s*$")),
    Shape("HellaSwag", lazy(rf"^HellaSwag(?: accuracy)?:?\s+(?:\d+/\d+\s*=\s*)?(?P<hellaswag>{NUM})\s*$")),
)
_MEASURED = r"(?:-?\d+\.\d+(?:e-?\d+)?|nan|-?inf)"  # and no count
_ANY_LOSS = rf"[Ll]oss\W{{0,4}}{NUM}"
_ALONE = rf"(?:tensor\()?(?P<loss>{NUM})(?:(?:, \w+=[^,()]+)*\))?"
BARE = LineFormat("one-number-a-line", "One loss a line, without a word", (Shape("", lazy(rf"^\s*{_ALONE}\s*$")),))
PAIRS = LineFormat(
    "two-numbers-a-line",
    "A step and its loss a line, without a word",
    (Shape("", lazy(rf"^[\s|]*(?P<step>\d+)(?:\s*/\s*(?P<total>\d+))?[\s,:;|]+{_ALONE}[\s|]*$"), prefixed=True),),
)
ALIGNED_TABLE = LineFormat(
    "aligned-table",
    "Tables, and boxes of names and numbers",
    reads=TableScanner,
    tells=lambda piece: (head := head_of(piece)) is not None and head.sure,
)
GENERIC = LineFormat("key-value text", "Text with named numbers", fewest=FEWEST_RECORDS, explained=True)
_ROWS = (
    HF_CONSOLE,
    LineFormat(
        "mlperf",
        "MLPerf logging",
        marks=((":::MLLOG", lazy(r":::MLLOG\s+\{")),),
        reads=MLLogScanner,
        names={"eval_error": "val/loss", "throughput": "samples_per_sec"},
    ),
    LineFormat(
        "nemo",
        "NeMo 2",
        marks=(("Training epoch", lazy(r"Training epoch \d+, iteration \d+/\d+ \|")),),
        names={"train_step_timing in s": "step_time_s"},
    ),
    NANOTRON,
    MEGATRON,
    LineFormat(
        "torchtitan",
        "torchtitan",
        (
            Shape("step:", lazy(r"(?P<under>validate )?step:\s+(?P<step>\d+)\s+(?P<rest>loss:\s+.*)$"),
                  looks=lazy(r"step:\s+\d+\s+loss:")),
        ),
        (("step:", lazy(rf"step:\s+\d+\s+loss:\s+{NUM}\s+.*memory:\s+{NUM}GiB")),),
        names={"validate loss": "val/loss", "validate memory": "val/mem_bytes", "validate tps": "val/tokens_per_sec_per_device"},
        units={"memory": "GiB", "validate memory": "GiB", "mfu": "%"},
        not_measured={"loss": -1.0},  # what pipeline stages print that never see the loss
    ),
    LineFormat(
        "torchtune",
        "torchtune",
        marks=(("Step ", lazy(rf"^(?:.*\s)?Step \d+ \| (?:\S+:{NUM} )*(?:val_)?loss:{NUM}(?: |$)")),),
        units=dict.fromkeys(("peak_memory_active", "peak_memory_alloc", "peak_memory_reserved"), "GiB"),
        reductions={"loss": "step_mean"},
    ),
    LITGPT,
    LineFormat(
        "maxtext",
        "MaxText",
        (
            Shape("completed step:", lazy(r"completed step: (?P<step>\d+), (?P<rest>.*loss: .*)$"), looks=lazy("completed step:")),
            Shape("after", lazy(r"(?P<under>eval )(?:after train step|metrics after step:) (?P<step>\d+), (?P<rest>.*loss=.*)$")),
        ),
        (("completed step:", lazy(rf"completed step: \d+, seconds: {NUM}")),),
        names={"lm_loss": "lm_loss", "total_weights": "target_tokens", "eval total_weights": "val/n_tokens"},
    ),
    LineFormat("verl", "verl", marks=(("step:", lazy(r"(?:^|\s)step:\d+ - [\w/]+:")),)),
    LineFormat(
        "openrlhf",
        "OpenRLHF",
        (
            Shape("lobal", lazy(r"[Gg]lobal[ _]step (?P<step>\d+)(?:, eval_metrics)?: \{(?P<rest>.*)\}"), looks=lazy(r"Global step \d+: \{")),
        ),
        (("lobal step ", lazy(r"Global step \d+: \{'")),),
    ),
    LineFormat(
        "deepspeed-chat",
        "DeepSpeed-Chat, step 3",
        (
            Shape("ppo_ep", lazy(r"epoch: ?(?P<epoch>\d+) ?\| ?step: ?(?P<step>\d+) ?\| ?ppo_ep: ?\d+ ?\|(?P<rest>.*)$"), sure=True),
            Shape("verage reward score:", lazy(rf"[Aa]verage reward score: ?(?P<reward>{NUM})")),
        ),
        settle=lambda table: table.carry(STEP, first=0),
    ),
    LineFormat(
        "rvc",
        "RVC",
        (
            Shape("[", lazy(rf"^\[(?P<step>\d+), (?P<lr>{NUM})\]$"), prefixed=False),
            Shape("loss_disc=", lazy(r"^(?P<rest>loss_disc=.*loss_mel=.*)$"), sure=True, looks=lazy("^loss_disc=")),
        ),
        names={"loss_mel": "loss"},
        settle=lambda table: table.carry(STEP, first=0),
    ),
    LineFormat(
        "vits",
        "VITS",
        (
            Shape(", ", lazy(
                rf"^\[(?P<loss_disc>{_MEASURED}), (?P<loss_gen>{_MEASURED}), (?P<loss_fm>{_MEASURED}), (?P<loss_mel>{_MEASURED}), (?:(?P<loss_dur>{_MEASURED}), )?(?P<loss_kl>{_MEASURED}), (?P<step>\d+), (?P<lr>0\.0\d+|\d(?:\.\d+)?e-\d+)\]$"
            ), sure=True),
        ),
        names={"loss_mel": "loss"},
    ),
    # nanoGPT, build-nanogpt, nanochat and llm.c: small trainers whose prints were copied all over the world
    LineFormat(
        "nanogpt",
        "nanoGPT",
        (
            Shape("val loss", lazy(
                rf"^step (?P<step>\d+): train loss (?P<train_loss_estimate>{NUM}), val loss (?P<val_loss>{NUM})(?P<rest>.*)$"
            ), sure=True, looks=lazy(r"^step \d+: train loss")),
            Shape("iter ", lazy(
                rf"^iter (?P<step>\d+)(?:/(?P<total>\d+))?: loss (?P<loss>{NUM}),? (?:(?P<rest>(?:\w+ {NUM},? )*time {NUM}ms.*)|time ?[\d.]*)$"
            ), sure=True, looks=lazy(r"^iter \d+: loss")),
        ),
        names={"time": "step_time_s"},
        units={"time": "ms", "mfu": "%"},
        not_measured={"mfu": -100.0},
    ),
    LineFormat(
        "build-nanogpt",
        "build-nanogpt",
        (
            Shape("| loss", lazy(
                rf"^step\s+(?P<step>\d+) \| loss: (?P<loss>{NUM}) \| lr (?P<lr>{NUM}) \| norm: (?P<norm>{NUM}) \| dt: (?P<dt>{NUM})ms \| tok/sec: (?P<tok_per_sec>{NUM})"
            ), sure=True),
            Shape(" ", lazy(rf"^(?P<step>\d+) (?P<rest>(?:train|val|hella)\w* {NUM}(?: [A-Za-z]\w* {NUM})*)$"),
                  looks=lazy(r"^\d+ (?:train|val|hella)")),
            *_STEPLESS,
        ),
        ((" ", lazy(rf"^\d+ (?:train|val|hella) {NUM}\s*$")),),
        partial(_next_step, 0),
        names={"train": "loss", "val": "val/loss", "hella": "hellaswag/accuracy", "hellaswag": "hellaswag/accuracy"},
        units={"dt": "ms"},
    ),
    LineFormat(
        "nanochat",
        "nanochat",
        (
            Shape("tep ", lazy(rf"^[Ss]tep (?P<step>\d+)(?:/(?P<total>\d+))?(?: \({NUM}%\))?\s*\| (?P<rest>.*\w:.*)$"),
                  looks=lazy(r"^step \d+(?:/\d+)? \([\d.]+%\)")),
        ),
        (
            ("lrm:", lazy(r"\bstep \d+(?:/\d+)? .*\| lrm: ")),
            ("Step ", lazy(r"\bStep \d+(?:/\d+)? \| (?:Validation (?:bpb|loss)|CORE metric|ChatCORE|Average reward|Training loss): ")),
        ),
        names={"lrm": "lr_multiplier", "total time": "elapsed_s", "eta": None, "CORE metric": "core/accuracy"},
        units={"dt": "ms", "mfu": "%", "bf16_mfu": "%", "total time": "min"},
        reductions={"loss": "ema"},
    ),
    LineFormat(
        "llm.c-log",
        "llm.c, main.log",
        (
            Shape("s:", lazy(
                rf"^s:(?P<step>\d+) (?:trl:(?P<trl>{NUM})|tel:(?P<tel>{NUM})|eval:(?P<hellaswag>{NUM}))(?: lr:(?P<lr>{NUM}))?(?: norm:(?P<norm>{NUM}))?\s*$"
            ), sure=True, looks=lazy(r"^s:\d+ ")),
        ),
        names={"tel": "val/loss", "hellaswag": "hellaswag/accuracy"},
    ),
    LineFormat(
        "llm.c-console",
        "llm.c, console",
        (
            Shape("tok/s", lazy(
                rf"^step\s+(?P<step>\d+)/(?P<total>\d+) \| loss\s+(?P<loss>{NUM}) \([^)]*z\)\| norm\s+(?P<norm>{NUM}) \([^)]*z\)\| lr (?P<lr>{NUM}) \| (?P<time_ms>{NUM}) ms \| (?P<mfu>{NUM})% bf16 MFU \| (?P<tok_per_sec>{NUM}) tok/s"
            ), sure=True),
            Shape("train loss", lazy(
                rf"^step\s+(?P<step>\d+)(?:/(?P<total>\d+))?(?::| \|) train loss (?P<loss>{NUM})(?: \| norm (?P<norm>{NUM}) \| lr (?P<lr>{NUM}) \|)? \((?:took )?(?P<time_ms>{NUM}) ms(?:(?:,| \|) (?P<tok_per_sec>{NUM}) tok/s)?\)"
            ), sure=True),
            *_STEPLESS,
        ),
        settle=partial(_next_step, 1),
        names={"hellaswag": "hellaswag/accuracy"},
        units={"mfu": "%"},
    ),
    LineFormat(
        "modded-nanogpt",
        "modded-nanogpt, parameter-golf",
        marks=(
            ("step:", lazy(r"(?<!\w)step:\d+(?:/\d+)?,? .*(?:train_time|step_avg|train_loss|val_loss|val_bpb|avg):")),
            ("_loss: ", lazy(rf"^(?:\S+ )*\d+/\d+ (?:train|val)_loss: {NUM}")),
        ),
        reads=partial(PairScanner, placed_only=True),
        names={"train_time": "elapsed_s", "eval_time": "val/eval_time_s"},
        not_facts=("warmup_steps",),  # steps that warm the compiler up
    ),
    *(FAIRSEQ, SOCKEYE, JOEYNMT, LABML, OLMO, COMPOSER, COQUI, PPO_STATISTICS, DEEPSPEED),
    LineFormat(
        "keras-console",
        "Keras, printed progress",
        marks=(("/", lazy(r"^\s*\d+/(?:\d+|Unknown)\s+(?:\[[=>.]*\]|[━╸╺ ]*[━╸╺]|-) .*- \w+: ")),),
        reads=partial(BarScanner, kinds=KERAS, whole_epochs=True),
        reductions={"loss": "epoch_mean"},
    ),
    # read as named numbers: prints of tutorials and of libraries that thousands of programs copied
    LineFormat(
        "word-language-model",
        "word_language_model, awd-lstm-lm",
        marks=(("batches |", lazy(r"^\|? ?epoch\s+\d+ \|\s+\d+/\s*\d+ batches \|")),),
        reductions={"loss": "window_mean"},
    ),
    LineFormat(
        "minimind",
        "minimind",
        marks=(("poch:[", lazy(r"Epoch:\s?\[\d+/\d+\]\(\d+/\d+\),? ?loss:")),),
        names={"epoch_Time": None, "epoch_time": None},
    ),
    LineFormat(
        "mmengine",
        "MMEngine, mmcv",
        marks=(("[", lazy(
            r"\bEpoch\((?:train|val|test)\) +\[\d+\]\[ *\d+/\d+\]|\bIter\((?:train|val)\) +\[ *\d+/\d+\]|\bmmcv - INFO - (?:Epoch|Iter) \["
            r"|- INFO - (?:Epoch|Iter) \[\d.*\bdata_time: .*\bmemory: \d"
        )),),
        names={"time": "step_time_s"},
        units={"memory": "MB"},
    ),
    LineFormat(
        "metric-logger",
        "MetricLogger of DeiT and DETR: LLaMA-Adapter, MAE, …",
        marks=(("max mem: ", lazy(r"\[ *\d+/\d+\] +eta: .*\btime: .*\bdata: .*\bmax mem: \d")),),
        names={"data": "data_time_s", "time": "step_time_s"},
        units={"max mem": "MB"},
    ),
    LineFormat(
        "char-rnn-tutorial",
        "PyTorch's character-RNN tutorials",
        (
            Shape("m ", lazy(rf"^\[?(?:\d+h )?\d+m \d+s(?: \(- [^()]*\))?[^(]*\((?P<step>\d+) \d+%\)\s+(?P<loss>{NUM})\b"), sure=True),
            Shape("m ", lazy(rf"^(?P<step>\d+) \d+% \(\d+m \d+s\) (?P<loss>{NUM}) "), sure=True),
        ),
    ),
    LineFormat(
        "progress-bar",
        "tqdm, Lightning, NeMo 1 and other progress bars",
        marks=BARS,
        reads=BarScanner,
        tells=lambda piece: any(LOSS.search(name) for values, _ in states_in(piece) for name in values),
        names={"v_num": None, "train_step_timing in s": "step_time_s"},
    ),
    ALIGNED_TABLE,
    LineFormat(
        "epoch-print",
        "Tutorials: epochs, and steps within them",
        marks=(
            ("poch", lazy(rf"\b[Ee]poch\W*\d+\s*/\s*\d+\W*(?:[Ss]tep|[Bb]atch|[Ii]ter(?:ation)?)\W*\d+\s*/\s*\d+\W.*{_ANY_LOSS}")),
            ("Train Epoch", lazy(rf"Train Epoch: \d+ \[\d+/\d+ \(\d+%\)\]\s*{_ANY_LOSS}")),
            ("poch", lazy(r"\bEpoch: \[\d+\]\[\s*\d+/\d+\]\t")),
            ("poch", lazy(rf"^(?>(?:.*(?:step|iter|batch)\W*\d)?)(?>.*?\b[Ee]poch\W*\d+(?:\s*/\s*\d+)?\W).*{_ANY_LOSS}")),
        ),
    ),
    GENERIC,
)  # fmt: skip
FORMATS = {line_format.name: line_format for line_format in _ROWS}
"""All formats by name, in the order in which they are preferred where several fit equally well."""
