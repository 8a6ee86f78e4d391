from __future__ import annotations

import numpy as np

from lmdiag.figures import figure, percent
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.course import SIGMAS, course
from lmdiag.stats.units import shares
from lmdiag.stats.windows import median

NEARLY_ALL = 0.9
FEWEST = 8  # records
TINY = 1e-9  # nats: rounding of a ratio that is 1
OF_A_POLICY = ("reward", "reward_std", "response_length", "entropy")  # only a policy that changes moves these


@rule(family="reinforcement", needs=("reward",), severity=Severity.ERROR, min_points=FEWEST)
def check(run: Run, rewards: Series) -> Findings:
    """Policy never changes: its gradient or its divergence from the reference stays exactly 0 while rewards differ.

    ## What it looks for
    Training that runs and trains nothing: frozen parameters, a detached graph, an optimizer that holds other parameters, weights that are not synchronised.

    ## How it decides
    The gradient norm is exactly 0 in nine of ten records in which the responses of a group have different rewards. Or the divergence from the reference
    is 0 (to 1e-9 nats) in nine of ten records from the third on while rewards differ, the median gradient norm is not above 0, and nothing else moves
    by three standard errors: neither the reward nor its spread, the length of the responses or their entropy.

    ## Why it matters
    Nothing was learned, and nothing of what the log says about rewards is due to training.

    ## False alarms it avoids
    A gradient of 0 because all rewards of a group are equal (`no-group-signal`), or because there are none; a divergence that is written as 0 where there is no
    reference, while rewards or lengths move, or that a few decimals round to 0; a learning rate of 0 (`zero-lr`).

    ## What to try
    Count the parameters with requires_grad, and compare a weight before and after one step. With adapters and gradient checkpointing, call
    enable_input_require_grads().

    ## References
    - Schulman et al. 2017, Proximal policy optimization algorithms, arXiv:1707.06347.
    """
    if len(rewards) < FEWEST:
        yield too_few(len(rewards), "finite rewards", FEWEST)
        return
    norms, kl = run.series.get("grad_norm"), run.series.get("kl", run.series.get("sequence_kl"))
    if norms is None and kl is None:
        yield NotChecked("the log has neither a gradient norm nor a divergence from the reference")
        return
    stood = norms is not None and bool((norms.values == 0).any())
    differing = _differing(run, norms) if norms is not None and stood else None
    if differing is not None and len(differing) >= 8 and float((differing.values == 0).mean()) >= NEARLY_ALL:
        share = float((differing.values == 0).mean())
        how = f"The gradient norm is exactly 0 in {percent(share)} of the records whose rewards differ"
        yield _finding(run, differing, "grad_norm", how, {"zero_share": share})
    elif kl is not None and len(kl.finite) >= FEWEST and _any_differ(run, rewards) and not _moves(norms, kl):
        values = np.abs(kl.finite.values[2:])
        still = float((values <= TINY).mean())
        moves = course(rewards.values).rises or any(
            _moved(run[name].finite.values) for name in OF_A_POLICY if name in run
        )
        if still >= NEARLY_ALL and not moves:
            how = f"The divergence from the reference is 0 to nine digits in {percent(still)} of the records from the third on"
            yield _finding(run, kl, "kl" if "kl" in run else "sequence_kl", how, {"zero_share": still})


def _differing(run: Run, norms: Series) -> Series | None:
    """Return the gradient norms of the records whose responses differ in reward, None where the log does not tell."""
    spread = run.series.get("reward_std")
    if spread is None:
        return None
    at = spread.steps[np.isfinite(spread.values) & (spread.values > 0)]
    norms = norms.finite.at(np.isin(norms.finite.steps, at))
    if "zero_std_share" in run:
        equal = run["zero_std_share"].finite
        known = shares(equal.values)
        some = equal.steps if known is None else equal.steps[known < 1]
        norms = norms.at(np.isin(norms.steps, some))
    return norms


def _moves(norms: Series | None, kl: Series) -> bool:
    """Tell whether gradients speak against a divergence of 0, or its few decimals hide what it is."""
    pushed = norms is not None and len(norms.finite) > 0 and float(median(norms.finite.values)) > 0
    hidden = bool(kl.finite.values.any()) and kl.rounding > TINY
    return pushed or hidden


def _moved(values: np.ndarray) -> bool:
    """Tell whether a level or the ranks moved by three standard errors, which one of a hundred policies that stand shows in one of four measures."""
    if len(values) < FEWEST:
        return False
    seen = course(values)
    return abs(seen.gain) > SIGMAS * seen.error or abs(seen.trend) > SIGMAS


def _any_differ(run: Run, rewards: Series) -> bool:
    """Tell whether anything could have moved the policy: rewards that differ within a batch, or else from record to record."""
    spread = run.series.get("reward_std")
    return bool((spread.finite.values > 0).any()) if spread is not None else float(np.ptp(rewards.values)) > 0


def _finding(run: Run, seen: Series, metric: str, how: str, evidence: dict[str, float]) -> Finding:
    lr = run.value_at("lr", run.last_step)
    spread = run["reward_std"].finite.values if "reward_std" in run else np.empty(0)
    if len(spread):
        evidence["reward_std"] = float(median(spread))
    return Finding(
        f"{how}: the policy never changes.",
        int(seen.steps[0]),
        int(seen.steps[-1]),
        metric,
        evidence,
        (
            "Check which parameters the optimizer holds: none of those with requires_grad moves.",
            "With adapters and gradient checkpointing, call enable_input_require_grads().",
            f"Check the learning rate: it is {figure(lr, 3)} at the end."
            if lr is not None and np.isfinite(lr)
            else "Check that the learning rate is not 0.",
        ),
    )
