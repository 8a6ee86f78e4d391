"""Which evaluation set the name of a metric tells of."""

from __future__ import annotations

from collections.abc import Iterable

from lmdiag.metrics import METRICS
from lmdiag.naming.words import words_of

SPLITS = {
    "eval": "val",
    "evaluation": "val",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "train": "",
}
SPLIT_WORDS = {word: split for word, split in SPLITS.items() if split} | {
    "testing": "test",
    "heldout": "val",
    "holdout": "val",
    "vl": "val",
    "va": "val",
    "vld": "val",
    "vali": "val",
    "evl": "val",
    "te": "test",
    "tst": "test",
}
FROZEN = frozenset(
    {"baseline", "baselines", "majority", "random", "ref", "reference", "teacher"}
)  # what a model is compared with: not trained
# First parts of a name with slashes that are no evaluation set, even where they hold a loss.
NAMESPACES = frozenset(
    """
    train training trainer learning optim optimizer optimiser scheduler lr perf performance throughput speed time times timing
    timing_s time_metrics memory mem system sys gpu cpu hardware misc metrics stats debug data dataloader progress actor critic
    policy value rollout rollouts reward rewards kl objective prompt prompts response responses completion completions
    env episode advantages returns entropy sampling logits logps logprobs log_probs loss losses grad grads gradient gradients
    params weights layers batch step it iter iteration epoch sample samples tokens token aux moe router mtp distill
    gen disc adversary reg regularization timers words ts s sec lm_loss ppo grpo rloo dpo env self_distillation main
    """.split()
).union(FROZEN)
SCORES = frozenset({"loss", "ppl", "bpb", "bpc", "accuracy", "f1", "auc", "reward", "reward_accuracy"})


def evaluation_set(metric: str) -> str:
    """Return the evaluation set that the name of a metric tells of, "" for one of the training.

    >>> evaluation_set("val/loss"), evaluation_set("c4/ppl"), evaluation_set("actor/lr"), evaluation_set("baseline/loss")
    ('val', 'c4', '', '')
    """
    head, _, measure = metric.rpartition("/")
    if not head or head == "layers" or metric.startswith("layers/"):
        return ""
    if head == "train":
        return head if measure in METRICS else ""
    first = head.partition("/")[0]
    if not SPLIT_WORDS.keys().isdisjoint(words_of(head)):
        return first if first in SPLIT_WORDS else head
    return head if measure in SCORES and first.lower() not in NAMESPACES else ""


def evaluation_sets(metrics: Iterable[str]) -> set[str]:
    """Return the evaluation sets that some names of metrics tell of."""
    return {evaluation_set(metric) for metric in metrics} - {""}
