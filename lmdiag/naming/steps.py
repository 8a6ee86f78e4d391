"""Names that count steps."""

from __future__ import annotations

from functools import lru_cache

from lmdiag.languages import in_english
from lmdiag.naming.words import split_up

# Names that count steps, the surest first; `_step` counts the calls of a logger.
STEP_NAMES = """
    step global_step iteration iter optimizer_step train_step current_steps num_updates updates update_step steps iters
    step_end it n_iter nupdates gstep time_total_timesteps total_timesteps num_timesteps _step batch_id batch update iterations batches up minibatch mini_batch
""".split()
_BEFORE_A_STEP = frozenset(
    "train training trainer counters global current cur optimizer optimiser opt total local".split()
)
_BEHIND_A_STEP = frozenset("done num idx index no number completed train training max_steps".split())


def is_step_name(source_name: str) -> bool:
    """Tell whether a column of this name counts steps.

    >>> is_step_name("train/global_step"), is_step_name("loss")
    (True, False)
    """
    return step_rank(source_name) is not None


@lru_cache(maxsize=8192)
def step_rank(source_name: str) -> int | None:
    """Return the place of a name among those that count steps, the surest first; None for other names.

    >>> step_rank("train/global_step") < step_rank("_step"), step_rank("loss")
    (True, None)
    """
    name = in_english(source_name)
    lowered = name.lower()
    if lowered in STEP_NAMES:
        return STEP_NAMES.index(lowered)
    if not any(part in lowered for part in ("step", "it", "up", "batch")):
        return None
    words = [word for word, _, _ in split_up(name.partition("/max_steps")[0])]
    rank, start, end = 0, 0, len(words)
    while start < end:
        joined = "_".join(words[start:end])
        if joined in STEP_NAMES:
            return STEP_NAMES.index(joined) + rank
        if words[start] in _BEFORE_A_STEP:
            rank += 0 if words[start] in ("train", "trainer") else len(STEP_NAMES)
            start += 1
        elif words[end - 1] in _BEHIND_A_STEP:
            rank += len(STEP_NAMES)
            end -= 1
        else:
            return None
    return None
