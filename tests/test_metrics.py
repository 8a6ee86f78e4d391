"""Names that tools give to metrics, and the units in them."""

import pytest

from lmdiag.metrics import GIB, METRICS, NOT_A_LANGUAGE_MODEL_LOSS, is_step_name, spelling, step_rank

TRAINING = {
    "loss": (
        "loss",
        "train_loss",
        "train/loss",
        "Train loss",
        "Training Loss",
        "lm loss",
        "lm_loss",
        "lm-loss",
        "trl",
        "Loss/Train",
        "train_loss_step",
        "train_loss_epoch",
        "loss_metrics/global_avg_loss",
        "TrainIterStats/loss",
        "reduced_train_loss",
        "metrics/train/LanguageCrossEntropy",
        "loss/train/total",
        "learning/loss",
        "nll_loss",
    ),
    "lr": (
        "lr",
        "learning_rate",
        "learning rate",
        "learning-rate",
        "train/learning_rate",
        "lr-AdamW",
        "lr-AdamW/pg1",
        "TrainIterStats/current_lr",
        "optim/learning_rate_group0",
        "epoch_learning_rate",
    ),
    "grad_norm": ("grad_norm", "train/grad_norm", "grad norm", "grad-norm", "gnorm", "norm", "l2_norm/grad/global"),
    "tokens": ("num_input_tokens_seen", "throughput/total_tokens", "consumed_tokens"),
    "step_time_s": ("iteration_time", "train_step_timing", "iteration_time(s)"),
}
EVALUATIONS = {
    "val/loss": (
        "eval_loss",
        "val_loss",
        "val/loss",
        "valid_loss",
        "Validation Loss",
        "Loss/Validation",
        "eval/loss",
        "val loss",
        "metrics/eval/LanguageCrossEntropy",
        "val_loss_epoch",
        "EvalStats/avg_loss",
    ),
    "test/loss": ("test_loss", "test/lm_loss"),
    "val/accuracy": ("eval_accuracy", "val_acc"),
    "val/bpb": ("val_bpb", "val/bpb"),
    "g0/loss": ("eval_g0_loss",),
    "c4_en-validation/loss": ("eval/c4_en-validation/CrossEntropyLoss",),
    "train/loss": ("train_loss_eval", "eval_train_loss"),
}


@pytest.mark.parametrize(("name", "metric"), [(n, m) for m, ns in (TRAINING | EVALUATIONS).items() for n in ns])
def test_a_name_of_another_tool_is_known(name, metric):
    assert spelling(name).name == metric


@pytest.mark.parametrize(
    ("name", "metric", "scale"),
    [
        ("dt_ms", "step_time_s", 1e-3),
        ("elapsed time per iteration (ms)", "step_time_s", 1e-3),
        ("step_ms", "step_time_s", 1e-3),
        ("mfu_pct", "mfu", 1e-2),
        ("mfu(%)", "mfu", 1e-2),
        ("memory(GiB)", "mem_bytes", GIB),
        ("max_active (GiB)", "mem_bytes", GIB),
        ("train/lr(1e-3)", "lr", 1e-3),
    ],
)
def test_the_unit_in_a_name_is_converted(name, metric, scale):
    assert (spelling(name).name, spelling(name).scale) == (metric, scale)


@pytest.mark.parametrize(
    "name",
    [
        "lrm",
        "best_val_loss",
        "val_best_loss",
        "train/train_loss",
        "train_runtime",
        "lr_matrix",
        "eval_aux_loss",
        "epoch_time",
    ],
)
def test_what_only_looks_like_a_metric_keeps_its_name(name):
    assert not spelling(name).known


@pytest.mark.parametrize("name", METRICS)
def test_a_canonical_name_stands_for_itself(name):
    assert spelling(name).name == name


@pytest.mark.parametrize("name", ["aux_loss", "z_loss", "actor/pg_loss", "policy_loss", "d_loss", "rewards/margins"])
def test_losses_that_are_no_language_model_loss(name):
    assert NOT_A_LANGUAGE_MODEL_LOSS.search(name)
    assert spelling(name).name != "loss"


def test_training_steps_come_before_calls_of_the_logger():
    assert is_step_name("train/global_step")
    assert step_rank("global_step/max_steps") < step_rank("iter") < step_rank("_step")
    assert step_rank("epoch") is None
