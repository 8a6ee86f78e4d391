"""The server: each question of `answers` as a tool of the Model Context Protocol, by its official SDK."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from lmdiag.agents import answers
from lmdiag.errors import LmdiagError
from lmdiag.version import __version__

P = ParamSpec("P")
INSTRUCTIONS = """
lmdiag judges logs of language-model training runs. Ask `list_logs` what there is, `check` for the verdict on logs or folders, `explain`
for a rule that a finding names, `curve` for the values behind it, `compare` whether a run is worse or better than others. Act on causes
first: a finding with `consequence_of` follows from another. `summary.keep` is the step of the checkpoint to keep.
""".strip()
READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def server(paths: Sequence[str], rules: Sequence[Any], entry: Callable[[Any], dict[str, Any]]) -> MCPServer:
    """Return a server that reads these files, folders and addresses, and nothing else."""
    places = answers.Places(tuple(paths))
    found = MCPServer("lmdiag", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")

    def tool(answer: Callable[P, dict[str, Any]]) -> Callable[P, dict[str, Any]]:
        @wraps(answer)
        def told(*given: P.args, **named: P.kwargs) -> dict[str, Any]:
            try:
                return answer(*given, **named)
            except LmdiagError as error:
                raise ToolError(f"{error.message}. Hint: {error.hint}" if error.hint else error.message) from None

        return found.tool(annotations=READ_ONLY)(told)

    @tool
    def list_logs() -> dict[str, Any]:
        """List the training logs that may be asked about, and the files that were passed over as no logs."""
        return answers.logs(places)

    @tool
    def check(paths: list[str], full: bool = False) -> dict[str, Any]:
        """Judge training logs, or folders of them: for each run a verdict (healthy, suspect, unhealthy, not-judged), findings with the
        steps, the evidence and what to do, and the checkpoint to keep. Worst runs come first. `full` adds what each line and column
        of the log was taken for, and which rules could not look and why."""
        return answers.check(places, paths, full)

    @tool
    def explain(rule: str) -> dict[str, Any]:
        """Explain a rule that a finding names: what it looks for, how it decides, false alarms it avoids, what to try."""
        return answers.explain(rule, rules, entry)

    @tool
    def compare(baselines: list[str], candidate: str, tolerance: float = 0.01) -> dict[str, Any]:
        """Tell whether the candidate run is worse or better than the baseline runs, beyond their noise and a tolerance (a share)."""
        return answers.compare(places, baselines, candidate, tolerance)

    @tool
    def curve(
        path: str, metric: str = "loss", points: int = 200, first_step: int | None = None, last_step: int | None = None
    ) -> dict[str, Any]:
        """Return the values of one metric of a run, thinned so that its extremes stay: at most 2,000 `points`; `metrics` names the others."""
        return answers.curve(places, path, metric, points, first_step, last_step)

    return found
