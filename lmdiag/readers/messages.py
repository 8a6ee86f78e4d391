"""What messages say beside the records of a log: checkpoints, crashes, skipped steps, the end, and facts of the header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lmdiag.facts import printed_fact, put_fact
from lmdiag.patterns import lazy
from lmdiag.readers.numbers import NUM, number
from lmdiag.readers.prefixes import payload
from lmdiag.readers.tables.table import Table
from lmdiag.run import Event

MANY_EVENTS = 500  # of one kind; more are only counted
LONGEST_MESSAGE = 300

# kind, words of which one must stand in the log for the pattern to be tried at all, pattern
_KINDS: tuple[tuple[str, Sequence[str], re.Pattern[str]], ...] = tuple((kind, words, lazy(regex)) for kind, words, regex in (
    (
        "oom",
        ("OutOfMemory", "out of memory", "RESOURCE_EXHAUSTED", "ResourceExhausted", "oom-kill", "oom_kill"),
        r"OutOfMemoryError|CUDA (?:error: )?out of memory|RESOURCE_EXHAUSTED|ResourceExhaustedError|oom[-_]kill",
    ),
    (
        "checkpoint_saved",
        ("aving", "aved", "heckpoint"),
        r"\b[Ss](?:aving|aved) (?:[\w ]{0,20})?(?:checkpoint|model|weights)|[Cc]heckpoint (?:was )?saved|saved checkpoint",
    ),
    (
        "checkpoint_loaded",
        ("esum", "oaded checkpoint", "oading checkpoint from", "oaded state", "oading state", "tarting from iteration", "ontinuing training from"),
        r"\bResum(?:ing|ed) (?:training )?(?:from|at)|\bresum(?:ing|ed) from|success?fully loaded checkpoint|[Ll]oading checkpoint from"
        r"|\b[Ll]oaded checkpoint|\b[Ll]oad(?:ed|ing) (?:the |(?:train(?:ing|er)?|optimi[sz]er|model) )*states? (?:\w+ )?from\b|Loading checkpoint and starting from iteration|Continuing training from (?:global step|epoch|checkpoint)",
    ),
    (
        "skipped_step",
        ("OVERFLOW!", "verflow", "kipping", "ignoring gradient", "etecting inf", "ound inf"),
        r"OVERFLOW!|[Gg]radient overflow|\b[Oo]verflow (?:is )?(?:detected|occurs)|\b[Ff]ound (?:inf|overflow)\w*\b.*(?:skip|grad)"
        r"|\b[Ss]kipping (?:the |this )?(?:optimi[sz]er |parameter |weight )?(?:update|step|batch(?! norm))|[Dd]etecting inf|ignoring gradient",
    ),
    ("smallest_scale", ("inimum",), r"Minimum loss scale reached \(|loss scale already at minimum - cannot"),
    (
        "nan",
        ("oss is ", "oss became", "NaN", "nan loss", "nvalid loss", "inite loss", "oss: nan"),
        r"nan loss encountered|diverged with loss = NaN|[Ll]oss (?:is|became|was) (?:now )?(?:nan|NaN|NAN|inf|infinite|not finite|non-finite)\b|due to NaN loss|Invalid loss, terminating"
        r"|(?:NaN|nan|Inf)s?\b[\w ]{0,24}\b(?:in|the) (?:the )?(?:training |train )?loss\b|[Nn]on-?finite loss|[Ll]oss: nan, stopping",
    ),
    (
        "nan_gradient",
        ("grad",),
        r"(?i:\b(?:nan|inf|non-?finite)\b[/\w ,-]{0,24}\bgrad(?:ient)?s?(?: norm)?s?\b (?:occurs|detected|found|encountered)"
        r"|\b(?:detected|found|encountered) (?:a |an )?(?:nan|inf|non-?finite)\b[/\w ,-]{0,24}\bgrad"
        r"|\bgrad(?:ient)?(?: norm)? (?:is|became) (?:nan|inf|not finite|non-finite)\b)",
    ),
    (
        "killed",
        ("KeyboardInterrupt", "slurmstepd", "CANCELLED", "DUE TO TIME LIMIT", "PREEMPT", "SIGTERM", "SIGKILL"),
        r"KeyboardInterrupt|slurmstepd: error|CANCELLED|DUE TO TIME LIMIT|PREEMPT|\bSIG(?:TERM|KILL)\b",
    ),
    ("communication_error", ("NCCL", "Watchdog"), r"NCCL (?:\w+ )*(?:timeout|error)|Watchdog caught collective"),
    (
        "end",
        ("stopping_early", "raining comp", "raining fin", "raining time", "nd of training", "raining done", "EXIT_CODE=",
         "raining is done", "inished training", "training ended", "arly stop", "topped early", "topping early"),
        r"^\W*stopping_early|\b[Tt]raining (?:is )?(?:now )?(?:completed?|finished|done)\b|[Tt]otal training time"
        r"|\b[Ee]nd of training|EXIT_CODE=0\b|[Ff]inished training|after training is done"
        r"|\b[Ee]arly[ -][Ss]topp(?:ing|ed) (?:was |is )?(?:triggered|reached|activated|at (?:epoch|step|iter)|after \d)|\b[Ss]topp(?:ed|ing) early\b",
    ),
))  # fmt: skip
_ALL_WORDS = {word for _, words, _ in _KINDS for word in words}
_WORDS = tuple(word for word in sorted(_ALL_WORDS) if not any(other in word for other in _ALL_WORDS - {word}))
_STEP = lazy(r"(?:iteration|step|iter|it|updates?)[\s:=_/-]*(\d{1,15})\b|checkpoint-(\d{1,15})\b", re.IGNORECASE)
_PATH = lazy(r"(?:\b(?:to|from|at|in|into|checkpoint)|:)\s+['\"`]?([\w.~-]*[/\\][^\s'\"`,]+)")
_SCALE_WAS = lazy(rf"[Aa]ttempted loss scale:?\s*({NUM})")
_SCALE = lazy(
    rf"(?:(?:reduc|decreas|sett|lower)ing (?:the )?(?:loss )?scale to:?|, reducing to|loss scale (?:is now|now)|[Nn]ew loss scale:?)\s*({NUM})"
)
LONGEST_NAME, MOST_WORDS = 60, 5  # of a fact, in characters and words
_ASSIGNED = lazy(rf"(?:[:=]|(?<!\.)\.{{3,}}+|\bis)\s*({NUM})([KMB]?)(?![\w.])")
_BETWEEN_NAMES = lazy(r"[,;(){}\[\]|\"'\t]|\s-\s|[:=]\s?|\.{3,}")
_SENTENCES = (  # (words in it, fact, pattern)
    ("otal batch size", "batch_tokens", lazy(rf"[Tt]otal batch size ({NUM}) => ")),
    ("accumulation over", "grad_accum", lazy(rf"[Gg]radient accumulation over ({NUM}) batch")),
)
TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = lazy(  # alone in a line it is a class, and no end of a word that was wrapped: `xt__`
    r"[A-Za-z_][\w.]*:|(?:[\w.]+\.)?_*(?:[A-Z]\w*|\w*(?:error|timeout))$"
)
_QUOTED = lazy(r"[\"']\s*$")  # what a program that was run for its answer printed
_COMMENT = lazy(r"[\s>-]*(?:\d+\s+)?#\s")  # numbered by IPython
_INDENTED = lazy(r"(?:\[?(?:rank|default)?\d+\]?:)? ")


class EventWatcher:
    """Looks at every piece that is no record and notes what happened at which step."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._open: set[int | None] = set()
        self._counts: Counter[str] = Counter()
        self._rank: int | None = None  # that says which steps were skipped
        self._after: dict[str, int] = {}  # rows read before the last event of a kind

    def see(self, piece: str) -> None:
        """Look at one piece of chatter."""
        if self._open or "Traceback" in piece:
            self._follow_traceback(piece)
        if self._open and _COMMENT.match(piece):
            return  # of a source that a traceback shows
        for kind, words, pattern in _KINDS if any(map(piece.__contains__, _WORDS)) else ():
            if any(word in piece for word in words) and pattern.search(piece):
                self._note(kind, piece)
                return

    def _follow_traceback(self, piece: str) -> None:
        text, rank = payload(piece)
        if TRACEBACK in piece:
            if not _QUOTED.search(piece.partition(TRACEBACK)[0]):
                self._open.add(rank)
        elif rank in self._open and _EXCEPTION.match(text) and not _INDENTED.match(piece):
            self._open.discard(rank)
            self._note("killed" if text.startswith("KeyboardInterrupt") else "exception", text)

    def _note(self, kind: str, piece: str) -> None:
        self._counts[kind] += 1
        self._after[kind] = self._table.rows_seen
        scale = self._skipped(piece) if kind == "skipped_step" else None
        if self._counts[kind] <= MANY_EVENTS:
            named = _STEP.search(piece)
            step = int(named[1] or named[2]) if named and kind.startswith("checkpoint") else self._table.last_step
            fields: dict[str, Any] = {"status": "completed"} if kind == "end" else {}
            if scale is not None:
                fields["loss_scale"] = scale
            if kind.startswith("checkpoint") and (path := _PATH.search(piece)):
                fields["path"] = path[1].rstrip(".")
            message = payload(piece)[0] if kind.startswith(("nan", "smallest")) else piece.strip()  # quoted by a rule
            self._table.happened(Event(kind, step, message[:LONGEST_MESSAGE], fields))

    def _skipped(self, piece: str) -> float | None:
        """Keep what a message says about a step that was not taken, and return the scale that it leaves; of several ranks the first to say so is heard."""
        rank = payload(piece)[1]
        if not self._table.said:
            self._rank = rank
        values = {} if "kipping batch" in piece else {"skipped": 1.0}
        for name, pattern in (("loss_scale before", _SCALE_WAS), ("loss_scale", _SCALE)):
            if scale := pattern.search(piece):
                values[name] = number(scale[1])
        if values and rank == self._rank:
            self._table.said.append((self._table.rows_seen, values))
            return values.get("loss_scale")
        return None

    def finish(self) -> None:
        """Say how the run ended where the log says so behind its last record, and what was too much to list."""
        rows = self._table.rows_seen
        for kind, count in self._counts.items():
            if count > MANY_EVENTS:
                self._table.notes.append(f"{count} events of kind {kind}; the first {MANY_EVENTS} are listed")
        at_the_end = {kind for kind, seen in self._after.items() if seen >= rows}
        status = "crashed" if at_the_end & {"oom", "exception", "nan"} else "killed" if "killed" in at_the_end else ""
        ended = any(
            event.kind == "end" and row >= rows for event, row in zip(self._table.events, self._table.event_rows)
        )
        if status and not ended:
            self._table.happened(Event("end", self._table.last_step, "", {"status": status}))


def find_facts(piece: str, config: dict[str, Any]) -> None:
    """Put the facts that a piece of the header states into `config`.

    >>> config = {}
    >>> find_facts("number of parameters: 123.69M, grad_clip=1.0", config)
    >>> config
    {'model': {'params': 123690000}, 'grad_clip': 1.0}
    """
    for match in _ASSIGNED.finditer(piece):
        if fact := _fact_named(piece[max(0, match.start() - LONGEST_NAME) : match.start()]):
            put_fact(config, fact, number(match[1] + match[2], suffixed=True))
    for words, fact, pattern in _SENTENCES:
        if words in piece and (found := pattern.search(piece)):
            put_fact(config, fact, number(found[1]))


def _fact_named(before: str) -> str | None:
    """Return the fact with the longest known name that ends a text."""
    words = _BETWEEN_NAMES.split(before.rstrip(" '\"."))[-1].split()
    names = (" ".join(words[-count:]) for count in range(min(len(words), MOST_WORDS), 0, -1))
    return next((fact for name in names if (fact := printed_fact(name))), None)
