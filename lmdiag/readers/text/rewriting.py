"""Spellings that are brought to a common one before a piece is taken apart: Chinese words, clocks, numbers in front of their word."""

from __future__ import annotations

import re

from lmdiag.readers.text.patterns import lazy

_CHINESE = {
    "训练": "train ", "验证": "val ", "测试": "test ", "平均": "avg ", "最佳": "best ", "最优": "best ", "最好": "best ",
    "损失": "loss", "困惑度": "ppl", "准确率": "accuracy", "精度": "accuracy", "学习率": "lr", "梯度范数": "grad_norm",
    "轮次": "epoch", "步数": "step", "步骤": "step", "迭代": "iter ", "批次": "batch", "时间": "time", "耗时": "time",
    "用时": "time", "保存": "saved ", "模型": "model", "完成": " done ", "，": ", ", "：": ": ", "；": "; ", "（": "(", "）": ")",
    "｜": "|",
}  # fmt: skip
_CHINESE_WORD = lazy("|".join(sorted(_CHINESE, key=len, reverse=True)))
_NUMBERED = lazy(r"第\s*(\d+)\s*(?:个\s*)?(轮|步|epoch|step)")
_CLOCK = lazy(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?|\b\d+:\d\d(?::\d\d)?(?:[.,]\d+)?\b")
_MINUTES = lazy(r"(?<![\w.])(?:(\d+)h ?)?(\d+)m ?(\d+(?:\.\d+)?)s\b")
_COUNT_FIRST = lazy(r"(?<![\w.])(?:\d+-)?(\d+)(epoch|batch|step|iter)\b")
_GLUED = lazy(r"\d(?:m ?\d|epoch|batch|step|iter)")  # quick to look for, and rare
_LENGTH_OF_AN_EPOCH = lazy(r"\b(?:1|one) epoch\s*=\s*\d[\d,]*(?![\d.])", re.IGNORECASE)
_BAR = lazy(r"\d+%\|[^|]*\|\s*[\d.]+[kMG]?/[\d.]+[kMG]?\s*\[[\d:]+<[\d:?]+(?:,\s*[^,=\]]*)?")
_NORM = lazy(r"\|{1,2}(?:g|grad|gradient|g_param|grads)\|{1,2}")


def rewritten(piece: str) -> str:
    """Return a piece with the words and signs that the names of numbers are looked up with.

    >>> rewritten("第 3 轮 完成，验证损失：2.5"), rewritten("3epoch:train:1-50batch: loss=2.5  |g| 0.7  time 1m 5s")
    ('epoch 3  done , val loss: 2.5', ' epoch 3:train: batch 50: loss=2.5   grad_norm  0.7  time 65s')
    """
    if not piece.isascii():
        piece = _NUMBERED.sub(lambda m: f"{'step' if m[2] in '步step' else 'epoch'} {m[1]}", piece)
        piece = _CHINESE_WORD.sub(lambda m: _CHINESE[m[0]], piece)
    if ":" in piece:
        piece = _CLOCK.sub(lambda m: "," if m[0].count(":") > 1 or "-" in m[0] else m[0], piece)
    if "%|" in piece:
        piece = _BAR.sub(",", piece)
    if "|g" in piece:
        piece = _NORM.sub(" grad_norm ", piece)
    if "1 epoch" in piece or "1 Epoch" in piece or "ne epoch" in piece:
        piece = _LENGTH_OF_AN_EPOCH.sub(",", piece)
    if _GLUED.search(piece):
        piece = _MINUTES.sub(_seconds, _COUNT_FIRST.sub(r" \2 \1", piece))
    return piece


def _seconds(match: re.Match[str]) -> str:
    return f"{int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]):g}s"
