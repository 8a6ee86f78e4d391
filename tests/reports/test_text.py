"""The terminal report: one screen for a sick run, a few lines for a healthy one, whole at every width."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lmdiag.finding import Finding, NotChecked, Severity
from lmdiag.reports.curves import curve_rows
from lmdiag.reports.phrases import origin
from lmdiag.reports.report import Report
from lmdiag.reports.terminal import Style
from lmdiag.reports.text import render
from lmdiag.rules import RULES
from lmdiag.run import Event, Run, Series

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def squeezed(text):
    return " ".join(text.split())


def test_a_healthy_run_takes_a_few_calm_lines(healthy):
    lines = render(Report((healthy,))).splitlines()
    assert lines[:2] == [
        "✓ healthy  runs/good.jsonl",
        "  lmdiag-log/1 · steps 1–2,000 · 2,000 values of loss · completed",
    ]
    assert lines[6].startswith("  perplexity per token 21.41 (val/loss at step 2,000) · 20.83 at best")
    assert "keep step 1,900 (val/loss 3.04)" in lines[7]
    assert lines[-1] == f"  Nothing found: {len(RULES) - 1} of {len(RULES)} rules could look."
    assert "Not checked: dead-layer: the log has no per-layer statistics." in render(
        Report((healthy,)), Style(verbose=True)
    )
    assert len(lines) <= 10


def test_that_a_best_checkpoint_is_the_mean_of_two_sets_is_said(healthy):
    easy = healthy.run["val/loss"]
    series = {"loss": healthy.run["loss"], "easy/loss": easy, "hard/loss": replace(easy, values=easy.values + 1)}
    text = squeezed(render(Report((replace(healthy, run=replace(healthy.run, series=series)),))))
    assert "keep step 1,900 (val/loss 3.04, mean of 2 evaluation sets)" in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("divergence", "plateau"), "Nothing found: 2 of 2 rules could look."),
        (("divergence", "dead-layer"), "Nothing found: 1 of 2 rules could look."),
    ],
)
def test_the_rules_that_looked_are_counted_among_those_that_were_asked(healthy, asked, said):
    refusals = tuple(n for n in healthy.not_checked if n.rule in asked)
    assert said in render(Report((replace(healthy, asked=asked, not_checked=refusals),), rules=RULES))


def test_a_run_that_was_not_judged_says_why(too_short):
    assert "Not judged: only 2 values of the loss, 40 needed." in render(Report((too_short,)))
    unasked = replace(too_short, unjudged="no rule was asked to look")
    assert "Not judged: no rule was asked to look." in render(Report((unasked,)))


def test_a_sick_run_fits_a_screen_and_says_everything(sick):
    lines = render(Report((sick,))).splitlines()
    assert len(lines) <= 30
    text = squeezed("\n".join(lines))
    for said in (
        "✗ unhealthy runs/bad.jsonl",
        "1 restart · not completed",
        "1 ✗ error divergence steps 1,301–2,000",
        "rise 5.02 · level before 3.02 · z ∞",
        "→ Lower the learning rate: it was 0.003 at step 1,301; try 0.0015.",
        "↳ also follows from it: non-finite-loss; -v",
        "2 ! warning gradient-spike steps 1,291–1,320",
        f"{len(sick.looked)} of {len(sick.asked)} rules could look: -v names the others.",
        "Not read: not JSON (line 812).",
        "Not read: no number in it (3 times, first on line 900).",
    ):
        assert said in text


def test_the_findings_are_marked_under_the_curves(sick):
    lines = render(Report((sick,))).splitlines()
    loss = next(line for line in lines if line.startswith("  loss"))
    axis = next(line for line in lines if line.startswith("  finding "))  # it says what its numbers are
    bars_begin = loss.index("█")
    share = (axis.index("1", bars_begin) - bars_begin) / (loss.rindex("×") - bars_begin)
    assert share == pytest.approx(1300 / 2000, abs=0.04)
    assert "×××" in loss


def test_verbose_shows_all_advice_and_names_the_rules(sick):
    assert "Look at the batches" not in render(Report((sick,)))
    text = render(Report((sick,)), Style(verbose=True))
    assert "Look at the batches" in text
    assert "Not checked: late-warmup, flat-schedule: the log has no lr." in text


def test_what_a_finding_explains_is_named_once_and_told_on_demand(sick):
    cause, effect, *others = sick.findings
    twice = replace(
        sick, findings=(cause, replace(cause, first_step=1500), effect, replace(effect, metric="lr"), *others)
    )
    assert squeezed(render(Report((twice,)))).count("↳ also follows from it: non-finite-loss; -v") == 1
    text = squeezed(render(Report((twice,)), Style(verbose=True)))
    assert (text.count("↳ ✗ non-finite-loss, steps 1,901–2,000: "), "also follows" in text) == (2, False)


def test_only_the_worst_findings_are_told_in_full(sick):
    third = replace(sick.findings[2], rule="oscillation", first_step=1400)
    info = replace(sick.findings[2], rule="loss-spike", severity=Severity.INFO)
    text = render(Report((replace(sick, findings=(*sick.findings, third, info)),)))
    assert text.count("→ Clip the gradient norm at 0.9.") == 1
    assert "3 ! oscillation, steps 1,400–1,320: The gradient norm" in text
    assert "4 i loss-spike, steps 1,291–1,320" in text
    assert "-v shows the evidence and the advice of all findings." in text
    everything = render(Report((replace(sick, findings=(*sick.findings, third, info)),)), Style(verbose=True))
    assert everything.count("→ Clip the gradient norm at 0.9.") == 3


def test_several_runs_end_with_a_table_and_the_healthy_ones_only_stand_there(report):
    text = render(report)
    assert text.count("runs/good.jsonl") == 1
    assert text.count("runs/bad.jsonl") == 2
    assert text.splitlines()[-3:] == [
        "✗ not read  runs/broken.bin: this is not a text file",
        "  Hint: Give the log, not the checkpoint.",
        "3 runs: 1 unhealthy, 1 not judged, 1 healthy; 1 source could not be read.",
    ]


def test_the_table_names_the_main_finding_of_each_run(report):
    rows = [line.split() for line in render(report).splitlines() if line.endswith((".jsonl", ".csv", " run"))]
    assert rows[-4] == "verdict steps last loss alarms main finding run".split()
    assert rows[-3][-4:] == ["divergence,", "step", "1,301", "runs/bad.jsonl"]
    assert rows[-1][-2:] == ["–", "runs/good.jsonl"]


def test_many_healthy_runs_are_counted_not_listed(healthy):
    text = render(Report((healthy,) * 50))
    assert "… and 30 more healthy runs: -v lists them." in text
    assert len(text.splitlines()) < 30


def test_runs_beyond_those_described_are_counted(sick):
    text = render(Report((sick,) * 13))
    assert text.count("runs/bad.jsonl") == 10 + 13
    assert "3 more runs in the table only (3 unhealthy): -v describes all." in text
    assert "in the table only" not in render(Report((sick,) * 10))
    assert "in the table only" not in render(Report((sick,) * 13), Style(verbose=True))


def test_a_spoilt_run_has_no_checkpoint_to_keep(sick, healthy):
    spoilt = replace(
        healthy, findings=tuple(replace(f, first_step=50) for f in sick.findings if f.rule == "divergence")
    )
    assert spoilt.findings
    assert "no checkpoint worth keeping" in render(Report((spoilt,)))


@pytest.mark.parametrize("width", [20, 60, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal(sick, width):
    assert max(map(len, render(Report((sick,)), Style(width)).splitlines())) <= max(width, 60)


def test_the_table_fits_eighty_columns(report):
    assert max(map(len, render(report, Style(80)).splitlines())) <= 80


def test_colour_adds_escapes_and_nothing_else(report):
    plain, coloured = render(report), render(report, Style(color=True))
    assert "\x1b" not in plain
    assert "\x1b[31m\x1b[1m✗ unhealthy\x1b[0m" in coloured
    assert [line.rstrip() for line in ESCAPES.sub("", coloured).splitlines()] == plain.splitlines()


def test_a_log_cannot_steer_the_terminal(sick):
    run = replace(sick.run, source="a\x1b[2Jb", notes=("\x1b]0;title\x07",), format="[red]x[/red]")
    text = render(Report((replace(sick, run=run),)))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]x[/red]" in text


def test_a_run_with_nothing_measured_is_still_named(too_short):
    empty = replace(too_short, run=Run("void", {}), not_checked=(NotChecked("no loss", "plateau"),))
    assert render(Report((empty,))).splitlines()[:2] == ["? not judged  void", "  format unknown · nothing measured"]


def test_a_run_that_goes_on_is_healthy_so_far_and_says_how_far(healthy):
    run = replace(healthy.run, config={"max_steps": 4000}, events=())
    text = squeezed(render(Report((replace(healthy, run=run),))))
    assert text.startswith("✓ healthy so far runs/good.jsonl")
    assert "50% of the planned 4,000 steps" in text
    stopped = replace(run, events=(Event("end", 2000, fields={"status": "stopped"}),))
    assert render(Report((replace(healthy, run=stopped),))).startswith("✓ healthy  ")


def test_what_only_a_baseline_excuses_is_not_called_healthy(healthy):
    assert render(Report((replace(healthy, known=2),))).startswith("– known  runs/good.jsonl")
    assert replace(healthy, known=2).verdict == "healthy"


def test_the_clock_of_a_stall_is_no_curve_worth_a_line(healthy):
    run = healthy.run
    stalled = replace(
        healthy,
        run=replace(run, series={**run.series, "time": run["loss"], "step_time_s": run["loss"]}),
        findings=tuple(Finding("A step takes long.", 1, 9, metric=metric) for metric in ("time", "step_time_s")),
    )
    assert [row.metric for row in curve_rows(stalled, 40)] == ["loss", "val/loss", "step_time_s"]


def test_a_loss_in_bits_per_byte_says_its_unit_where_its_curve_is_shown():
    losses = Series(np.arange(40), np.linspace(3, 2, 40), source_unit="bits per byte")
    assert "40 values of loss (nats per byte)" in origin(Run("a", {"loss": losses}))
    assert "40 values of loss" in origin(Run("a", {"loss": replace(losses, source_unit="")}))
