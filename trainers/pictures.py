"""Draw the curves of the healthy sample logs: `python -m trainers.pictures` writes `docs/images/trainer-NAME.svg`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from trainers.__main__ import TRAINERS

ROOT = Path(__file__).parent.parent
WIDTH, HEIGHT = 420, 180
LEFT, RIGHT, TOP, BOTTOM = 34, 64, 12, 24  # margins, for labels
POINTS = 150  # more than this nobody sees at this size


def curves(log: Path) -> tuple[str, np.ndarray, np.ndarray, dict[str, float]]:
    """Return what is drawn, training and evaluations, float64[n, 2] of (step, value), and the header's reference losses.

    The loss is drawn, or the reward where there is one: of reinforcement learning the loss says nothing.
    """
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    found: dict[str, list[tuple[float, float]]] = {"step": [], "eval": []}
    drawn = "reward" if any("reward" in record for record in records) else "loss"
    for record in records:
        if record["type"] in found and drawn in record and record.get("split", "val") == "val":
            found[record["type"]].append((record["step"], float(record[drawn])))
    return drawn, np.array(found["step"]), np.array(found["eval"]), records[0].get("reference_loss", {})


def thinned(points: np.ndarray) -> np.ndarray:
    """Return means of neighbouring points, at most `POINTS` of them."""
    blocks = np.array_split(points, min(len(points), POINTS))
    return np.array([block.mean(0) for block in blocks])


def picture(log: Path) -> str:
    """Return an SVG of a log: training, evaluations, and what counting tokens or pairs of them would reach."""
    drawn, training, evaluations, references = curves(log)
    training = thinned(training)
    lines = {name: references[name] for name in ("unigram", "bigram") if name in references}
    losses = np.concatenate([training[:, 1], evaluations[:, 1], list(lines.values())])
    low, high, last = losses.min(), losses.max(), max(training[-1, 0], evaluations[-1, 0])

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / last, 1)

    def y(loss: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / max(high - low, 1e-9), 1)

    def text(at: float, height: float, words: str, anchor: str = "start") -> str:
        return f'<text x="{at}" y="{height}" text-anchor="{anchor}">{escape(words)}</text>'

    end = WIDTH - RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="10" fill="#444">',
        f"<title>{drawn.capitalize()} of {escape(log.stem)}: {training[0, 1]:.2f} to {training[-1, 1]:.2f}"
        f"{' nats' * (drawn == 'loss')} in {last:.0f} steps</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff" rx="4"/>',
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{end}" fill="none" stroke="#999"/>',
        text(LEFT - 4, y(high) + 8, f"{high:.1f}", "end"),
        text(LEFT - 4, y(low), f"{low:.1f}", "end"),
        text(LEFT, HEIGHT - 10, "0"),
        text(end, HEIGHT - 10, f"{last:.0f} steps", "end"),
    ]
    for name, loss in lines.items():
        parts.append(f'<path d="M{LEFT} {y(loss)}H{end}" stroke="#888" stroke-dasharray="4 3"/>')
        parts.append(text(end + 4, y(loss) + 3, name))
    for points, style in ((training, 'stroke="#4477aa"'), (evaluations, 'stroke="#cc6633" stroke-width="2"')):
        path = " ".join(f"{x(step)},{y(loss)}" for step, loss in points)
        parts.append(f'<polyline points="{path}" fill="none" {style}/>')
    return "\n".join([*parts, "</svg>", ""])


def pictures() -> dict[Path, str]:
    """Return the picture of every trainer's healthy log: {path: SVG}."""
    return {
        ROOT / "docs" / "images" / f"trainer-{name}.svg": picture(ROOT / "sample_logs" / f"healthy-{name}.jsonl")
        for name in TRAINERS
        if (ROOT / "sample_logs" / f"healthy-{name}.jsonl").exists()
    }


if __name__ == "__main__":
    for path, drawn in pictures().items():
        path.write_text(drawn, encoding="utf-8")
