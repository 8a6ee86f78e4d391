"""Every rule, in the order of attribution: an earlier rule's finding can explain a later one's.

To add a rule, write its file in the folder of its family, add one line here and one sample log, and run `make docs`.
"""

from lmdiag.finding import Rule
from lmdiag.rules.convergence import not_learning, plateau
from lmdiag.rules.divergence import divergence, oscillation
from lmdiag.rules.generalization import overfitting
from lmdiag.rules.gradients import gradient_spike, vanishing_gradient
from lmdiag.rules.integrity import masked_nan, step_rewind, truncated_run
from lmdiag.rules.numerics import non_finite_gradient, non_finite_loss
from lmdiag.rules.spikes import loss_spike

RULES: tuple[Rule, ...] = (
    step_rewind.check,
    truncated_run.check,
    masked_nan.check,
    non_finite_loss.check,
    non_finite_gradient.check,
    divergence.check,
    oscillation.check,
    loss_spike.check,
    not_learning.check,
    plateau.check,
    overfitting.check,
    gradient_spike.check,
    vanishing_gradient.check,
)
