"""What a fault is: where it reaches into the loop, which settings it changes, what must notice it, what must cure it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch

    from lmdiag.record.writer import RunLogger
    from trainers.corpus import Corpus


class Hooks:
    """Where a fault may reach into the loop; these do nothing, which is what a healthy run uses."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def at(self, share: float) -> int:
        """Return the step at a share of the run."""
        return max(1, round(share * self.settings.steps))

    @classmethod
    def beyond(cls, reached: Collection[str]) -> list[str]:
        """Return the places that it wants to reach into, besides those that a loop has."""
        places = [name for name in vars(Hooks) if not name.startswith("_") and name not in ("at", "beyond")]
        return [p for p in places if p not in reached and getattr(cls, p) is not getattr(Hooks, p)]

    def corpus(self, corpus: Corpus) -> Corpus:
        return corpus

    def model(self, model: torch.nn.Module) -> None: ...

    def evaluation(self, batches: list[Any]) -> list[Any]:
        return batches

    def sampler(self, saved: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
        return saved

    def start(self, log: RunLogger) -> None: ...

    def lr(self, step: int, lr: float) -> float:
        return lr

    def batch(self, step: int, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, targets

    def gradients(self, step: int, model: torch.nn.Module) -> None: ...

    def record(self, step: int, record: dict[str, Any]) -> dict[str, Any]:
        return record

    def after(self, step: int) -> None: ...

    # in post-training only

    def pairs(self, chosen: Any, rejected: Any) -> tuple[Any, Any]:
        return chosen, rejected

    def rewards(self, step: int, rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return rewards

    def reference(self, reference: torch.Tensor, policy: torch.Tensor) -> torch.Tensor:
        return reference

    def mask(self, mask: torch.Tensor) -> torch.Tensor:
        return mask


class Fault(Hooks):
    """One way to break a run: the class has its name, the docstring says what it does, the methods do it.

    Settings are given relative to the user's own wherever that is possible, so that a fault works on every model and
    length: {name: value, or function of the settings so far}.
    """

    rules: ClassVar[tuple[str, ...]] = ()  # lmdiag must raise one of them; the first says it best
    models: ClassVar[tuple[str, ...]] = ()  # the trainers it is a fault for; none: all that train by gradients
    remedy: ClassVar[str] = ""
    advised: ClassVar[str] = ""  # what the advice of one of the rules must say, as a regular expression

    changes: ClassVar[Mapping[str, Any]] = {}  # settings of the broken run
    resumed: ClassVar[Mapping[str, Any] | None] = None  # what it changes where the run goes on after a staged crash
    cure: ClassVar[Mapping[str, Any]] = {}  # settings of the cured run, on top of those of the broken one
    stands_for: ClassVar[tuple[str, ...]] = ()  # settings whose part the fault plays: who changes one of them ends it
    mended: ClassVar[type[Hooks] | None] = Hooks  # what reaches into the cured run; None: the fault still does

    @classmethod
    def name(cls) -> str:
        """Return the name by which it is asked for.

        >>> type("LrTooHigh", (Fault,), {}).name()
        'lr-too-high'
        """
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def what(cls) -> str:
        """Return what it does, in a sentence."""
        return " ".join((cls.__doc__ or "").split())

    @classmethod
    def broken(cls, settings: Any) -> tuple[Any, type[Hooks]]:
        """Return the settings of the broken run, and what reaches into it."""
        return changed(settings, cls.changes), cls

    @classmethod
    def cured(cls, settings: Any) -> tuple[Any, type[Hooks]]:
        """Return the settings of the cured run, and what still reaches into it."""
        return changed(changed(settings, cls.changes), cls.cure), cls.mended or cls

    @classmethod
    def advised_run(cls, settings: Any, change: Mapping[str, Any]) -> tuple[Any, type[Hooks]]:
        """Return the settings of the broken run with a change that was advised, and what still reaches into it."""
        ends = bool(set(change) & set(cls.stands_for))
        return changed(changed(settings, cls.changes), change), (cls.mended or cls) if ends else cls

    @classmethod
    def after_crash(cls, settings: Any) -> Any:
        """Return the settings of the run that goes on after the staged crash."""
        return replace(changed(settings, cls.resumed or {}), resume=True)


def changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of the settings with changes; raises ValueError where a trainer has no such setting."""
    missing = [name for name in changes if not hasattr(settings, name)]
    if missing:
        raise ValueError(f"this fault needs the settings {', '.join(missing)}, which this trainer does not have")
    return replace(settings, **{name: new(settings) if callable(new) else new for name, new in changes.items()})


class StagedCrash(RuntimeError):
    """A crash on purpose, after which the run is resumed."""
