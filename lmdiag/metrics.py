"""Every canonical metric: what it means, its unit, and other names for it; and what its unit may be spelled with.

A metric of the training stream stands under its own name (`loss`), one of an evaluation under `<split>/<name>`
(`val/loss`). `lmdiag.naming` translates the name a tool wrote.
"""

from __future__ import annotations

from msgspec import Struct

LN2 = 0.6931471805599453
IN_BITS = "it is 2 to the power of the loss, so the loss is in bits or the base is wrong"  # said of a perplexity
GIB, MIB = 2.0**30, 2.0**20


class Metric(Struct, frozen=True):
    """One canonical metric; `aliases` are spellings that no rule of `lmdiag.naming` leads to it."""

    name: str
    meaning: str
    unit: str
    aliases: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", "training loss of the step, or its mean since the last record", "nats per token", ("cost", "ce",
            "cross_entropy", "log_loss", "logloss", "nll", "xent", "ntp", "closs", "trl", "tel", "log_ppl", "log_pplx")),
        Metric("lr", "learning rate of the first parameter group", "", ("learning_rate", "L.r.", "lr_0", "lr0", "lr_group_0",
            "lr_group0", "lr_pg1", "group0_lr", "optim0_lr0", "lr_step", "lr-AdamW", "lr-pg_0", "actor/lr")),
        Metric("grad_norm", "global L2 norm of the gradient before clipping", "", ("gnorm", "gn", "grdn", "grad", "norm",
            "total_norm", "norm_grad", "raw_grad_norm", "l2_norm/grad/global", "grad/l2_norm", "grad_norm/all", "global_norm", "actor/grad_norm")),
        Metric("loss_scale", "loss scale of fp16 training", "", ("loss_scaling", "scale", "grad_scale")),
        Metric("epoch", "passes over the training data, fractional", "epochs", ("epochs", "epoch_num", "epoch_idx", "current_epoch", "trainer/epoch", "n_epoch")),
        Metric("tokens", "tokens trained on so far, all devices", "tokens", ("num_input_tokens_seen", "num_tokens",
            "num_tokens_seen", "n_tokens_seen", "total_tokens", "total_tokens_seen", "consumed_tokens", "num_consumed_tokens", "tokens_consumed",
            "tokens_seen", "seen_tokens", "tokens_processed", "tokens_so_far", "tokens/total", "throughput/total_tokens",
            "time/token", "track_tokens_seen")),
        Metric("samples", "sequences trained on so far, all devices", "samples", ("consumed_samples", "samples_consumed",
            "consumed_train_samples", "samples_seen", "seen_samples", "n_samples_seen", "num_samples_seen", "examples_seen",
            "sequences_seen", "time/sample", "samples_count")),
        Metric("tokens_per_sec", "training speed, all devices", "tokens/s", ("tok/s", "throughput/tokens_per_sec")),
        Metric("tokens_per_sec_per_device", "training speed of one device", "tokens/s", ("tps", "wps", "tgs",
            "tokens/s/device", "throughput(tps)", "throughput/device/tps", "tokens/train_per_sec_per_gpu")),
        Metric("words_per_sec", "training speed in words, all devices", "words/s"),
        Metric("steps_per_sec", "optimizer steps per second: 1 / `step_time_s`", "steps/s", ("it/s", "iter/s", "steps/s")),
        Metric("step_time_s", "time of one optimizer step", "s", ("step_time", "seconds", "iter_time", "iter_dt",
            "dt", "elapsed_time_per_iteration", "time_per_iteration", "train_step_timing", "step_avg",
            "batch_time", "batch_cost", "time_per_step", "per_step_time", "perf/time_per_step", "timing_s/step", "time_metrics/end_to_end")),
        Metric("data_time_s", "time of one step spent waiting for data", "s", ("data_time", "dataloader_time",
            "data_loading_time", "time_data", "reader_cost", "time_metrics/data_loading")),
        Metric("mem_bytes", "memory allocated on the device, peak", "bytes", ("memory", "mem", "peak_memory", "max_mem",
            "peak_memory_alloc", "max_active", "peak_memory_active", "gpu_memory", "mem_allocated", "max_memory_allocated",
            "peak_gpu_memory", "memory/max_active", "memory/max_mem_active", "max_mem_active", "peak_memory_allocated", "max_mem_allocated",
            "gpu_memory_allocated", "gpu_max_memory_allocated")),
        Metric("mem_reserved_bytes", "memory reserved on the device, peak", "bytes", ("peak_memory_reserved",
            "mem_reserved", "max_reserved", "max_memory_reserved", "memory/device_reserved", "memory/device_mem_reserved",
            "gpu_memory_reserved")),
        Metric("tflops_per_device", "useful arithmetic of one device", "TFLOP/s", ("tflops", "tflop/s/device",
            "model_tflops_per_gpu")),
        Metric("mfu", "model FLOPs utilisation", "fraction", ("device/mfu", "bf16_mfu")),
        Metric("param_norm", "global L2 norm of the parameters", "", ("params_norm", "weight_norm", "l2_norm/param/global")),
        Metric("update_norm", "global L2 norm of the last parameter update", "", ("l2_norm/update/global",)),
        Metric("update_ratio", "update norm over parameter norm", "", ("update_to_weight_ratio",)),
        Metric("clip_frac", "share of the steps since the last record whose gradient was clipped", "fraction"),
        Metric("skipped", "optimizer steps skipped since the last record", "steps", ("number_of_skipped_iterations",
            "skipped_iterations", "step_skipped", "skipped_steps")),
        Metric("nan_steps", "steps with a non-finite loss since the last record", "steps", (
            "number_of_nan_iterations", "nan_iterations")),
        Metric("ppl", "perplexity: exp of the mean loss in nats per token", "", ("perplexity", "perp", "loss_ppl", "language_perplexity")),
        Metric("bpb", "bits per byte of text", "bits/byte", ("bits_per_byte",)),
        Metric("bpc", "bits per character of text", "bits/character", ("bits_per_character", "bits_per_char")),
        Metric("accuracy", "share of right answers", "fraction", ("acc", "mean_token_accuracy", "token_acc", "acc1", "top1_acc", "hella", "hellaswag")),
        Metric("f1", "F1 score", "fraction", ("f1_score", "macro_f1", "f1_macro")),
        Metric("auc", "area under the ROC curve", "fraction", ("roc_auc", "auroc")),
        Metric("n_tokens", "target tokens the evaluation averaged over", "tokens"),
        Metric("eval_time_s", "time of the evaluation", "s", ("runtime",)),
        Metric("time", "Unix time of the record", "s", ("_timestamp", "timestamp", "wall_time", "unix_time")),
        Metric("elapsed_s", "time since the start of training", "s", ("_runtime", "elapsed", "elapsed_time",
            "train_time", "wallclock", "wall_clock")),
        Metric("reward", "mean reward of the responses, before any penalty for divergence where the log has both", "", (
            "reward/mean", "mean_reward", "rewards", "rewards/mean", "rollout/reward_mean", "average reward score", "objective/scores",
            "objective/rlhf_reward", "env/reward_mean", "ppo/mean_scores", "critic/score/mean", "critic/rewards/mean",
            "rollout_scores/mean", "exp_scores/mean")),
        Metric("reward_std", "standard deviation of the reward over the responses", "", (
            "reward/std", "std_reward", "env/reward_std", "rollout/reward_std", "ppo/std_scores")),
        Metric("reward_min", "lowest reward of a response", "", ("min_reward", "reward/min", "critic/score/min", "critic/rewards/min")),
        Metric("reward_max", "highest reward of a response", "", ("max_reward", "reward/max", "critic/score/max", "critic/rewards/max")),
        Metric("zero_std_share", "share of the groups of responses whose rewards are all equal", "fraction", (
            "frac_reward_zero_std", "self_distillation/flat_group_fraction")),
        Metric("advantage", "mean advantage of the responses", "", (
            "critic/advantages/mean", "advantages/mean", "advantage/mean", "avg_advantage", "ppo/policy/advantages_mean", "policy/advantages_mean")),
        Metric("kl", "divergence from the reference policy, per token", "nats", (
            "kl/mean", "mean_kl", "kl_div", "kl_divergence", "actor/kl_loss", "actor/reward_kl_penalty", "critic/kl", "kl_penalty")),
        Metric("sequence_kl", "divergence from the reference policy, summed over a response", "nats", ("objective/kl",)),
        Metric("kl_coef", "weight of the divergence from the reference policy", "", (
            "objective/kl_coef", "actor/kl_coef", "critic/kl_coeff", "actor/reward_kl_penalty_coeff", "kl_ctl_value")),
        Metric("update_kl", "divergence of the policy from itself before the update, per token", "nats", (
            "approx_kl", "approxkl", "policy/approxkl_avg", "ppo/policy/approxkl", "policy/approx_kl", "actor/ppo_kl", "ppo_kl", "actor/approxkl")),
        Metric("entropy", "entropy of the predicted next token", "nats", (
            "entropy/mean", "policy/entropy_avg", "policy/entropy", "ppo/policy/entropy", "actor/entropy", "actor/entropy_loss",
            "approx_entropy", "entropy_loss")),
        Metric("policy_loss", "loss of the policy in reinforcement learning", "", (
            "pg_loss", "act_loss", "actor_loss", "loss_actor", "actor/pg_loss", "loss/policy", "loss/policy_avg", "losses/policy_loss", "ppo/loss/policy")),
        Metric("value_loss", "loss of the value function", "", (
            "vf_loss", "cri_loss", "critic_loss", "loss_critic", "critic/vf_loss", "loss/value_avg", "losses/value_loss", "ppo/loss/value")),
        Metric("value_grad_norm", "gradient norm of the value function", "", ("critic/grad_norm", "critic_grad_norm")),
        Metric("explained_variance", "share of the variance of the returns that the value function explains", "", (
            "explained_var", "var_explained", "ppo/val/var_explained", "critic/vf_explained_var")),
        Metric("clip_ratio", "share of the tokens whose probability ratio the policy loss clips", "fraction", (
            "clip_ratio/region_mean", "clipfrac", "clip_fraction", "policy/clipfrac_avg", "policy/clipfrac", "ppo/policy/clipfrac",
            "actor/pg_clipfrac", "pg_clipfrac", "actor/clipfrac", "fraction_clipped", "ppo_clip_ratio", "cispo_clip_ratio")),
        Metric("value_clip_ratio", "share of the predicted values that the value loss clips", "fraction", (
            "val/clipfrac_avg", "ppo/val/clipfrac", "critic/vf_clipfrac")),
        Metric("importance_ratio", "probability of the sampled tokens under the policy over that when they were sampled", "", (
            "val/ratio", "ppo/policy/ratio", "probs_ratio", "sampling/importance_sampling_ratio/mean")),
        Metric("logp_mismatch", "mean absolute difference of the log-probabilities of the sampler and of the trainer", "nats", (
            "sampling/sampling_logp_difference/mean", "rollout_corr/log_ppl_abs_diff", "rollout_correction/log_ppl_abs_diff")),
        Metric("prob_mismatch", "mean absolute difference of the probabilities of the sampler and of the trainer", "", (
            "training/rollout_probs_diff_mean",)),
        Metric("mismatch_kl", "divergence of the sampler from the trainer, per token", "nats", ("rollout_corr/kl", "rollout_correction/kl", "vllm_kl", "gen_kl_error")),
        Metric("response_length", "mean length of the responses", "tokens", (
            "completions/mean_length", "completion_length", "response_length/mean", "rollout/response_length_mean", "response_len",
            "tokens/responses_len_mean", "mean_gen_tokens_per_sample", "completions/length", "completion_len", "avg_completion_length",
            "avg_completion_len", "avg_response_length")),
        Metric("response_length_max", "length of the longest response", "tokens", ("completions/max_length", "response_length/max")),
        Metric("response_length_min", "length of the shortest response", "tokens", ("completions/min_length", "response_length/min")),
        Metric("truncated_share", "share of the responses that were cut off at the longest length allowed", "fraction", (
            "completions/clipped_ratio", "completions/truncated_fraction", "response_length/clip_ratio", "rollout/truncated_rate",
            "truncated_rate", "truncation_rate", "response_clip_ratio")),
        Metric("chosen_reward", "reward of the preferred answers", "", ("rewards/chosen", "rewards_chosen_mean", "chosen_reward_mean", "chosen_rewards", "chosen_r")),
        Metric("rejected_reward", "reward of the rejected answers", "", (
            "rewards/rejected", "rewards_rejected_mean", "rejected_reward_mean", "rejected_rewards", "rejected_r", "reject_reward")),
        Metric("reward_margin", "reward of the preferred answer less that of the rejected one", "", (
            "rewards/margins", "rewards/margin", "margin", "margins", "reward_margins", "reward_gap")),
        Metric("reward_accuracy", "share of the pairs whose preferred answer has the higher reward", "fraction", (
            "rewards/accuracies", "rewards/accuracy")),
        Metric("chosen_logp", "log-probability of the preferred answers", "nats", ("logps/chosen", "chosen_logps")),
        Metric("rejected_logp", "log-probability of the rejected answers", "nats", ("logps/rejected", "rejected_logps")),
        Metric("chosen_logit", "mean logit of the preferred answers", "", ("logits/chosen",)),
        Metric("rejected_logit", "mean logit of the rejected answers", "", ("logits/rejected",)),
        Metric("log_odds_ratio", "log-sigmoid of the log odds of the preferred over the rejected answer", "", ("odds_ratio_loss",)),
    )
}  # fmt: skip

TIME_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "msec": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0,
              "seconds": 1.0, "m": 60.0, "min": 60.0, "mins": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0}  # fmt: skip
_COUNTS = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_SIZES = {
    "b": 1.0,
    "bytes": 1.0,
    "kb": 2.0**10,
    "kib": 2.0**10,
    "m": MIB,
    "mb": MIB,
    "mib": MIB,
    "g": GIB,
    "gb": GIB,
    "gib": GIB,
}
# The unit of a metric: {how a unit of its kind is spelled, in lower case: what to multiply with}.
UNITS: dict[str, dict[str, float]] = {
    "s": TIME_UNITS,
    "bytes": _SIZES,
    "fraction": {"%": 1e-2, "pct": 1e-2, "percent": 1e-2},
    "nats per token": {"nats": 1.0, "bits": LN2},
    "tokens": _COUNTS,
    "samples": _COUNTS,
    "tokens/s": _COUNTS,
    "TFLOP/s": {"tflops": 1.0, "gflops": 1e-3, "pflops": 1e3},
}


def unit_scale(metric: str, unit: str) -> float:
    """Return the factor that brings a value of a canonical metric, written with this unit, to the unit of the metric.

    >>> unit_scale("step_time_s", "ms"), unit_scale("accuracy", "%"), unit_scale("loss", "x")
    (0.001, 0.01, 1.0)
    """
    measure = metric.rpartition("/")[2].lower()
    known = METRICS.get(measure)
    kind = known.unit if known else next((kind for end, kind in _ENDINGS if measure.endswith(end)), "")
    return UNITS.get(kind, {}).get(unit.lower(), 1.0)


_ENDINGS = (("_s", "s"), ("_bytes", "bytes"), ("loss", "nats per token"), ("hfu", "fraction"))  # of names nobody knows
