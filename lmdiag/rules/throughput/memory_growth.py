import numpy as np

from lmdiag.figures import size
from lmdiag.finding import Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Event, Run, Series
from lmdiag.stats.limits import SETTLED
from lmdiag.stats.windows import block_medians

BLOCKS = 20
RISING = 0.75  # share of the blocks that stand above the one before
RISING_LATER = 0.9  # where the growth was looked for: of levels that wander the best part is chosen
FLAT = 0.05  # of the growth: by so much a level may differ from the first before the memory grows
LATE = 15  # blocks: a part that grows is a quarter of the run or more
SURELY = 2  # blocks: in a straight line the third stands above the first by twice `FLAT`
LARGEST_STEP = 0.3  # share of the growth; a single jump is a longer sequence or a fragmented pool
LOOK_AHEAD = 10  # times the run so far
STILL_GROWING = 0.7  # growth of the second half over that of the first: a leak goes in a straight line
LEAST_BYTES = 64 * 2**20
GIB = 2**30
DEVICES_GIB = (16, 24, 32, 40, 48, 80, 96, 141, 192, 288)  # of accelerators in use


@rule(family="throughput", needs=("mem_bytes",), severity=Severity.INFO, min_points=30)
def check(run: Run, memory: Series, *, smallest: float = 1.1, warning: float = 1.2) -> Findings:
    """Memory grows steadily.

    ## What it looks for
    Memory that grows all through the run, or from some step on to its end, instead of settling.

    ## How it decides
    Medians of 20 stretches, the first tenth left out. The last is `smallest` times the first or more, three quarters of the stretches rise, no single
    step makes 30% of the growth, and the second half grows at least 70% as much as the first: what saturates is no leak. Where the first stretches differ by less than 5% of
    the growth, the run is judged from where they end, if that leaves a quarter of it and 20 readings; nine in ten stretches must rise there. A warning from
    `warning` on, with 64 MiB at least; an error where the program then died of a lack of memory.

    ## Why it matters
    The run will die when the memory is full, often after days.

    ## False alarms it avoids
    Allocator warm-up, peaks set by ever longer sequences (rarer and rarer, so the growth slows down), jumps, small processes.

    ## What to try
    Look for tensors kept with their graph (`losses.append(loss)` instead of `loss.item()`), growing lists of metrics, caches without limit.

    ## References
    - PyTorch, FAQ: My model reports "cuda runtime error(2): out of memory".
    """
    memory = memory.at(slice(int(SETTLED * len(memory)), None))
    if len(memory) < BLOCKS:
        yield too_few(len(memory), "readings of the memory after the first tenth", BLOCKS)
        return
    if memory.values[0] <= 0:
        yield NotChecked("the memory starts at 0: it was not measured")
        return
    if memory.values.max() < smallest * memory.values.min():
        return
    later = _growing_part(memory)
    if later is not None and _steady(later, RISING_LATER):
        memory, since = later, f" from {run.place(int(later.steps[0]))} on"
    elif _steady(memory, RISING):
        since = ""
    else:
        return
    levels, _ = block_medians(memory.values, BLOCKS)
    growth = float(levels[-1] - levels[0])
    if levels[-1] < smallest * levels[0]:
        return
    ratio, span = float(levels[-1] / levels[0]), float(memory.steps[-1] - memory.steps[0])
    per_step = growth / (span * (1 - 1 / BLOCKS))
    ran_out = run.status == "crashed" and any(_lack_of_memory(event) for event in run.events)
    grave = ratio >= warning and growth >= LEAST_BYTES
    yield Finding(
        f"Memory grew steadily{since}, from a median of {size(levels[0])} {'there' if since else 'at first'} to {size(levels[-1])}: by "
        f"{size(per_step * 1000)} per 1,000 {run.unit}s{', until there was no more' if ran_out else ''}.",
        int(memory.steps[0]),
        int(memory.steps[-1]),
        "mem_bytes",
        {"first_bytes": float(levels[0]), "last_bytes": float(levels[-1]), "ratio": ratio, "bytes_per_step": per_step},
        _advice(run, memory, per_step, ran_out),
        (Severity.ERROR if ran_out else Severity.WARNING) if grave else Severity.INFO,
    )


def _lack_of_memory(event: Event) -> bool:
    return event.kind == "oom" or "out of memory" in event.message.lower()


def _growing_part(memory: Series) -> Series | None:
    """Return the readings from the last level on that is still the first one; None where it grew from its start, or too late to tell."""
    levels, starts = block_medians(memory.values, BLOCKS)
    flat = np.abs(levels - levels[0]) <= FLAT * (levels[-1] - levels[0])
    last = int(np.argmin(flat)) - 1
    if not SURELY <= last < LATE or len(memory) - starts[last] < BLOCKS:
        return None
    return memory.at(slice(int(starts[last]), None))


def _steady(memory: Series, rising: float) -> bool:
    levels, starts = block_medians(memory.values, BLOCKS)
    growth, rises = levels[-1] - levels[0], np.diff(levels)
    middle = int(np.searchsorted(memory.steps[starts], (memory.steps[0] + memory.steps[-1]) / 2))
    middle = min(max(middle, 1), BLOCKS - 2)  # of the steps, which may be logged ever more rarely
    first, second = levels[middle] - levels[0], levels[-1] - levels[middle]
    return bool(
        (rises > 0).mean() >= rising and rises.max() < LARGEST_STEP * growth and second >= STILL_GROWING * first
    )


def _full(run: Run, memory: Series, per_step: float) -> str:
    """Say when the smallest device that holds the run today would be full; "" where the log does not count steps, or that is
    further off than the run is long."""
    held, last = float(memory.values[-1]) / GIB, int(memory.steps[-1])
    device = next((size for size in DEVICES_GIB if size > held), None)
    if device is None or run.step_kind != "step":
        return ""
    full = last + round((device - held) * GIB / per_step)
    if full - last > LOOK_AHEAD * (last - run.first_step):
        return ""
    return f" A device of {device} GiB would be full near {run.place(full)}."


def _advice(run: Run, memory: Series, per_step: float, ran_out: bool) -> tuple[str, ...]:
    planned = float(run.config.get("max_steps") or 0)
    left = planned - float(memory.steps[-1])
    at_end = (
        f" At this rate it reaches {size(memory.values[-1] + left * per_step)} at {run.place(round(planned))}."
        if left > 0 and run.step_kind == "step"
        else ""
    )
    return (
        f"Keep numbers, not tensors: loss.item() or loss.detach() in whatever collects metrics.{'' if ran_out else at_end + _full(run, memory, per_step)}",
        "Look for caches and lists that only grow; on a GPU record a memory snapshot twice and compare.",
        "Until it is found, restart from a checkpoint before the memory is full.",
    )
