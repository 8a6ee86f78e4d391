"""A folder of logs, most of them sound."""

from tests.rules.curves import falling


def write_logs(folder, n=6):
    """Logs of which the third diverges and the fifth is no log."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        losses = falling(300, seed=number)
        if number == 2:
            losses[200:] += 6
        text = "".join(f'{{"step": {s}, "loss": {v!r}}}\n' for s, v in enumerate(losses.tolist(), 1))
        (folder / f"{number}.jsonl").write_text("Hello\n" if number == 4 else text)
    return folder
