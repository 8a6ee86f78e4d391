"""Write the generated pages: one page per rule, the catalogue of rules, the table of metrics.

    python -m docs.generate           write them
    python -m docs.generate --check   exit 1 and name the pages that are out of date

In the README, what stands between `<!-- report: COMMAND -->` and `<!-- end -->` is what the command prints, and between
`<!-- formats -->` and `<!-- end -->` are links to the pages in `docs/formats/`; in `formats/text.md` it is the table of printed formats. In `accuracy.md`, what stands between `<!-- faults -->` and `<!-- end -->` is
the first table of `faults.md`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from docs import calibration, spellings
from lmdiag.finding import FAMILIES, Rule
from lmdiag.metrics import METRICS
from lmdiag.readers.prefixes import payload
from lmdiag.readers.text import FORMATS
from lmdiag.readers.text.formats import GENERIC
from lmdiag.readers.text.line_format import LineFormat
from lmdiag.readers.text.named_lines import looks_like_record
from lmdiag.readers.text.pieces import pieces, without_colours
from lmdiag.record.schema import json_schema
from lmdiag.rules import ORDER, written

HERE = Path(__file__).parent
RULES = [*map(written, ORDER)]
LONGEST_LINE = 60  # of a log, in a table
NOTE = "<!-- Written by `make docs`; edit the source instead. -->\n"


def rule_page(rule: Rule) -> str:
    """Return the page of one rule: its docstring with a table of what it needs and what can be set."""
    settings = "\n".join(f"| `{name}` | {value!r} |" for name, value in rule.settings.items())
    table = f"\n## Settings\n\n| setting | default |\n|---|---|\n{settings}\n" if settings else ""
    facts = f"| family | severity | needs | values it needs |\n|---|---|---|---|\n| {rule.family} | {rule.severity.label} | "
    facts += f"{', '.join(rule.needs)} | {rule.min_points} |"
    title, _, rest = rule.page.partition("\n")
    return f"{NOTE}# {rule.name}\n\n{title}\n\n{facts}\n{rest.rstrip()}\n{table}{_measured(rule)}"


def _measured(rule: Rule) -> str:
    """Return on how many labelled real logs the rule spoke."""
    counted = json.loads((HERE / "measured.json").read_text())
    found = counted["rules"].get(rule.name, {})

    def row(kind: str, name: str) -> str:
        return f"| {name} | {counted[kind]} | {found.get(f'{kind}_alarmed', 0)} | {found.get(f'{kind}_told', 0)} |"

    head = "## Measured\n\n| real logs | read | warning or error | information |\n|---|---|---|---|"
    real = f"\n{head}\n{row('healthy', 'healthy')}\n{row('others', 'unhealthy or unclear')}\n\nHow: [accuracy.md](../accuracy.md).\n"
    return f"{real}\n## Simulated\n{calibration.of_rule(calibrated(), rule.name)}"


def calibrated() -> dict[str, Any]:
    """Return what `benchmarks/calibration.py` measured."""
    figures: dict[str, Any] = json.loads((HERE / "calibration.json").read_text(encoding="utf-8"))
    return figures


def catalogue() -> str:
    """Return the list of all rules by family."""
    lines = [
        f"{NOTE}# The rules\n",
        f"{len(RULES)} rules in {len(FAMILIES)} families. [What makes an error, a warning or information](../severity.md).\n",
    ]
    by_family = sorted(RULES, key=lambda rule: FAMILIES.index(rule.family))
    for family, rules in groupby(by_family, key=lambda rule: rule.family):
        lines += [f"\n## {family}\n", "| rule | what it finds | severity |", "|---|---|---|"]
        lines += [f"| [{rule.name}]({rule.name}.md) | {rule.title} | {rule.severity.label} |" for rule in rules]
    return "\n".join(lines) + "\n"


METRIC_HEAD = """# Metrics

Printed logs, tables, JSON and trackers share these names.

- Upper and lower case, blanks, `.`, `/`, `-`, `_`, brackets and camelCase do not matter: `TrainLoss`, `train-loss` and `train.loss` are one name.
- `train/`, `metrics/`, `optim/` and the like in front say nothing more. `val`, `valid`, `eval`, `dev`, `held-out` and `test`, in front or behind, say
  an evaluation, and a name beside them which set: `eval_easy_loss`, `loss/val_easy` and `easy/val_loss` are `easy/loss`. Before a slash stands a set, too,
  if it has a loss or a score, and is no part of a training such as `actor/`, `perf/` or `aux/`.
- Words such as `avg`, `mean`, `total`, `epoch` or `running` leave a loss, perplexity or accuracy what it is; of two columns the plainer name counts.
- The unit may stand at the end: `_ms`, `(s)`, `_gb`, `(GiB)`, `_pct`, `(%)`, `_bits`, `_nats_per_byte`, `_M`. Speeds are known by their unit: `tok/s`,
  `it/s`, `s/it`, `tokens_per_sec_per_gpu`.
"""


def metric_table() -> str:
    """Return the table of canonical metrics with their spellings."""
    rows = [
        f"| `{m.name}` | {m.meaning} | {m.unit or '–'} | {', '.join(f'`{a}`' for a in m.aliases) or '–'} |"
        for m in METRICS.values()
    ]
    return (
        f"{NOTE}{METRIC_HEAD}\n| metric | meaning | unit | other spellings |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
        + spellings.page()
    )


LOG_FORMAT = """# The standard log, `lmdiag-log/1`

UTF-8 JSON Lines: one record per line, appended, strict JSON. `lmdiag.RunLogger` writes it with the standard library alone; any program can. `lmdiag
schema` prints its JSON Schema.

- Every record has a `type`. Readers count and otherwise ignore types they do not know, and keep unknown numbers as extra metrics.
- Numbers that JSON does not have are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`; `null` or no key means not measured. NaN and
  missing are different things to a tool that looks for NaN.
- `step` counts the optimizer updates completed when the value was measured: 1 after the first update, 0 before training.
- Losses are nats per token. Units other than the obvious stand in the name: `_s` seconds, `_bytes` bytes; shares are fractions.
- A resumed run appends a new `run` record with the same `run_id` and `resumed_from_step`.
- One write per record: a killed process tears at most the last line. Rank 0 writes. A file that holds another run is never overwritten.

```json
{"type": "run", "schema": "lmdiag-log/1", "run_id": "a1", "max_steps": 2000, "grad_clip": 1.0, "model": {"vocab_size": 50257}}
{"type": "step", "step": 1, "loss": 10.94, "lr": 6e-07, "grad_norm": 14.2, "tokens": 65536, "step_time_s": 1.9}
{"type": "step", "step": 2, "loss": "NaN", "lr": 1.2e-06, "grad_norm": "Infinity", "tokens": 131072, "skipped": 1}
{"type": "eval", "step": 2, "split": "val", "loss": 10.88, "n_tokens": 1048576}
{"type": "end", "status": "crashed", "step": 2, "exit_code": 1}
```

A line without `type` that holds a step and a loss is read as a `step` record, and as an `eval` record too where a key starts with `val`, `eval`,
`valid` or `test`: a log written by hand with `json.dumps` is a valid input.
"""


def log_format() -> str:
    """Return the page of the standard log: its rules and, from the JSON Schema, the fields of each record."""
    lines = [NOTE + LOG_FORMAT]
    for rule in json_schema()["allOf"]:
        record = rule["then"]
        lines += [f"\n## `{record['title']}`\n", "| field | meaning | required |", "|---|---|---|"]
        for name, field in record["properties"].items():
            required = "yes" if name in record.get("required", ()) else ""
            lines.append(f"| `{name}` | {field.get('description', '')} | {required} |")
    return "\n".join(lines) + "\n"


def report_block(command: str) -> str:
    """Return what a command of lmdiag prints, as a block of the README."""
    plain = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    module = [sys.executable, "-m", *command.split()]
    done = subprocess.run(module, capture_output=True, text=True, env=plain, cwd=HERE.parent, check=False)
    return f"\n```text\n$ {command}\n{done.stdout.rstrip()}\n```\n\n"


def format_list() -> str:
    """Return the titles of the pages of `docs/formats/`, each a link."""
    pages = sorted((HERE / "formats").glob("*.md"))
    titles = {
        page.name: page.read_text(encoding="utf-8").removeprefix(NOTE).partition("\n")[0].lstrip("# ") for page in pages
    }
    return "\n" + " · ".join(f"[{title}](docs/formats/{name})" for name, title in titles.items()) + "\n\n"


def readme() -> str:
    """Return the README with its generated blocks written anew."""
    text = (HERE.parent / "README.md").read_text(encoding="utf-8")
    text = re.sub(
        r"(<!-- report: (.*?) -->).*?(<!-- end -->)",
        lambda found: found[1] + "\n" + report_block(found[2]) + found[3],
        text,
        flags=re.DOTALL,
    )
    return filled(text, "formats", format_list())


def filled(text: str, name: str, content: str) -> str:
    """Return a text with new content between `<!-- name -->` and `<!-- end -->`."""
    marks = rf"(<!-- {name} -->).*?(<!-- end -->)"
    return re.sub(marks, lambda found: f"{found[1]}\n{content}{found[2]}", text, flags=re.DOTALL)


def accuracy() -> str:
    """Return the page of accuracy with the summary of the page of faults."""
    faults = (HERE / "faults.md").read_text(encoding="utf-8")
    table = re.search(r"^\|.*?(?=\n\n)", faults, flags=re.DOTALL | re.MULTILINE)
    assert table is not None, "docs/faults.md has no table"
    return filled((HERE / "accuracy.md").read_text(encoding="utf-8"), "faults", f"\n{table[0]}\n\n")


def printed_formats() -> str:
    """Return the page of printed logs with the table of their formats, each with a line of its sample."""
    rows = [f"| `{f.name}` | {f.title} | `{_line_of(f)}` |" for f in FORMATS.values()]
    table = "\n| Format | Programs | A line of it |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
    return filled((HERE / "formats/text.md").read_text(encoding="utf-8"), "formats", table)


def _line_of(line_format: LineFormat) -> str:
    """Return the first line of the samples of a format that only it prints."""
    samples = sorted((HERE.parent / "tests/readers/samples/text").glob(f"{line_format.name.split()[0]}*.log"))
    lines = (payload(piece)[0] for path in samples for _, piece in pieces(without_colours(path.read_text("utf-8"))))
    own = looks_like_record if line_format is GENERIC else line_format.marked
    line = next((line for line in lines if own(line)), None)
    if line is None:
        first = line_format.name.split()[0]
        raise SystemExit(
            f"the format {line_format.name} lacks a sample: tests/readers/samples/text/{first}.log, with a line of its own"
        )
    start = min((found.start() for _, mark in line_format.every_mark if (found := mark.search(line))), default=0)
    line = " ".join(line[start:].split())
    return (line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…").replace("|", "\\|")


def declared() -> str:
    """Return the module that says what each rule needs, so that no rule is imported to be told that a log lacks it."""
    rows = "".join(
        f'    "{rule.name}": ("{rule.family}", Severity.{rule.severity.name}, "{" ".join(rule.needs)}", {rule.min_points}),\n'
        for rule in RULES
    )
    return f'''"""What each rule declares. Written by `make docs`; edit the rules instead."""

from lmdiag.finding import Severity

DECLARED: dict[str, tuple[str, Severity, str, int]] = {{  # name: family, severity, needs, min_points
{rows}}}
'''


def pages() -> dict[Path, str]:
    """Return every generated page: {path: text}."""
    rules = {HERE / "rules" / f"{rule.name}.md": rule_page(rule) for rule in RULES}
    others = {
        "rules/README.md": catalogue(),
        "metrics.md": metric_table(),
        "calibration.md": NOTE + calibration.page(calibrated()),
        "log-format.md": log_format(),
        "accuracy.md": accuracy(),
        "formats/text.md": printed_formats(),
    }
    others = {HERE / name: text for name, text in others.items()}
    return {
        **rules,
        **others,
        HERE.parent / "README.md": readme(),
        HERE.parent / "lmdiag/rules/declared.py": declared(),
    }


def main(arguments: list[str]) -> int:
    wanted = pages()
    left_over = set((HERE / "rules").glob("*.md")) - set(wanted)
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for page in sorted([*stale, *left_over]):
            print(f"out of date: {page.relative_to(HERE.parent)} (run `make docs`)", file=sys.stderr)
        return int(bool(stale or left_over))
    for page in stale:
        page.parent.mkdir(exist_ok=True)
        page.write_text(wanted[page], encoding="utf-8")
    for page in left_over:
        page.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
