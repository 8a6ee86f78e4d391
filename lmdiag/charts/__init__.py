"""Run + findings -> Vega-Lite charts; the app and the HTML report draw the same ones.

A chart function takes a Run, its findings and a View (what the reader chose to see), and returns a Drawing: the chart,
a description for screen readers, and a note on how many points are shown. Data goes into the chart as plain records
whose field names are fixed, never names from a log.
"""

from lmdiag.charts.layers import distribution_chart, layer_heatmap, layers_of
from lmdiag.charts.loss import loss_chart, main_charts
from lmdiag.charts.overlay import (
    compared_chart,
    difference_chart,
    differing_settings,
    grouped_chart,
    overlay_chart,
    seed_groups,
)
from lmdiag.charts.panel import Guide
from lmdiag.charts.panels import gradient_chart, lr_chart, method_charts, scores_chart, series_chart
from lmdiag.charts.part import Drawing
from lmdiag.charts.stack import stack_chart
from lmdiag.charts.timeline import timeline_chart
from lmdiag.charts.view import View

__all__ = [
    "Drawing",
    "Guide",
    "View",
    "compared_chart",
    "difference_chart",
    "differing_settings",
    "distribution_chart",
    "gradient_chart",
    "grouped_chart",
    "layer_heatmap",
    "layers_of",
    "loss_chart",
    "lr_chart",
    "main_charts",
    "method_charts",
    "overlay_chart",
    "scores_chart",
    "seed_groups",
    "series_chart",
    "stack_chart",
    "timeline_chart",
]
