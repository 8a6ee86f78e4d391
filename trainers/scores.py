"""How good a classifier is: accuracy misleads where classes are unequal, so there are three more numbers."""

from __future__ import annotations

import numpy as np


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return accuracy, F1, recall and area under the ROC curve, the last three as means over the classes that occur.

    `logits` is float[n, classes], `labels` int[n].

    >>> scores(np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [1.0, 0.0]]), np.array([0, 0, 1, 1]))
    {'accuracy': 0.75, 'f1': 0.733333, 'recall': 0.75, 'auc': 0.875}
    """
    said = logits.argmax(1)
    f1s, recalls, areas = [], [], []
    for label in np.unique(labels):
        hits = int(((said == label) & (labels == label)).sum())
        recalls.append(hits / int((labels == label).sum()))
        f1s.append(2 * hits / (int((said == label).sum()) + int((labels == label).sum())))
        areas.append(area(logits[:, label] - np.delete(logits, label, 1).max(1), labels == label))
    means = {"f1": f1s, "recall": recalls, "auc": areas}
    found = {"accuracy": float((said == labels).mean())} | {name: float(np.mean(v)) for name, v in means.items()}
    return {name: round(value, 6) for name, value in found.items()}


def confusion(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> str:
    """Return a table: of each class, in how many passages it was taken for which.

    >>> print(confusion(np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]), np.array([0, 1, 1]), ["prose", "code"]))
    is, taken for  prose  code
            prose      1     0
             code      1     1
    """
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (labels, logits.argmax(1)), 1)
    first = "is, taken for"
    width = max(len(first), *map(len, names))
    columns = [max(len(name), len(str(counts.max()))) for name in names]
    lines = ["  ".join([first.rjust(width), *(name.rjust(w) for name, w in zip(names, columns))])]
    for name, row in zip(names, counts):
        lines.append("  ".join([name.rjust(width), *(str(count).rjust(w) for count, w in zip(row, columns))]))
    return "\n".join(lines)


def area(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the chance that a positive example scores above a negative one; ties count half.

    Mann and Whitney 1947: it is the area under the ROC curve, from the ranks alone.

    >>> area(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    0.75
    """
    wins = int(positive.sum()) * int((~positive).sum())
    if not wins:
        return 0.5
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # of ties: the mean of their places
    return float((ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2) / wins)
