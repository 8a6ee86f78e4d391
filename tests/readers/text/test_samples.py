"""Every printed format: its sample is recognised, and its values, steps and units come out right."""

import math
import time
from pathlib import Path

import pytest

from lmdiag.judging.reading import runs_of
from lmdiag.readers.messages import find_facts
from lmdiag.run import Run
from lmdiag.sources.source import Source

SAMPLES = Path(__file__).parents[1] / "samples" / "text"
LN2 = math.log(2)
GIB = 2.0**30

# sample -> (format, what its steps count, {metric: [(step, value), …]})
EXPECTED: dict[str, tuple[str, str, dict[str, list[tuple[int, float]]]]] = {
    "huggingface-console-4": (
        "huggingface-console",
        "step",
        {"loss": [(10, 2.4137), (20, 2.3011), (30, 2.2047)], "val/loss": [(20, 2.2874)], "grad_norm": [(10, 1.9123456), (20, math.nan), (30, 1.1)]},
    ),
    "huggingface-console-5": (
        "huggingface-console",
        "record",
        {"loss": [(1, 3.412), (2, 3.377), (3, 0.0), (4, 3.25)], "tokens": [(1, 18080), (2, 36100), (3, 54000)], "val/loss": [(3, 3.3)]},
    ),
    "direct-preference-optimization": (
        "huggingface-console",
        "step",
        {"loss": [(1, 0.69291), (3, 0.67812), (4, 0.66543)], "val/loss": [(1, 0.69321), (4, 0.66711)], "grad_norm": [(1, 17.25), (3, 16.5), (4, math.nan)],
         "reward_margin": [(1, 0.0013), (3, 0.0325), (4, 0.0621)], "val/reward_accuracy": [(1, 0.49609), (4, 0.64844)], "chosen_logp": [(1, -149.9), (3, -139.1), (4, -144)]},
    ),
    "nanogpt": (
        "nanogpt",
        "step",
        {"loss": [(0, 4.2133), (10, 3.1402), (20, math.nan), (40, 2.4871)], "val/loss": [(0, 4.2088), (40, 2.5311)],
         "train/loss": [(0, 4.2101), (40, 2.5101)], "mfu": [(10, 0.1208), (20, 0.1211), (40, 0.119)]},
    ),
    "build-nanogpt": ("build-nanogpt", "step", {"val/loss": [(0, 10.9513), (250, 5.9012)], "hellaswag/accuracy": [(0, 0.2463)]}),
    "build-nanogpt-console": ("build-nanogpt", "step", {"val/loss": [(0, 10.951), (2, 9.4012)], "step_time_s": [(0, 2.3392), (1, 0.3392)]}),
    "nanochat": (
        "nanochat",
        "step",
        {"loss": [(0, 11.09), (1, 10.870034), (2, 10.12)], "val/bpb": [(0, 3.167), (3, 2.9034)], "tokens_per_sec": [(0, 24900), (1, 1023398), (2, 1023998)]},
    ),
    "llm.c-log": ("llm.c-log", "step", {"loss": [(0, 11.0091), (1, 10.9598), (2, 10.8)], "val/loss": [(0, 11.0092), (250, 6.2)]}),
    "llm.c-console": ("llm.c-console", "step", {"loss": [(1, 11.0091), (2, 10.9598), (3, 10.91)], "val/loss": [(0, 11.0092), (2, 4.901234)]}),
    "modded-nanogpt": (
        "modded-nanogpt",
        "step",
        {"loss": [(1, 10.8258), (2, 10.102)], "val/loss": [(0, 10.8258), (125, 4.6539)], "val/bpb": [(125, 1.512)]},
    ),
    "megatron": (
        "megatron",
        "step",
        {"loss": [(20, 7.4123), (30, math.nan), (40, 7.0)], "val/loss": [(30, 7.102211)], "val/ppl": [(30, 1214.663)], "skipped": [(10, 10), (20, 0), (30, 0), (40, 0)],
         "step_time_s": [(10, 0.8123), (20, 0.8119), (30, 0.8117), (40, 0.8117)], "tflops_per_device": [(10, 401.2), (20, 402.2), (30, 402.3)]},
    ),
    "gpt-neox": (
        "megatron",
        "step",
        {"loss": [(100, 7.4123), (110, math.nan), (120, 7.1)], "val/loss": [(110, 3.1)], "tflops_per_device": [(100, 98.1), (110, 1100), (120, 98.8)], "mfu": [(100, 0.3144), (110, 0.315), (120, 0.315)]},
    ),
    "nemo": ("nemo", "step", {"loss": [(0, 2.61), (1, 2.52), (2, 2.41)], "val/loss": [(2, 2.44)], "step_time_s": [(0, 1.5), (1, 1.4), (2, 1.5)]}),
    "nemo-1": ("progress-bar", "step", {"loss": [(5, 11.5), (6, 11.2), (7, 10.9)]}),
    "nanotron": ("nanotron", "step", {"loss": [(20, 8.11), (21, 8.02), (22, 7.95)], "tokens": [(20, 5.24e6), (21, 5.5e6), (22, 5.77e6)]}),
    "torchtitan": (
        "torchtitan",
        "step",
        {"loss": [(1, 12.2453), (10, 7.03112), (20, 6.50112)], "val/loss": [(10, 6.9012)], "mfu": [(1, 0.4167), (20, 0.4177)], "mem_bytes": [(1, 38.2 * 2**30), (10, 38.2 * 2**30), (20, 38.2 * 2**30)]},
    ),
    "torchtitan-coloured-diff": ("torchtitan", "step", {"loss": [(1, 6.7789), (2, 6.6789), (3, 6.5)]}),
    "torchtune": ("torchtune", "step", {"loss": [(1, 1.7312), (2, 1.6512), (3, 1.6012)], "val/loss": [(2, 1.66)]}),
    "litgpt": ("litgpt", "step", {"loss": [(1, 4.312), (2, 3.912), (3, 3.712)], "val/loss": [(2, 3.88)]}),
    "maxtext": ("maxtext", "step", {"loss": [(0, 12.978), (1, 12.978), (2, 8.123)], "val/loss": [(2, 7.101)]}),
    "verl": ("verl", "step", {"loss": [(1, 1.41), (2, 1.31), (3, 1.21)], "lr": [(1, 1e-6), (2, 2e-6), (3, 3e-6)]}),
    "openrlhf": (
        "openrlhf",
        "step",
        {"reward": [(1, 0.21), (2, 0.26), (3, 0.31)], "grad_norm": [(1, 0.61), (2, math.nan), (3, 0.55)], "truncated_share": [(1, 0.05), (2, 0.04), (3, 0.04)]},
    ),
    "deepspeed-chat": (
        "deepspeed-chat",
        "step",
        {"reward": [(0, -0.68), (1, -0.06), (2, 0.2)], "policy_loss": [(0, 0.21), (1, math.nan), (2, 0.22)], "value_loss": [(0, 0.12), (1, 0.17), (2, 0.14)]},
    ),
    "rvc": (
        "rvc",
        "step",
        {"loss": [(200, 24.518), (400, 23.071), (600, math.nan)], "loss_disc": [(200, 2.914), (400, 2.655), (600, math.nan)], "lr": [(200, 9.99875e-05), (400, 9.9975e-05), (600, 9.99625e-05), (800, 9.995e-05)]},
    ),
    "vits": (
        "vits",
        "step",
        {"loss": [(1200, 24.518), (1400, 23.071), (1600, math.nan)], "loss_kl": [(1200, 1.836), (1400, math.inf), (1600, math.nan)], "lr": [(1200, 0.00019985), (1400, 0.00019985), (1600, 0.00019982)]},
    ),
    "mlperf": ("mlperf", "samples", {"loss": [(1024, 3.1), (2048, 3.0)], "val/loss": [(2048, 2.93)]}),
    "fairseq": (
        "fairseq",
        "step",
        {"loss": [(100, 14.2 * LN2), (200, 12.8 * LN2), (1313, 9.2 * LN2)], "val/loss": [(1213, 9.4 * LN2)], "clip_frac": [(100, 0), (200, 0.5), (1313, 0)]},
    ),
    "metaseq": ("fairseq", "step", {"loss": [(100, 14.2 * LN2), (200, 12.2 * LN2), (300, math.nan)], "val/loss": [(200, 9.427 * LN2)]}),
    "olmo": ("olmo", "step", {"loss": [(200, 7.321), (201, 7.301), (202, 7.281)], "c4_en-validation/loss": [(201, 7.25)], "ppl": [(200, 1511), (201, 1481)]}),
    "olmo-core": ("olmo", "step", {"loss": [(200, 7.321), (201, 7.311), (202, 7.301)], "tokens": [(200, 5.243e9)], "lr": [(200, 2e-5), (201, 2.1e-5), (202, 2.2e-5)]}),
    "composer": ("composer", "step", {"loss": [(1, 11.9012), (2, 11.7012), (3, 11.5012)], "val/loss": [(2, 11.6022)]}),
    "coqui": ("coqui", "step", {"loss": [(200, 2.41), (225, 2.31), (250, math.nan)], "loss_mel": [(200, 21.5), (225, 20.5), (250, math.nan)], "step_time_s": [(200, 1.25), (225, 1.25)]}),
    "ppo-statistics": ("ppo-statistics", "record", {"reward": [(1, 0.61), (2, 0.58), (3, 0.71)], "sequence_kl": [(1, 29.31407356262207), (2, 32.0), (3, 27.5), (4, 26.1)], "advantage": [(1, 5e-9), (2, 0.01), (3, -0.02)]}),
    "deepspeed": ("deepspeed", "step", {"loss": [(10, 2.3311), (20, 2.2311), (30, 2.1311)], "skipped": [(10, 1), (20, 2)], "lr": [(10, 9.5e-6), (20, 1.9e-5)]}),
    "keras-console": ("keras-console", "step", {"loss": [(938, 0.3001), (1876, 0.1401)], "val/loss": [(938, 0.17), (1876, 0.13)]}),
    "keras-console-2": ("keras-console", "epoch", {"loss": [(1, 0.2945), (2, 0.1445)], "val/loss": [(1, 0.15), (2, 0.12)]}),
    "word-language-model": (
        "word-language-model",
        "step",
        {"loss": [(200, 7.63), (400, 6.83), (3183, 5.93), (3383, 5.83)], "val/loss": [(2983, 5.51), (5966, 5.31)]},
    ),
    "minimind": ("minimind", "step", {"loss": [(0, 8.933), (100, 6.46), (200, 5.46), (300, 4.933), (400, 4.46)]}),
    "mmengine": (
        "mmengine",
        "step",
        {"loss": [(10, 5.9012), (20, 5.2012), (35, 4.8012), (45, 4.5012)], "val/loss": [(25, 5.0012), (50, 4.4012)], "val/accuracy": [(25, 0.125), (50, 0.25)],
         "grad_norm": [(10, 2.0311), (20, math.nan), (35, 1.9311), (45, 1.8311)], "mem_bytes": [(step, 2.0**32) for step in (10, 20, 35, 45)]},
    ),
    "tutorial": ("epoch-print", "step", {"loss": [(100, 2.3026), (200, 1.9026), (300, 1.7026), (400, 1.5026)]}),
    "mnist": ("epoch-print", "samples", {"test/loss": [(60000, 1.0489), (120000, 0.0489)], "test/accuracy": [(60000, 0.9836), (120000, 0.99)]}),
    "imagenet": ("epoch-print", "step", {"loss": [(0, 6.9), (10, 6.8), (5005, 5.8)], "accuracy": [(0, 0.0012), (10, 0.0012), (5005, 0.0512)]}),
    "epoch-print": ("epoch-print", "epoch", {"loss": [(1, 2.1), (2, 1.9), (3, 1.8)], "val/loss": [(1, 2.2), (2, 2.1), (3, 2.05)]}),
    "epoch-print-lines": ("key-value text", "epoch", {"loss": [(1, 5.05), (2, 4.45), (3, 4.05)], "val/ppl": [(1, 154.161), (2, 139.491), (3, 103.338)]}),
    "progress-bar": ("progress-bar", "step", {"loss": [(300, 2.31), (600, 2.11), (900, 2.01), (1200, 1.91), (1800, 1.81)], "val/loss": [(900, 1.95)]}),
    "aligned-table": ("aligned-table", "epoch", {"loss": [(0, 4.012345), (1, 3.812345), (3, 3.512345)], "val/loss": [(0, 3.912345), (1, 3.812345), (3, 3.712345)]}),
    "mlx-lm": (
        "aligned-table",
        "step",
        {"loss": [(10, 3.21), (20, 3.105), (30, math.nan)], "val/loss": [(1, 4.813), (20, 3.15)], "tokens": [(10, 1200), (20, 2400), (30, 3600)],
         "tokens_per_sec": [(10, 2345), (20, 2351), (30, 2360)], "val/eval_time_s": [(1, 1.58), (20, 0.05)]},
    ),
    "spacy": (
        "aligned-table",
        "step",
        {"loss": [(0, 200 * 39.77), (200, 1021.43), (400, math.nan)], "loss of tok2vec": [(0, 0), (200, 128.54), (400, 211.02)], "val/score": [(0, 0), (200, 0.41), (400, 0.53)]},
    ),
    "labml": (
        "labml",
        "step",
        {"loss": [(998, 3.215), (999, 3.18), (1000, 3.1525), (1001, math.nan), (1002, 3.12), (1003, 3.11), (1004, 3.1)],
         "lr": [(998, 0.001), (999, 0.001), (1000, 0.0009), (1001, 0.0009), (1002, 0.0009), (1003, 0.0009)],
         "val/loss": [(1000, 3.4), (1003, 3.375)]},
    ),
    "frame": ("aligned-table", "step", {"loss": [(10, 4.215784), (20, 4.086496), (30, math.nan), (90, 3.172364)], "grad_norm": [(10, 1.19528), (20, math.nan), (30, 1.0174), (90, math.inf)]}),
    "stable-baselines3": ("aligned-table", "step", {"loss": [(128, 55.3), (192, math.nan)], "update_kl": [(128, 0.000273714), (192, 0.000384639)], "rollout/ep_rew_mean": [(64, 25), (128, 30), (192, 26.6)]}),
    "rsl-rl": ("aligned-table", "step", {"Value function loss": [(0, 0.0523), (1, math.nan)], "reward": [(0, 1.23), (1, 1.31)]}),
    "sockeye": (
        "sockeye",
        "step",
        {"ppl": [(50, 81.80938), (100, 68.424762), (150, math.nan)], "val/ppl": [(50, 71.532914), (100, 58.094984), (150, math.nan)],
         "lr": [(50, 2e-4), (100, 2e-4), (150, 2e-4)], "samples": [(50, 800), (100, 1600), (150, 2400)], "ppl of batches": [(30, 89.5), (80, 88.5), (130, 87.5)]},
    ),
    "joeynmt": ("joeynmt", "step", {"val/loss": [(500, 4.00173), (1000, 3.53281), (1500, math.nan)], "val/ppl": [(500, 54.69257), (1000, 34.21992), (1500, math.nan)], "val/bleu": [(500, 1.25), (1000, 4.5), (1500, 0)]}),
    "rich": (
        "key-value text",
        "step",
        {"loss": [(10, 4.2158), (20, math.nan), (30, 3.8505), (40, 3.7)], "tokens_per_sec": [(10, 12000), (20, 12001), (30, 12002)], "mem_bytes": [(10, 3.21 * GIB), (20, 3.21 * GIB), (30, 3.21 * GIB)]},
    ),
    "char-rnn-tutorial": ("char-rnn-tutorial", "step", {"loss": [(500, 2.8712), (1000, math.nan), (1500, 2.513), (2000, 2.25), (2500, 2.125)]}),
    "metric-logger": (
        "metric-logger",
        "step",
        {"loss": [(0, 2.812), (100, 2.4051), (200, math.nan), (300, 2.112), (400, 2.0)], "lr": [(0, 1e-5), (100, 4e-5), (200, 7e-5), (300, 1e-4), (400, 9.7e-5)],
         "mem_bytes": [(0, 20 * GIB), (100, 20618 * 2**20), (200, 20618 * 2**20), (300, 20618 * 2**20)], "step_time_s": [(0, 0.8371), (100, 0.6125), (200, 0.6125), (300, 0.8371)]},
    ),
    "char-rnn": ("key-value text", "step", {"loss": [(1, 3.9), (2, 3.8), (3, 3.7)], "grad_norm": [(1, 0.51721), (2, 0.51721), (3, 0.51721)]}),
    "train-and-val-lines": ("key-value text", "epoch", {"loss": [(0, 3.5), (1, 2.5), (2, 1.5)], "val/loss": [(0, 3.75), (1, 2.75), (2, 1.75)], "val/accuracy": [(0, 0.4), (1, 0.4), (2, 0.4)]}),
    "key-value": ("key-value text", "step", {"loss": [(10, 2.31), (20, 2.21), (30, math.nan)], "val/loss": [(20, 2.25)], "grad_norm": [(10, 0.4), (20, 0.5), (30, math.inf)]}),
}  # fmt: skip


def run_of(sample: str) -> Run:
    """Return the one run of a sample, read as `lmdiag check` reads it."""
    (run,) = runs_of(Source(f"{sample}.log", path=SAMPLES / f"{sample}.log"))
    return run


def test_every_sample_is_checked() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in SAMPLES.glob("*.log"))


@pytest.mark.parametrize("sample", EXPECTED)
def test_sample_is_read(sample: str) -> None:
    name, kind, series = EXPECTED[sample]
    run = run_of(sample)
    assert (run.format, run.step_kind) == (name, kind)
    for metric, points in series.items():
        assert run[metric].steps.tolist() == [step for step, _ in points], metric
        assert run[metric].values.tolist() == pytest.approx([value for _, value in points], nan_ok=True), metric


@pytest.mark.parametrize("ending", ["\r\n", "\n\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_and_line_ends_change_nothing(ending: str, encoding: str) -> None:
    text = (SAMPLES / "nanogpt.log").read_text().replace("\n", ending)
    (run,) = runs_of(Source("x.log", content=text.encode(encoding)))
    assert run["loss"].steps.tolist() == run_of("nanogpt")["loss"].steps.tolist()


def test_units_are_told() -> None:
    assert run_of("nanogpt")["step_time_s"].source_unit == "ms"
    assert run_of("fairseq")["loss"].source_unit == "bits"


def test_lines_point_into_the_source() -> None:
    loss = run_of("nanogpt")["loss"]
    assert loss.lines is not None
    lines = (SAMPLES / "nanogpt.log").read_text().split("\n")
    assert [lines[number - 1].split(":")[0] for number in loss.lines] == ["iter 0", "iter 10", "iter 20", "iter 40"]


def test_facts_are_looked_for_in_linear_time() -> None:
    started = time.process_time()
    find_facts("." * 50_000 + " 7", config := {})
    assert (config, time.process_time() - started < 1) == ({}, True)


def test_facts_of_the_header() -> None:
    assert run_of("megatron").config == {
        "world_size": 8, "model": {"context": 2048}, "grad_clip": 1.0, "batch_tokens": 131072, "max_steps": 5000,
    }  # fmt: skip
    assert run_of("nanogpt").config == {"batch_tokens": 16384, "model": {"params": 10650000}}
    assert run_of("modded-nanogpt").config == {"max_steps": 1770}


def test_evaluations_after_training_are_events() -> None:
    events = [(event.kind, event.step) for event in run_of("modded-nanogpt").events]
    assert events == [("end", 125), ("final_evaluation", 125), ("final_evaluation", 125)]
    assert run_of("modded-nanogpt").complete


def test_crash_is_told() -> None:
    run = run_of("key-value")
    assert {"kind": run.events[-1].kind, **run.events[-1].fields} == {"kind": "end", "status": "crashed"}
    assert [event.message for event in run.events if event.kind == "exception"] == [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    ]


def test_broken_records_are_counted() -> None:
    assert [(s.line, s.count) for s in run_of("nanogpt").skipped] == [(7, 1)]
    assert [(s.line, s.count) for s in run_of("mlperf").skipped] == [(6, 1)]


def test_fallback_says_what_it_took() -> None:
    assert "'grad norm' as grad_norm" in " ".join(run_of("key-value").notes)
