"""What libraries of post-training call their metrics, by trainer, and which metric each is: `name=metric`, a name alone is kept as it is, `~` is a blank.

Of TRL from the output of real runs (`tests/record/test_trl_stores.py`) and, where marked, its sources; of the others from the sources of
the version named. `tests/gather/test_spellings.py` reads every name.
"""

from __future__ import annotations

_TRAINER = "loss=loss grad_norm=grad_norm learning_rate=lr epoch=epoch"
_PAIRS = (
    "rewards/chosen=chosen_reward rewards/rejected=rejected_reward rewards/margins=reward_margin rewards/accuracies=reward_accuracy "
    "logps/chosen=chosen_logp logps/rejected=rejected_logp logits/chosen=chosen_logit logits/rejected=rejected_logit"
)
_COMPLETIONS = (
    "completions/mean_length=response_length completions/min_length=response_length_min completions/max_length=response_length_max "
    "completions/clipped_ratio=truncated_share completions/mean_terminated_length completions/min_terminated_length completions/max_terminated_length"
)
_GROUPS = (
    "reward=reward reward_std=reward_std frac_reward_zero_std=zero_std_share rewards/right/mean=rewards/right rewards/right/std "
    "clip_ratio/region_mean=clip_ratio clip_ratio/low_mean clip_ratio/low_min clip_ratio/high_mean clip_ratio/high_max"
)
SPELLINGS: dict[str, str] = {
    "TRL 1.16.0, SFTTrainer": f"{_TRAINER} mean_token_accuracy=accuracy entropy=entropy num_tokens=tokens",
    "TRL 1.16.0, DPOTrainer": f"{_TRAINER} {_PAIRS} mean_token_accuracy=accuracy entropy=entropy num_tokens=tokens",
    "TRL 1.16.0, KTOTrainer": f"{_TRAINER} {_PAIRS.replace('rewards/accuracies=reward_accuracy ', '')} kl=kl entropy=entropy num_tokens=tokens",
    "TRL 1.16.0, RewardTrainer": f"{_TRAINER} min_reward=reward_min mean_reward=reward max_reward=reward_max accuracy=reward_accuracy "
    "margin=reward_margin num_tokens=tokens",
    "TRL 1.16.0, GRPOTrainer": f"{_TRAINER} {_GROUPS} {_COMPLETIONS} kl=kl entropy=entropy num_tokens=tokens step_time=step_time_s",
    "TRL 1.16.0, RLOOTrainer": f"{_TRAINER} {_GROUPS} {_COMPLETIONS} kl=kl entropy=entropy num_tokens=tokens step_time=step_time_s",
    "TRL 1.16.0, GRPOTrainer with vLLM, tools and other losses (sources)": "loss=loss reward=reward policy_loss=policy_loss cispo_clip_ratio=clip_ratio "
    "sampling/sampling_logp_difference/mean=logp_mismatch sampling/importance_sampling_ratio/mean=importance_ratio "
    "sampling/sampling_logp_difference/max sampling/importance_sampling_ratio/min sampling/importance_sampling_ratio/max tools/call_frequency "
    "tools/failure_frequency aux_loss entropy_coef vespo/phi_seq_mean",
    "TRL 1.16.0, DistillationTrainer (sources)": f"{_TRAINER} {_COMPLETIONS} entropy=entropy num_tokens=tokens step_time=step_time_s",
    "TRL 1.16.0, ORPOTrainer and CPOTrainer (sources)": f"{_TRAINER} {_PAIRS} log_odds_ratio=log_odds_ratio log_odds_chosen nll_loss",
    "TRL 1.16.0, OnlineDPOTrainer (sources)": f"{_TRAINER} {_PAIRS.rpartition(' logits/chosen')[0]} objective/scores=reward objective/kl=sequence_kl "
    "objective/entropy objective/non_score_reward objective/rlhf_reward objective/scores_margin val/contain_eos_token beta",
    "verl 0.9.1, PPO and GRPO": "actor/pg_loss=policy_loss actor/grad_norm=grad_norm actor/lr=lr actor/entropy=entropy actor/kl_loss=kl actor/kl_coef=kl_coef "
    "actor/ppo_kl=update_kl actor/pg_clipfrac=clip_ratio critic/score/mean=reward critic/rewards/max=reward_max critic/rewards/min=reward_min "
    "critic/advantages/mean=advantage critic/vf_loss=value_loss critic/vf_clipfrac=value_clip_ratio critic/vf_explained_var=explained_variance "
    "critic/grad_norm=value_grad_norm response_length/mean=response_length response_length/max=response_length_max "
    "response_length/min=response_length_min response_length/clip_ratio=truncated_share training/rollout_probs_diff_mean=prob_mismatch "
    "rollout_corr/kl=mismatch_kl rollout_corr/log_ppl_abs_diff=logp_mismatch perf/time_per_step=step_time_s perf/max_memory_allocated_gb=mem_bytes "
    "perf/max_memory_reserved_gb=mem_reserved_bytes training/epoch=epoch val-core/gsm8k/reward/mean@1=gsm8k/reward "
    "actor/pg_clipfrac_lower critic/lr critic/rewards/mean critic/score/max critic/score/min critic/advantages/max critic/advantages/min "
    "critic/returns/mean critic/values/mean critic/vpred_mean prompt_length/mean response/aborted_ratio perf/throughput perf/mfu/actor "
    "perf/total_num_tokens timing_s/gen timing_s/update_actor training/rollout_probs_diff_max training/rollout_probs_diff_std rollout_corr/rollout_is_mean",
    "verl 0.9.1, the KL as a part of the reward": "critic/rewards/mean=reward actor/reward_kl_penalty=kl actor/reward_kl_penalty_coeff=kl_coef "
    "actor/entropy_loss=entropy",
    "OpenRLHF 0.11.2, PPO and its relatives": "policy_loss=policy_loss actor_lr=lr actor_grad_norm=grad_norm critic_loss=value_loss "
    "critic_grad_norm=value_grad_norm kl=kl ppo_kl=update_kl ppo_clip_ratio=clip_ratio vllm_kl=mismatch_kl reward=reward response_length=response_length "
    "rollout/reward_std=reward_std rollout/truncated_rate=truncated_share entropy_loss=entropy critic_lr values score return group_reward_std total_length "
    "response_clip_ratio truncated rollout/reward_mean rollout/response_length_mean rollout/num_samples timing/generation timing/make_experience "
    "timing/ppo_train timing/broadcast timing/step_total dynamic_filtering_pass_rate logprobs_diff is_filter_ratio",
    "OpenRLHF 0.11.2, DPO and reward models": "loss=loss acc=reward_accuracy chosen_reward=chosen_reward reject_reward=rejected_reward lr=lr "
    "grad_norm=grad_norm nll_loss loss_mean acc_mean",
    "ms-swift 4.6.0, GRPO": f"{_TRAINER} {_GROUPS} {_COMPLETIONS.rpartition(' completions/mean_t')[0]} kl=kl entropy/mean=entropy "
    "memory(GiB)=mem_bytes train_speed(s/it)=step_time_s rollout_correction/kl=mismatch_kl rollout_correction/log_ppl_abs_diff=logp_mismatch "
    "entropy/max entropy/min entropy/threshold num_turns rollout_correction/k3_kl rollout_correction/is_weight_mean",
    "ms-swift 4.6.0, DPO": f"{_TRAINER} {_PAIRS} token_acc=accuracy memory(GiB)=mem_bytes train_speed(s/it)=step_time_s nll_loss",
    "LLaMA-Factory 0.9.6, DPO and its relatives": f"{_TRAINER} {_PAIRS} odds_ratio_loss=log_odds_ratio sft_loss",
    "LLaMA-Factory 0.9.6, trainer_log.jsonl": "loss=loss reward=reward lr=lr epoch=epoch accuracy=accuracy total_tokens=tokens throughput vram_allocated "
    "vram_reserved percentage",
    "axolotl 0.18.0, beside the names of TRL": f"{_TRAINER} {_PAIRS} log_odds_ratio=log_odds_ratio log_odds chosen_geometric_mean rejected_geometric_mean "
    "ppl=ppl memory/max_active~(GiB)=mem_bytes memory/device_reserved~(GiB)=mem_reserved_bytes memory/max_allocated~(GiB) tokens/total=tokens "
    "tokens/train_per_sec_per_gpu=tokens_per_sec_per_device tokens/trainable",
    "unsloth 2026.8, GRPO": f"{_TRAINER} {_GROUPS} completion_length=response_length kl=kl "
    "sampling/sampling_logp_difference/mean=logp_mismatch sampling/importance_sampling_ratio/mean=importance_ratio "
    "sampling/sampling_logp_difference/max sampling/importance_sampling_ratio/min sampling/importance_sampling_ratio/max",
    "NeMo-RL 0.6.0, GRPO": "train/loss=loss train/reward=reward train/grad_norm=grad_norm train/lr=lr train/kl_penalty=kl train/gen_kl_error=mismatch_kl "
    "train/approx_entropy=entropy train/probs_ratio=importance_ratio train/advantages/mean=advantage train/mean_gen_tokens_per_sample=response_length "
    "train/truncation_rate=truncated_share validation/accuracy=val/accuracy train/probs_ratio_clamped train/token_mult_prob_error train/policy_kl_error "
    "train/js_divergence_error train/sampling_importance_ratio train/num_valid_samples train/positive_nll_loss",
    "NeMo-RL 0.6.0, DPO and reward models": "train/loss=loss train/grad_norm=grad_norm train/accuracy=reward_accuracy "
    "train/rewards_chosen_mean=chosen_reward train/rewards_rejected_mean=rejected_reward train/sft_loss train/preference_loss train/num_valid_samples",
    "trlx 0.7.0, PPO": "losses/policy_loss=policy_loss losses/value_loss=value_loss policy/approx_kl=update_kl policy/clipfrac=clip_ratio "
    "values/clipfrac rollout_scores/mean=reward kl_ctl_value=kl_coef learning_rate_group_0=lr losses/total_loss=loss rollout_scores/std "
    "policy/sqrt_kl policy/kl_per_token returns/mean values/mean values/values_error ratio time/forward time/backward",
    "the code of the authors of DPO, 2023": "rewards_train/chosen=chosen_reward rewards_train/rejected=rejected_reward rewards_train/margins=reward_margin "
    "rewards_train/accuracies=reward_accuracy logps_train/chosen=chosen_logp logps_train/rejected=rejected_logp loss/train=loss grad_norm=grad_norm "
    "rewards_eval/chosen=val/chosen_reward rewards_eval/margins=val/reward_margin rewards_eval/accuracies=val/reward_accuracy "
    "logps_eval/chosen=val/chosen_logp loss/eval=val/loss examples_per_second",
}


def names_of(spellings: str) -> dict[str, str]:
    """Return {name: the metric that it is, or itself where it is kept}.

    >>> names_of("learning_rate=lr aux_loss")
    {'learning_rate': 'lr', 'aux_loss': 'aux_loss'}
    """
    found = (each.replace("~", " ").partition("=") for each in spellings.split())
    return {name: metric or name for name, _, metric in found}


def page() -> str:
    """Return the section of the page: for each trainer, what its names are and which are kept."""
    lines = [
        "\n## Names in post-training\n",
        "By library, version and trainer; with `eval_` in front, or `eval/`, they are those of an evaluation. The last column is kept as it is, and drawn"
        " on demand; a test reads every name.\n",
        "| library and trainer | name: metric | kept under their own names |",
        "|---|---|---|",
    ]
    for trainer, spellings in SPELLINGS.items():
        names = names_of(spellings)
        known = ", ".join(
            f"`{n}`: `{m}`" if n != m else f"`{n}`" for n, m in names.items() if f"{n.replace(' ', '~')}=" in spellings
        )
        kept = ", ".join(f"`{n}`" for n in names if f"{n.replace(' ', '~')}=" not in spellings)
        lines.append(f"| {trainer} | {known} | {kept or '–'} |")
    return "\n".join(lines) + "\n"
