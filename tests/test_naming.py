"""What names of columns and printed numbers stand for: one table for printed logs, tables, JSON Lines and trackers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.metrics import GIB, LN2, METRICS, MIB, unit_scale
from lmdiag.naming import evaluation_set, evaluation_sets, is_other_term, is_step_name, spelling, step_rank, words_of
from lmdiag.readers.tables.column_names import canonical

# (who writes it, metric with its set, what brings its values to the unit of the metric, spellings)
KNOWN = [
    ("loops of their own", "loss", 1, """loss|Loss|LOSS|losses|train_loss|train-loss|train.loss|train/loss|Train loss|Training Loss
        |training.loss|losses/train|loss_mean|loss_avg|loss_total|avg_train_loss|cost|ce|CE loss|xent|TrainLoss|trainLoss|trainloss
        |tr_loss|loss/train|Loss/Train|loss_train|loss_per_token|running_loss|epoch_loss|batch_loss|loss_value|Loss Value"""),
    ("Megatron-LM, NeMo", "loss", 1, "lm loss|lm-loss|lm_loss|lm-loss-training/lm loss|reduced_train_loss"),
    ("torchtitan, Composer, OLMo", "loss", 1, """loss_metrics/global_avg_loss|loss/train/total|metrics/train/LanguageCrossEntropy
        |TrainIterStats/loss|train/CE loss|metrics.train.loss|loss/train_total"""),
    ("masked language models", "loss", 1, "mlm_loss|train/mlm_loss|train_loss_mlm|masked_lm_loss"),
    ("Lightning", "loss", 1, "train_loss_step|train_loss_epoch|train_loss_local"),
    ("fairseq, LLaMA-Adapter, Megatron's relatives", "loss", 1, "nll_loss|closs|trl|ntp_loss|learning/loss"),
    ("Joey NMT", "loss", 1, "train/train_batch_loss"),
    ("MaxText, T5X", "loss", 1, "log_ppl|log perplexity"),
    ("Marian, ESPnet, Lightning, timm", "lr", 1, """L.r.|optim0_lr0|lr-AdamW|lr-AdamW/pg1|lr-SGD|lr-DecoupledAdamW/group0|lr|LR|lrs
        |learning rate|learning-rate|learningRate|Learning_Rate|learning_rate_0|base_lr|current_lr|lr_group_0|train/learning_rate
        |optim/LR (group 0)|learning-rate/learning-rate|epoch_learning_rate|actor/lr|TrainIterStats/current_lr"""),
    ("lr in thousandths", "lr", 1e-3, "lr(1e-3)|train/lr(1e-3)"),
    ("every trainer", "grad_norm", 1, """grad_norm|grad-norm|Gradient Norm|gradNorm|gnorm|grdn|total_norm|norm|grad norm|gradient/norm
        |train/grad_norm|grad_norm_total|total_grad_norm|global_grad_norm|raw_grad_norm|grad-norm/grad-norm|l2_norm/grad/global|
        avg_grad_norm|actor/grad_norm|||grad||||gn"""),
    ("evaluations", "val/loss", 1, """eval_loss|val_loss|val-loss|val.loss|valLoss|val/loss|valid_loss|Validation Loss|loss/val|loss_val
        |dev_loss|held-out loss|Loss/Validation|metrics/eval/LanguageCrossEntropy|val_loss_epoch|EvalStats/avg_loss|avg_val_loss
        |metrics.eval.loss|lm loss validation|val_cost|val_loss_mean|validation_metrics/loss|Val. Loss|loss_value_val"""),
    ("tests", "test/loss", 1, "test_loss|test/lm_loss|TestLoss|loss_test"),
    ("estimates of the training loss", "train/loss", 1, "train_loss_eval|eval_train_loss|val/train loss|train_eval_loss"),
    ("several sets", "g0/loss", 1, "eval_g0_loss|g0/val_loss|loss/val_g0|val/g0/loss|eval.g0.loss"),
    ("OLMo", "c4_en-validation/loss", 1, "eval/c4_en-validation/CrossEntropyLoss|eval/c4_en-validation/CE loss"),
    ("perplexities", "val/ppl", 1, "val_ppl|Val. PPL|Validation Perplexity|eval/perplexity|lm loss validation ppl|ppl/val"),
    ("perplexities", "ppl", 1, "ppl|perplexity|train_ppl|Ppl|lm loss ppl|avg_ppl"),
    ("bits", "val/bpb", 1, "val_bpb|val/bpb|val_bits_per_byte|val_loss_bits_per_byte"),
    ("nats per byte", "val/bpb", 1 / LN2, "val_loss_nats_per_byte|val/nats_per_byte"),
    ("losses in bits", "val/loss", LN2, "val_loss_bits|val_bits_per_token|val/loss (bits)|val_bpt"),
    ("losses in nats", "loss", 1, "loss_nats|train_loss_nats|loss (nats)|loss_nats_per_token"),
    ("classifiers", "val/accuracy", 1, "eval_accuracy|val_acc|valid accuracy|accuracy/val|Acc_Val"),
    ("timm", "accuracy", 1, "Acc@1|acc1|top1_acc|acc|train_acc"),
    ("shares in percent", "mfu", 1e-2, "mfu_pct|mfu(%)|mfu_percent|MFU (%)|perf/mfu_pct"),
    ("shares in percent", "val/accuracy", 1e-2, "val_acc_pct|val_accuracy(%)"),
    ("Hugging Face", "tokens", 1, "num_input_tokens_seen|num_tokens|tokens|total_tokens|tokens_seen|tokens seen|train/tokens"),
    ("tables for people", "tokens", 1e6, "tokens_M|tokens (M)|total_tokens_M"),
    ("Megatron-LM", "samples", 1, "consumed_samples|consumed samples|samples_seen"),
    ("rates", "tokens_per_sec", 1, """tok/s|tok/sec|tokens/s|tokens/sec|tok_per_sec|tokens_per_second|tokens_s
        |train_tokens_per_second|throughput/tokens_per_sec|avg tokens/s"""),
    ("Marian", "words_per_sec", 1, "words/s|words per second|words_per_sec"),
    ("torchtitan, fairseq, Composer", "tokens_per_sec_per_device", 1, """tps|wps|tgs|tokens/s/device|tokens_per_sec_per_gpu
        |throughput/device/TPS|throughput(tps)|tokens_per_second_per_gpu"""),
    ("Paddle, ms-swift, mlx-lm, TensorFlow", "steps_per_sec", 1, """interval_steps_per_second|train_speed(iter/s)|It/sec|it/s|steps/s
        |steps_per_sec|global_step/sec|train_steps_per_second"""),
    ("Megatron-LM, nanoGPT", "step_time_s", 1e-3, """elapsed time per iteration (ms)|dt_ms|step_ms|iter_ms|time_ms|ms/batch|ms_per_step
        |iter_time_ms|iteration_time(ms)|ms/iter|step time (ms)"""),
    ("DINO, verl, torchtitan, ms-swift", "step_time_s", 1, """updt_s|timing_s/step|time_metrics/end_to_end(s)|s/it|sec/step
        |iteration_time(s)|iteration-time/iteration-time|train_step_timing|train_speed(s/it)|batch_cost|avg_batch_cost|step_time
        |seconds_per_step|step_time_seconds|time_per_iteration|dt"""),
    ("DINO, Paddle", "data_time_s", 1, "data_s|data_time|reader_cost|avg_reader_cost|time_metrics/data_loading(s)"),
    ("memory", "mem_bytes", GIB, """memory(GiB)|max_active (GiB)|memory/max_mem_active(gib)|mem_gb|memory/max_active(GiB)|peak_mem_gb
        |perf/max_memory_allocated_gb|GPU memory (GB)|mem_GiB"""),
    ("memory", "mem_bytes", MIB, "mem_mb|memory_mib|peak_memory (MiB)"),
    ("memory", "mem_bytes", 1, "mem_bytes|memory_bytes|mem_allocated_bytes|Peak mem"),
    ("memory", "mem_reserved_bytes", GIB, "memory/device_mem_reserved(gib)|perf/max_memory_reserved_gb"),
    ("W&B", "elapsed_s", 1, "_runtime"),
    ("Hugging Face", "val/eval_time_s", 1, "eval_runtime|eval/runtime"),
    ("DeepSpeed", "loss_scale", 1, "loss_scale|loss-scale/loss-scale|grad_scale|lossScale"),
    ("TRL, unsloth, ms-swift", "reward", 1, "reward|train/reward|rewards/mean|env/reward_mean|objective/scores|ppo/mean_scores"),
    ("verl, OpenRLHF, DeepSpeed-Chat, trlx", "reward", 1, """critic/score/mean|critic/rewards/mean|rollout/reward_mean|average reward score
        |reward/mean|exp_scores/mean"""),
    ("TRL", "val/reward", 1, "eval_reward|eval/reward"),
    ("verl", "openai/gsm8k/reward", 1, "val-core/openai/gsm8k/reward/mean@1|val-core/openai/gsm8k/acc/mean@8|val/test_score/openai/gsm8k"),
    ("TRL, unsloth", "reward_std", 1, "reward_std|train/reward_std|env/reward_std|ppo/std_scores|rollout/reward_std"),
    ("TRL", "zero_std_share", 1, "frac_reward_zero_std|train/frac_reward_zero_std"),
    ("TRL, verl, NeMo-RL", "kl", 1, "kl|train/kl|actor/kl_loss|kl_penalty|critic/kl"),
    ("TRL's PPO", "sequence_kl", 1, "objective/kl|ppo_stats/objective/kl"),
    ("TRL, verl, trlx", "update_kl", 1, "policy/approxkl_avg|ppo/policy/approxkl|policy/approx_kl|actor/ppo_kl"),
    ("TRL, ms-swift, verl", "entropy", 1, "entropy|entropy/mean|policy/entropy_avg|actor/entropy|ppo/policy/entropy"),
    ("TRL, trlx, verl, DeepSpeed-Chat", "policy_loss", 1, "policy_loss|loss/policy_avg|losses/policy_loss|actor/pg_loss|act_loss"),
    ("TRL, trlx, verl, DeepSpeed-Chat", "value_loss", 1, """value_loss|loss/value|loss/value_avg|train/loss/value|losses/value_loss
        |critic/vf_loss|cri_loss|critic_loss"""),
    ("TRL, verl", "explained_variance", 1, "ppo/val/var_explained|ppo_stats/ppo/val/var_explained|critic/vf_explained_var|explained_variance"),
    ("TRL, verl", "clip_ratio", 1, "clip_ratio/region_mean|clip_ratio|policy/clipfrac_avg|actor/pg_clipfrac|ppo/policy/clipfrac"),
    ("TRL's PPO, whose val is the value function", "value_clip_ratio", 1, "val/clipfrac_avg|critic/vf_clipfrac"),
    ("TRL's PPO, whose val is the value function", "importance_ratio", 1, "val/ratio|train/val/ratio|probs_ratio"),
    ("TRL, unsloth, verl", "response_length", 1, """completions/mean_length|completions / mean_length|completion_length|response_length/mean
        |tokens/responses_len_mean"""),
    ("TRL, verl, OpenRLHF", "truncated_share", 1, "completions/clipped_ratio|response_length/clip_ratio|rollout/truncated_rate"),
    ("TRL, verl, OpenRLHF", "logp_mismatch", 1, "sampling/sampling_logp_difference/mean"),
    ("verl", "prob_mismatch", 1, "training/rollout_probs_diff_mean"),
    ("OpenRLHF, verl, NeMo-RL", "mismatch_kl", 1, "vllm_kl|rollout_corr/kl|gen_kl_error"),
    ("TRL, NeMo-RL", "chosen_reward", 1, "rewards/chosen|rewards / chosen|train/rewards/chosen|rewards_chosen_mean|Rewards/chosen"),
    ("TRL, OpenRLHF", "rejected_reward", 1, "rewards/rejected|reject_reward"),
    ("TRL", "reward_margin", 1, "rewards/margins|rewards / margins|margin"),
    ("loops of their own", "chosen_reward", 1, "chosen_rewards|chosen_reward_mean|train/chosen_reward_mean|chosen_r"),
    ("loops of their own", "val/rejected_reward", 1, "val/rejected_reward_mean|eval_rejected_rewards"),
    ("loops of their own", "reward_margin", 1, "reward_gap|reward_margins|margins"),
    ("loops of their own", "kl", 1, "kl_div|kl_divergence|mean_kl"),
    ("loops of their own", "clip_ratio", 1, "fraction_clipped|clip_fraction"),
    ("loops of their own", "response_length", 1, "mean_completion_len|completion_len|avg_response_length|mean_response_length"),
    ("loops of their own", "advantage", 1, "advantage_mean|mean_advantage"),
    ("ROLL", "update_kl", 1, "actor/approxkl"),
    ("ROLL", "clip_ratio", 1, "actor/clipfrac"),
    ("TRL", "val/reward_margin", 1, "eval_rewards/margins|eval/rewards/margins"),
    ("TRL", "reward_accuracy", 1, "rewards/accuracies|train/rewards/accuracies|rewards / accuracies"),
    ("TRL", "val/reward_accuracy", 1, "eval_rewards/accuracies|eval/rewards/accuracies"),
    ("TRL", "chosen_logp", 1, "logps/chosen|logps / chosen"),
    ("TRL", "val/rejected_logp", 1, "eval_logps/rejected"),
    ("Keras, Lightning", "epoch", 1, "epoch|train/epoch|current_epoch|Epoch"),
]  # fmt: skip
ROWS = [
    (who, name.strip(), metric, scale)
    for who, metric, scale, names in KNOWN
    for name in names.replace("|||grad||||", "|grad|").split("|")
    if name.strip()
]
UNKNOWN = """
    lrm best_val_loss val_best_loss train/train_loss train_runtime lr_matrix eval_aux_loss epoch_time d_loss kl_loss loss*100 loss^2 loss_aux loss_max global_max_loss lr_group_1 lr-AdamW/pg2 lr_s loss_s grad_norm_pct
    ts/train.py:232 perf/throughput samples/s model_norm max_lr val_loss?
    memory/max_active(%) acc_0 acc5 time/fps time/iterations batch_size max_steps token_count glossary train/train_steps_per_second
""".split()
STEPS = """
    step Step global_step globalStep trainer/global_step train/global_step training/global_step Iter iter iteration Iterations _step
    num_updates update updates steps_done n_iter optimizer_step it trainer/step train_step current_step iter_num step_idx up
    global_step/max_steps total_timesteps time/total_timesteps batch_id opt_step gradient/step
""".split()[:-1]
NO_STEPS = "epoch max_steps eval_step val/step step_time steps_per_sec loss lr warmup_steps save_steps stepsize".split()


@pytest.mark.parametrize(("who", "name", "metric", "scale"), ROWS)
def test_a_name_means_the_same_in_every_kind_of_log(who, name, metric, scale):
    found = spelling(name)
    assert (found.name, found.known) == (metric, True), who
    assert found.scale == pytest.approx(scale), who
    assert canonical(name) == (metric, found.scale)


def test_the_table_is_long_enough():
    assert len({name for _, name, _, _ in ROWS}) > 250


PARTS = [
    (tuple(part.lower() for part in name.replace("-", "_").replace(" ", "_").split("_")), metric)
    for _, name, metric, scale in ROWS
    if scale == 1
    and name.islower()
    and all(len(p) > 2 and p.isalpha() for p in name.replace("-", "_").replace(" ", "_").split("_"))
]


@given(
    st.sampled_from(PARTS),
    st.lists(st.sampled_from("_-./ "), min_size=5, max_size=5),
    st.sampled_from((str.lower, str.upper, str.title)),
)
def test_separators_and_case_do_not_matter(row, separators, case):
    parts, metric = row
    name = parts[0] + "".join(f"{separator}{part}" for separator, part in zip(separators, parts[1:], strict=False))
    if not name.endswith("/value"):
        assert spelling(case(name)).name == metric


@given(st.sampled_from(PARTS))
def test_humps_separate_words(row):
    parts, metric = row
    for name in ("".join(map(str.title, parts)), parts[0] + "".join(map(str.title, parts[1:]))):
        assert spelling(name).name == metric


@given(st.text(st.sampled_from("lossvaleirntg_/.- ()%0é损?"), max_size=24))
def test_no_letter_is_ever_cut(name):
    """What is not known keeps its letters, behind the name of its set."""
    found = spelling(name)
    if not found.known:
        kept = found.name.removeprefix("val/").removeprefix("test/")
        assert kept in ("value", name.strip()) or name.strip().endswith(kept)
        assert found.scale == 1


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_only_looks_like_a_metric_keeps_its_name(name):
    assert not spelling(name).known
    assert spelling(name).name.endswith(name.removeprefix("eval_").removeprefix("val_"))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("rewards/format/mean", "rewards/format"),
        ("rewards/accuracy_reward/std", "rewards/accuracy_reward/std"),
        ("train/rewards/xmlcount_reward_func", "rewards/xmlcount_reward_func"),
        ("rewards / int_reward_func / mean", "rewards/int_reward_func"),
        ("eval_rewards/format/mean", "val/rewards/format"),
    ],
)
def test_parts_of_a_reward_belong_to_the_training_or_to_the_evaluation(name, part):
    assert spelling(name).name == part
    assert evaluation_set(spelling(name).name) == ("val" if name.startswith("eval") else "")


@pytest.mark.parametrize("name", METRICS)
def test_a_canonical_name_stands_for_itself(name):
    assert spelling(name).name == name


@pytest.mark.parametrize("name", ["aux_loss", "z_loss", "actor/pg_loss", "policy_loss", "d_loss", "rewards/margins"])
def test_losses_that_are_no_language_model_loss(name):
    assert is_other_term(name)
    assert spelling(name).name != "loss"


@pytest.mark.parametrize("name", STEPS)
def test_what_counts_steps(name):
    assert is_step_name(name)


@pytest.mark.parametrize("name", NO_STEPS)
def test_what_counts_no_steps(name):
    assert not is_step_name(name)


def test_training_steps_come_before_calls_of_the_logger():
    assert step_rank("global_step/max_steps") < step_rank("iter") < step_rank("_step") < step_rank("total_steps")
    assert step_rank("step") < step_rank("trainer/global_step") == step_rank("train/global_step") < step_rank("_step")


def test_the_plainer_of_two_names_is_known():
    assert spelling("val_loss").surplus < spelling("ema_val_loss_epoch").surplus


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val/loss", "val"),
        ("test/f1", "test"),
        ("c4/ppl", "c4"),
        ("c4_en-validation/n_tokens", "c4_en-validation"),
        ("val/rewards/accuracies", "val"),
        ("eval-core/math/reward", "eval-core/math"),
        ("train/loss", "train"),
        *dict.fromkeys(
            (name, "")
            for name in """
            loss layers/h.0/loss actor/loss critic/loss logits/rejected It/sec perf/throughput ts/train.py:232 time/iter train/speed
            rewards/margins memory/peak throughput/device aux/loss rollout/ppl
            """.split()
        ),
    ],
)
def test_evaluation_sets_are_known_by_their_words_or_by_a_loss(metric, expected):
    assert evaluation_set(metric) == expected


def test_the_sets_of_a_run():
    assert evaluation_sets(["loss", "val/loss", "easy/loss", "easy/n_tokens", "actor/lr"]) == {"val", "easy"}


@pytest.mark.parametrize(
    ("metric", "unit", "scale"),
    [
        ("step_time_s", "ms", 1e-3),
        ("elapsed_s", "h", 3600),
        ("my_own_s", "ms", 1e-3),
        ("mem_bytes", "GiB", GIB),
        ("mem_bytes", "M", MIB),
        ("tokens", "M", 1e6),
        ("val/accuracy", "%", 1e-2),
        ("val/loss", "bits", LN2),
        ("loss", "%", 1),
        ("lr", "ms", 1),
        ("steps", "", 1),
    ],
)
def test_the_unit_says_the_scale(metric, unit, scale):
    assert unit_scale(metric, unit) == pytest.approx(scale)


def test_words():
    assert words_of("LMLoss/GiB TFLOPs") == ("lm", "loss", "gib", "tflops")
    assert words_of("s/it (train)") == ("s", "per", "iter", "train")
    assert words_of("") == words_of("/ -") == ()


@pytest.mark.parametrize("kept", ["set", "data", "split", "bin"])
def test_a_set_and_what_holds_it_are_one_word(kept):
    assert spelling(f"val{kept}_loss").name == "val/loss"
    assert spelling(f"train{kept} loss").name == "loss"
    assert spelling(f"Test{kept}/ppl").name == "test/ppl"
