"""lmdiag reads the log of a language-model training run and says whether the run is healthy.

paths -> sources -> readers -> gather -> Run -> rules -> Findings -> Diagnosis -> judging -> Report -> reports / charts -> screen

Each arrow is one function; each noun is one frozen record; nothing points back; each word is a folder or a file.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lmdiag.version import __version__ as __version__

_HOME = {
    "Diagnosis": "lmdiag.diagnose",
    "Finding": "lmdiag.finding",
    "LmdiagError": "lmdiag.errors",
    "Run": "lmdiag.run",
    "RunLogger": "lmdiag.record.writer",
    "Segment": "lmdiag.run",
    "Series": "lmdiag.run",
    "Severity": "lmdiag.finding",
    "diagnose": "lmdiag.diagnose",
    "Report": "lmdiag.reports.report",
    "forecast": "lmdiag.forecast",
    "from_pandas": "lmdiag.gather.frames",
    "from_polars": "lmdiag.gather.frames",
    "judge": "lmdiag.judging.logs",
    "read": "lmdiag.judging.reading",
    "read_all": "lmdiag.judging.reading",
}
__all__ = [
    "Diagnosis",
    "Finding",
    "LmdiagError",
    "Report",
    "Run",
    "RunLogger",
    "Segment",
    "Series",
    "Severity",
    "diagnose",
    "forecast",
    "from_pandas",
    "from_polars",
    "judge",
    "read",
    "read_all",
]

if TYPE_CHECKING:
    from lmdiag.diagnose import Diagnosis, diagnose
    from lmdiag.errors import LmdiagError
    from lmdiag.finding import Finding, Severity
    from lmdiag.forecast import forecast
    from lmdiag.gather.frames import from_pandas, from_polars
    from lmdiag.judging.logs import judge
    from lmdiag.judging.reading import read, read_all
    from lmdiag.record.writer import RunLogger
    from lmdiag.reports.report import Report
    from lmdiag.run import Run, Segment, Series


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import lmdiag` costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'lmdiag' has no attribute {name!r}")
    module = import_module(_HOME[name])
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Package(ModuleType):
    """Keeps `lmdiag.diagnose` the function: importing the submodule would otherwise rebind the name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
