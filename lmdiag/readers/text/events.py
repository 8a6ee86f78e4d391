"""What a printed log says beside its records: checkpoints, crashes, skipped steps, the end."""

from __future__ import annotations

import re
from collections import Counter

from lmdiag.patterns import lazy
from lmdiag.readers.text.pieces import payload
from lmdiag.readers.text.table import Table
from lmdiag.run import Event

MANY_EVENTS = 500  # of one kind; more are only counted
LONGEST_MESSAGE = 300
LARGE = 1 << 22

# kind -> (words of which one must stand in the log for the pattern to be tried at all, pattern)
_KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "oom": (
        ("OutOfMemory", "out of memory", "RESOURCE_EXHAUSTED", "oom-kill", "oom_kill"),
        r"OutOfMemoryError|CUDA (?:error: )?out of memory|RESOURCE_EXHAUSTED|oom[-_]kill",
    ),
    "checkpoint_saved": (
        ("aving", "aved", "heckpoint"),
        r"\b[Ss](?:aving|aved) (?:[\w ]{0,20})?(?:checkpoint|model|weights)|[Cc]heckpoint (?:was )?saved|saved checkpoint",
    ),
    "checkpoint_loaded": (
        ("esum", "oaded checkpoint", "oading checkpoint", "tarting from iteration"),
        r"\bResum(?:ing|ed) (?:training )?(?:from|at)|\bresum(?:ing|ed) from|success?fully loaded checkpoint"
        r"|Loaded checkpoint|Loading checkpoint and starting from iteration",
    ),
    "skipped_step": (
        ("OVERFLOW!", "radient overflow", "kipping", "Overflow detected"),
        r"OVERFLOW!|[Gg]radient overflow detected|\b[Ss]kipping (?:the )?(?:update|step|batch)|Overflow detected\. Skipping",
    ),
    "nan": (
        ("nan loss", "Loss is", "NaN loss", "Invalid loss", "oss is nan", "oss is NaN"),
        r"nan loss encountered|[Ll]oss is (?:nan|NaN)|due to NaN loss|Invalid loss, terminating",
    ),
    "killed": (
        ("KeyboardInterrupt", "slurmstepd", "CANCELLED", "DUE TO TIME LIMIT", "PREEMPT", "SIGTERM", "SIGKILL"),
        r"KeyboardInterrupt|slurmstepd: error|CANCELLED|DUE TO TIME LIMIT|PREEMPT|\bSIG(?:TERM|KILL)\b",
    ),
    "communication_error": (
        ("NCCL", "Watchdog"),
        r"NCCL (?:\w+ )*(?:timeout|error)|Watchdog caught collective",
    ),
    "end": (
        ("stopping_early", "raining comp", "raining fin", "raining time", "nd of training", "raining done", "EXIT_CODE=",
         "raining is done", "inished training", "training ended", "arly stop", "topped early", "topping early"),
        r"^\W*stopping_early|\b[Tt]raining (?:is )?(?:now )?(?:completed?|finished|done)\b|[Tt]otal training time"
        r"|\b[Ee]nd of training|EXIT_CODE=0\b|[Ff]inished training|after training is done"
        r"|\b[Ee]arly[ -][Ss]topp(?:ing|ed) (?:was |is )?(?:triggered|reached|activated|at (?:epoch|step|iter)|after \d)|\b[Ss]topp(?:ed|ing) early\b",
    ),
}  # fmt: skip
_STEP = lazy(r"(?:iteration|step|iter|it|updates?)[\s:=_/-]*(\d{1,15})\b|checkpoint-(\d{1,15})\b", re.IGNORECASE)
TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = lazy(r"[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Abort|Timeout)?(?::|$)")


class EventWatcher:
    """Looks at every piece that is no record and notes what happened at which step; `text` is None while the log grows."""

    def __init__(self, text: str | None, table: Table) -> None:
        small = text is not None and len(text) < LARGE  # in a large text the search would cost more than it spares
        present = (
            (kind, [w for w in words if not small or w in str(text)], regex) for kind, (words, regex) in _KINDS.items()
        )
        self._kinds = [(kind, words, lazy(regex)) for kind, words, regex in present if words]
        self._open: set[int | None] = set()
        self._table = table
        self._counts: Counter[str] = Counter()
        self._after: dict[str, int] = {}  # rows read before the last event of a kind

    def see(self, piece: str) -> None:
        """Look at one piece of chatter."""
        if self._open or "Traceback" in piece:
            self._follow_traceback(piece)
        for kind, words, pattern in self._kinds:
            if any(word in piece for word in words) and pattern.search(piece):
                self._note(kind, piece)
                return

    def _follow_traceback(self, piece: str) -> None:
        text, rank = payload(piece)
        if TRACEBACK in piece:
            self._open.add(rank)
        elif rank in self._open and _EXCEPTION.match(text) and not _body(piece).startswith(" "):
            self._open.discard(rank)
            self._note("killed" if text.startswith("KeyboardInterrupt") else "exception", text)

    def _note(self, kind: str, piece: str) -> None:
        self._counts[kind] += 1
        self._after[kind] = self._table.rows_seen
        if self._counts[kind] <= MANY_EVENTS:
            named = _STEP.search(piece)
            step = int(named[1] or named[2]) if named and kind.startswith("checkpoint") else self._table.last_step
            fields = {"status": "completed"} if kind == "end" else {}
            self._table.happened(Event(kind, step, piece.strip()[:LONGEST_MESSAGE], fields))

    def finish(self) -> None:
        """Say how the run ended where the log says so behind its last record, and what was too much to list."""
        rows = self._table.rows_seen
        for kind, count in self._counts.items():
            if count > MANY_EVENTS:
                self._table.notes.append(f"{count} events of kind {kind}; the first {MANY_EVENTS} are listed")
        at_the_end = {kind for kind, seen in self._after.items() if seen >= rows}
        if "end" in at_the_end:
            return
        status = "crashed" if at_the_end & {"oom", "exception", "nan"} else "killed" if "killed" in at_the_end else ""
        if status:
            self._table.happened(Event("end", self._table.last_step, "", {"status": status}))


def _body(piece: str) -> str:
    """Return what stands behind a rank prefix, with its indentation."""
    return re.sub(r"^\[?(?:rank|default)?\d+\]?:", "", piece)
