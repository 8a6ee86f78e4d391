"""A log whose loss nobody recognises: the reader says which of its numbers it is, sees the curve, and keeps how to read it."""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Mapping

import streamlit as st

from lmdiag import charts
from lmdiag.app import logs, reading
from lmdiag.app.markup import plain, sentences
from lmdiag.charts import View
from lmdiag.errors import LmdiagError
from lmdiag.judging.reading import runs_of
from lmdiag.readers import read_source
from lmdiag.readers.options import ReadOptions
from lmdiag.readers.slots import Numbers, numbers_in, together
from lmdiag.readers.suggestions import as_typed
from lmdiag.reports.locations import relative_path
from lmdiag.reports.phrases import count, visible
from lmdiag.run import Run

ASKED = {"loss": "Loss", "step": "Step", "val/loss": "Evaluation loss", "lr": "Learning rate"}
OF_EVALUATION = {"val/loss": "Evaluation loss", "step": "Step of the evaluation"}  # in lines of their own
NONE = "none"
EXAMPLE = 70  # characters of a line


def can_ask(log: reading.Log) -> bool:
    """Whether there are numbers in a log of which one may be the loss that nobody recognised."""
    return log.without_loss and bool(_numbers_of(log))


def offer(log: reading.Log) -> None:
    """Ask which numbers of a log are its loss and its steps, where nobody could tell; of one that was told, say how to keep it."""
    told = reading.read_as(log.key)
    if told != ReadOptions() and not log.without_loss:
        with st.expander("Read as you said: how to keep it"):
            _keep(log, told)
    elif can_ask(log):
        with st.container(border=True):
            _ask(log, _numbers_of(log))


def _ask(log: reading.Log, found: list[Numbers]) -> None:
    st.markdown("**Which of its numbers is the loss?**")
    numbers = _preview(log.key, "Numbers of", found)
    of_these = st.container()
    others = [kind for kind in found if kind.skeleton and kind is not numbers] if numbers.skeleton else []
    other = _other_kind(log.key, others)
    asked = {metric: label for metric, label in ASKED.items() if other is None or metric != "val/loss"}
    with of_these:
        named = _chosen(f"{log.key}-{found.index(numbers)}", asked, numbers)
    options = numbers.options(named) if named else ReadOptions()
    if other is not None:
        _table(other)
        of_other = _chosen(f"{log.key}-other-{found.index(other)}", OF_EVALUATION, other)
        if named and "val/loss" in of_other:
            options, named = together(numbers, named, other, of_other), {**of_other, **named}
    if "loss" not in named and "val/loss" not in named:
        st.caption("Choose the loss to see its curve.")
        return
    run, why = _read(log, options)
    if run is None:
        st.warning(why)
        return
    _show(run)
    st.button("Judge this run", key=f"judge-{log.key}", on_click=logs.read_again, args=(log.key, options))
    _keep(log, options)


def _preview(key: str, label: str, found: list[Numbers]) -> Numbers:
    """Ask of which numbers to choose, where there are several kinds, and show the first of them."""
    numbers = found[0]
    if len(found) > 1:
        chosen = st.selectbox(label, range(len(found)), format_func=lambda i: _title(found[i]), key=f"of-{key}")
        numbers = found[chosen or 0]
    else:
        st.caption(plain(_title(numbers)))
    _table(numbers)
    return numbers


def _table(numbers: Numbers) -> None:
    st.dataframe([{visible(name): word for name, word in row.items()} for row in numbers.first], hide_index=True)


def _other_kind(key: str, others: list[Numbers]) -> Numbers | None:
    """Ask which other lines hold the evaluations, and return them; those that say so are proposed."""
    if not others:
        return None
    likely = next((at for at, kind in enumerate(others, 1) if kind.of_evaluation), 0)
    chosen = st.selectbox(
        "Evaluations in other lines",
        range(len(others) + 1),
        likely,
        format_func=lambda at: _title(others[at - 1]) if at else NONE,
        key=f"other-{key}-{others[0].example}-{len(others)}",
    )
    return others[chosen - 1] if chosen else None


def _title(numbers: Numbers) -> str:
    if not numbers.skeleton:
        return f"{count(len(numbers.names), 'column')}, {count(numbers.rows, 'row')}"
    return f"{count(numbers.rows, 'line')} like: {visible(numbers.example)[:EXAMPLE]}"


def _chosen(key: str, asked: Mapping[str, str], numbers: Numbers) -> dict[str, str]:
    """Ask for each metric which number it is, and return {metric: name}; a number is taken once."""
    named: dict[str, str] = {}
    for (metric, label), column in zip(asked.items(), st.columns(len(ASKED))):
        names = [NONE, *(name for name in numbers.names if name not in named.values())]
        likely = numbers.likely.get("loss" if asked is OF_EVALUATION and metric == "val/loss" else metric, NONE)
        name = column.selectbox(
            label,
            names,
            names.index(likely) if likely in names else 0,
            format_func=visible,
            key=f"map-{key}-{metric}-{len(names)}",
        )
        if name and name != NONE:
            named[metric] = name
    return named


def _numbers_of(log: reading.Log) -> list[Numbers]:
    """Return the numbers of a log, looked for once."""
    known: dict[str, list[Numbers]] = st.session_state.setdefault("numbers", {})
    source = log.again
    if log.key not in known:
        try:
            known[log.key] = numbers_in(source, read_source) if source is not None and not source.is_folder else []
        except (LmdiagError, OSError):
            known[log.key] = []
    return known[log.key]


def _read(log: reading.Log, options: ReadOptions) -> tuple[Run | None, str]:
    """Return the log as it is read with these options, or why it cannot be; the last answer is remembered."""
    last = st.session_state.get("mapped")
    if last is None or last[0] != (log.key, options, log.states):
        try:
            read: tuple[Run | None, str] = (next(iter(runs_of(log.again, options)), None) if log.again else None, "")
        except LmdiagError as error:
            read = None, sentences(error.message, error.hint)
        last = st.session_state["mapped"] = (log.key, options, log.states), read
    answer: tuple[Run | None, str] = last[1]
    return answer


def _show(run: Run) -> None:
    metrics = [metric for metric in ("loss", "val/loss") if metric in run]
    if not metrics:
        st.warning("None of these numbers can be read.")
        return
    view = View(dark=st.context.theme.type == "dark")
    drawings = [charts.series_chart(run, metric, (), view, title=metric) for metric in metrics]
    drawing = charts.stack_chart(run, [drawn for drawn in drawings if drawn is not None], view)
    if drawing is not None:
        st.vega_lite_chart(drawing.spec, alt=drawing.alt)
    told = " and ".join(f"{count(len(run[metric]), 'value')} of the {metric}" for metric in metrics)
    st.caption(f"{told}, {plain(run.place(run.first_step, run.last_step))}.")


def _keep(log: reading.Log, options: ReadOptions) -> None:
    st.caption("The same on the command line:")
    st.code(command(log.name, options), language=None, wrap_lines=True)
    st.caption("Or for every time, in pyproject.toml:")
    st.code(settings(log.name, options), language=None, wrap_lines=True)


def command(name: str, options: ReadOptions) -> str:
    """Return the command that reads a log so.

    >>> print(command("a b.csv", ReadOptions(mapping={"loss": "cost"})))
    lmdiag check 'a b.csv' --map loss=cost
    """
    return f"lmdiag check {shlex.quote(relative_path(name))} {as_typed(options)}"


def settings(name: str, options: ReadOptions) -> str:
    """Return the settings that let every command read a log so, wherever it lies.

    >>> print(settings("runs/a.out", ReadOptions(pattern=r"(?P<loss>\\d+)")))
    [[tool.lmdiag.per-path]]
    match = "*a.out"
    pattern = "(?P<loss>\\\\d+)"
    """
    file = glob.escape(relative_path(name).rpartition("/")[2])
    lines = ["[[tool.lmdiag.per-path]]", f"match = {_toml(f'*{file}')}"]
    if options.mapping:
        lines.append(f"map = {{{', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in options.mapping.items())}}}")
    if options.pattern:
        lines.append(f"pattern = {_toml(options.pattern)}")
    return "\n".join(lines)


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # texts are written alike in JSON and TOML
