from __future__ import annotations

from lmdiag.beginning import holds_start
from lmdiag.figures import figure
from lmdiag.finding import NOT_TEXT, Finding, Findings, NotChecked, Severity, rule, too_few
from lmdiag.run import Run, Series
from lmdiag.stats.limits import FROM_SCRATCH
from lmdiag.stats.windows import median

LARGEST = 12.8  # nats: guessing among 360,000 tokens, more than any tokenizer in use has
FIRST, LAST = 3, 5  # records
LEARNED = 4.0  # nats: what a run reaches that learns its text from nothing


@rule(family="data", needs=("loss",), severity=Severity.WARNING, min_points=8)
def check(run: Run, losses: Series, *, untrained: float = FROM_SCRATCH, learned: float = LEARNED) -> Findings:
    """Fine-tuning begins at the loss of a model that knows nothing.

    ## What it looks for
    Supervised fine-tuning whose first losses are those at which pre-training begins: the model is asked for tokens that it cannot expect.

    ## How it decides
    The method is supervised fine-tuning, and the median of the first three losses is `untrained` nats per token or more, and none of them is more than guessing
    costs in the largest vocabularies (12.8). It is information where the median of the last five is below `learned` nats: the model was trained from nothing, and learned.

    ## Why it matters
    A pre-trained model needs 0.5 to 3 nats per token on text that it can read. Six nats and more mean other labels than the text: shifted twice, of another
    tokenizer, behind a template that it has never seen, or weights that were not loaded. What is then learned overwrites what it knew.

    ## False alarms it avoids
    Pre-training; small vocabularies, whose guessing costs less; sums over tokens or terms, which exceed every guess; logs that begin late.

    ## What to try
    Decode the labels of one batch, and compare with what the model is to write. Check that no warning said that weights were newly initialised.

    ## References
    - transformers, `ForCausalLMLoss`: it shifts the labels itself, so that labels which are shifted already are shifted twice.
    """
    if run.trained_by != "sft":
        yield NotChecked("the run is no supervised fine-tuning")
        return
    if not run.per_token:
        yield NOT_TEXT
        return
    if len(losses) < FIRST + LAST:
        yield too_few(len(losses), "finite values of the loss", FIRST + LAST)
        return
    start, end = float(median(losses.values[:FIRST])), float(median(losses.values[-LAST:]))
    if not holds_start(run, losses) or start < untrained or losses.values[:FIRST].max() > LARGEST:
        return
    yield Finding(
        f"The loss begins at {figure(start, 3)} nats per token (median of the first three), where an untrained model does, and is {figure(end, 3)} at the end "
        f"(median of the last five): a model that knew the text would begin below {figure(untrained)}.",
        int(losses.steps[0]),
        int(losses.steps[-1]),
        "loss",
        {"first_losses": start, "last_losses": end},
        (
            "Decode the labels of one batch: are they the tokens that follow, not shifted twice, and of the tokenizer of the model?",
            "Check that the weights were loaded: a warning names those that are newly initialised.",
            "Compare the chat template with the one that the model was trained with.",
        ),
        Severity.INFO if end < learned else Severity.WARNING,
    )
