"""Every rule; which finding explains which, and the order in which causes are tried, is said in `attribution.py`.

To add a rule, write its file in the folder of its family, import it and add it to `RULES`, make one sample log, and run
`make docs`.
"""

from lmdiag.finding import Rule
from lmdiag.rules.convergence import converged_early, not_learning, plateau, stalled, still_improving
from lmdiag.rules.data import (
    bits_per_byte_out_of_range,
    level_shift,
    masked_share,
    replayed_data,
    too_low_loss,
    worse_than_reference,
)
from lmdiag.rules.divergence import divergence, growing_oscillation, oscillation, rising_instability, slow_drift
from lmdiag.rules.generalization import (
    best_checkpoint_not_saved,
    epoch_steps,
    evaluation_below_training,
    flat_evaluation,
    growing_gap,
    metric_disagreement,
    noisy_evaluation,
    overfitting,
)
from lmdiag.rules.gradients import (
    clip_inactive,
    clip_saturation,
    dead_layer,
    embedding_leads_spikes,
    gradient_spike,
    inefficient_batch,
    layer_imbalance,
    vanishing_gradient,
)
from lmdiag.rules.integrity import (
    clock_gap,
    crashed_run,
    few_evaluations,
    frozen_metric,
    masked_nan,
    missing_loss,
    perplexity_mismatch,
    step_gap,
    step_rewind,
    truncated_run,
    wrong_loss_scale,
)
from lmdiag.rules.numerics import loss_scale_collapse, non_finite_gradient, non_finite_loss, zero_loss
from lmdiag.rules.schedule import (
    extreme_update_ratio,
    lr_jump,
    lr_too_high,
    lr_too_low,
    no_decay,
    weight_growth,
    zero_lr,
)
from lmdiag.rules.spikes import early_instability, epoch_boundary_spikes, loss_spike, periodic_spikes, spike_score
from lmdiag.rules.throughput import data_starvation, memory_growth, periodic_stall, slowdown

RULES: tuple[Rule, ...] = (
    step_rewind.check,
    crashed_run.check,
    truncated_run.check,
    step_gap.check,
    clock_gap.check,
    frozen_metric.check,
    perplexity_mismatch.check,
    wrong_loss_scale.check,
    few_evaluations.check,
    masked_nan.check,
    missing_loss.check,
    zero_loss.check,
    non_finite_loss.check,
    non_finite_gradient.check,
    loss_scale_collapse.check,
    zero_lr.check,
    lr_too_high.check,
    lr_too_low.check,
    lr_jump.check,
    divergence.check,
    oscillation.check,
    growing_oscillation.check,
    slow_drift.check,
    rising_instability.check,
    replayed_data.check,
    level_shift.check,
    epoch_boundary_spikes.check,
    periodic_spikes.check,
    early_instability.check,
    loss_spike.check,
    spike_score.check,
    not_learning.check,
    worse_than_reference.check,
    plateau.check,
    stalled.check,
    overfitting.check,
    flat_evaluation.check,
    growing_gap.check,
    evaluation_below_training.check,
    noisy_evaluation.check,
    metric_disagreement.check,
    best_checkpoint_not_saved.check,
    epoch_steps.check,
    converged_early.check,
    still_improving.check,
    too_low_loss.check,
    bits_per_byte_out_of_range.check,
    masked_share.check,
    gradient_spike.check,
    vanishing_gradient.check,
    dead_layer.check,
    layer_imbalance.check,
    embedding_leads_spikes.check,
    clip_saturation.check,
    clip_inactive.check,
    inefficient_batch.check,
    extreme_update_ratio.check,
    weight_growth.check,
    no_decay.check,
    slowdown.check,
    periodic_stall.check,
    data_starvation.check,
    memory_growth.check,
)
