"""Terms that stand beside the loss of a language model."""

from __future__ import annotations

from lmdiag.naming.words import words_of

OTHER_TERMS = frozenset(  # of a loss: what an adversary, a policy, a router or a regularizer adds
    """
    aux auxiliary z d g gen generator generative disc discriminator adv adversarial kl kld vq commit commitment router gate gating
    moe load balance balancing reg regularization regularizer distill distil distillation kd teacher jepa align alignment mtp contrastive recon reconstruction
    policy value pg actor critic act cri entropy reward rewards nsp sop cls box obj dfl mse l1 l2 scale
    """.split()
)


def is_other_term(name: str) -> bool:
    """Tell whether a name is that of a term beside the loss of a language model.

    >>> is_other_term("Aux Loss"), is_other_term("policy_loss"), is_other_term("CE loss")
    (True, True, False)
    """
    return not OTHER_TERMS.isdisjoint(words_of(name))
