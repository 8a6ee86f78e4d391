"""Downloads: the report of a run, charts as pictures, and the data behind them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from lmdiag.app.markup import short
from lmdiag.charts import Drawing, View
from lmdiag.charts.data import as_csv, as_parquet
from lmdiag.charts.palette import palette
from lmdiag.charts.stack import stacked
from lmdiag.reports import render
from lmdiag.reports.html import svg
from lmdiag.reports.phrases import count
from lmdiag.reports.report import Report
from lmdiag.run import Run

LONGEST_TITLE = 100
FORMATS = {
    "html": ("HTML", "html", "text/html"),
    "json": ("JSON", "json", "application/json"),
    "markdown": ("Markdown", "md", "text/markdown"),
}


def draw(key: str, report: Report) -> None:
    """Offer the report in every format; it is written only when it is asked for."""
    name = file_name(report.diagnoses[0].run.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Report", width="content")
        for format, (label, ending, mime) in FORMATS.items():
            st.download_button(
                label,
                data=partial(render, report, format),
                file_name=f"{name}.{ending}",
                mime=mime,
                key=f"download-{format}-{key}",
                on_click="ignore",
                icon=":material/download:",
            )


def behind(place: str, runs: Mapping[str, Run], view: View, drawings: Mapping[str, Drawing | None]) -> None:
    """Offer the charts as pictures and every logged value behind them as a table; both are made only when asked for."""
    drawn = {name: drawing for name, drawing in drawings.items() if drawing is not None}
    metrics = list(dict.fromkeys(metric for drawing in drawn.values() for metric in drawing.metrics))
    title = next(iter(runs)) if len(runs) == 1 else count(len(runs), "run")
    stem = file_name(next(iter(runs), "run") if len(runs) == 1 else "runs")
    with st.popover("Save charts and data", icon=":material/download:"):
        all_of_them = {"all charts": list(drawn.values())} if len(drawn) > 1 else {}
        pictures = {name: [drawing] for name, drawing in drawn.items()}
        for name, shown in (all_of_them | pictures).items():
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.markdown(name[:1].upper() + name[1:], width="content")
                with st.container(horizontal=True, width="content"):
                    for kind, make in (("PNG", as_png), ("SVG", as_svg)):
                        file = f"{stem}-{file_name(name)}.{kind.lower()}"
                        _button(
                            kind,
                            partial(_titled, make, shown, title, view),
                            file,
                            f"image-{kind}-{place}-{name}",
                        )
        st.caption("Every value in view, not only those that are drawn:")
        with st.container(horizontal=True):
            for kind, write in (("CSV", as_csv), ("Parquet", as_parquet)):
                file = f"{stem}.{kind.lower()}"
                _button(kind, partial(write, runs, metrics, view), file, f"data-{kind}-{place}")


def _button(label: str, data: partial[bytes], file: str, key: str) -> None:
    st.download_button(label, data=data, file_name=file, key=key, on_click="ignore")


def titled(drawings: Sequence[Drawing], title: str, view: View) -> Drawing:
    """Return charts as one picture for other pages: the name of the run above, that of the x axis below."""
    parts = [drawing.part for drawing in drawings if drawing.part is not None]
    spec = stacked(parts, palette(view.dark), heading=short(title, LONGEST_TITLE))
    return Drawing(spec, " ".join(drawing.alt for drawing in drawings))


def _titled(make: Callable[[Drawing, bool], bytes], drawings: Sequence[Drawing], title: str, view: View) -> bytes:
    return make(titled(drawings, title, view), view.dark)


def as_svg(drawing: Drawing, dark: bool) -> bytes:
    """Return a chart as an SVG file, on the background of its theme."""
    return svg(replace(drawing, spec={**drawing.spec, "background": palette(dark).background})).encode()


def as_png(drawing: Drawing, dark: bool) -> bytes:
    """Return a chart as a PNG file, two pixels for each of the screen."""
    import vl_convert

    picture: bytes = vl_convert.svg_to_png(as_svg(drawing, dark).decode(), scale=2)
    return picture


def file_name(name: str) -> str:
    """Return a name that is valid on any file system.

    >>> file_name("a/b: c"), file_name("..")
    ('a-b-c', 'run')
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run"
