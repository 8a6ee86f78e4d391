"""flair's `loss.tsv`: rates of fine-tuning are rounded to zero."""

from lmdiag.diagnose import diagnose
from lmdiag.judging.reading import runs_of
from lmdiag.run import Run
from lmdiag.sources.source import Source

HEAD = "EPOCH\tTIMESTAMP\tLEARNING_RATE\tTRAIN_LOSS\tDEV_LOSS\n"


def run_of(*rates: str) -> Run:
    rows = (
        f"{epoch}\t10:11:{epoch:02}\t{rate}\t{3 - epoch / 10:.4f}\t{2.9 - epoch / 10:.4f}\n"
        for epoch, rate in enumerate(rates, 1)
    )
    (run,) = runs_of(Source("loss.tsv", content=(HEAD + "".join(rows)).encode()))
    return run


def test_a_rate_that_is_rounded_to_zero_is_not_known():
    run = run_of(*["0.0000"] * 12)
    assert "lr" not in run
    assert any("12 values of LEARNING_RATE left out" in note for note in run.notes)
    assert not [finding for finding in diagnose(run).findings if finding.rule == "zero-lr"]


def test_rates_that_are_told_stay():
    run = run_of(*["0.0002"] * 6, *["0.0001"] * 4, *["0.0000"] * 2)
    assert run["lr"].steps.tolist() == list(range(1, 11))
    assert run_of(*["0.1000"] * 12)["lr"].values.tolist() == [0.1] * 12
