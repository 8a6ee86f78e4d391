"""The words that training logs name metrics, sets and steps with, of other languages in English."""

from __future__ import annotations

from lmdiag.patterns import lazy

_ENGLISH = {
    # Chinese, and what Japanese shares with it
    "训练": "train ", "訓練": "train ", "验证": "val ", "驗證": "val ", "測試": "test ", "测试": "test ", "集上的": "", "整体": "overall ", "正确率": "accuracy", "平均": "avg ",
    "最佳": "best ", "最优": "best ", "最好": "best ", "当前": "", "當前": "", "损失值": "loss", "损失": "loss", "損失": "loss", "困惑度": "ppl", "准确率": "accuracy",
    "準確率": "accuracy", "精度": "accuracy", "学习率": "lr", "學習率": "lr", "梯度范数": "grad_norm", "轮次": "epoch", "轮数": "epoch",
    "輪次": "epoch", "步数": "step", "训练次数": "step", "步數": "step", "步骤": "step", "步": "step", "迭代": "iter ", "批次": "batch", "时间": "time",
    "耗时": "time", "用时": "time", "保存": "saved ", "模型": "model", "完成": " done ", "，": ", ", "：": ": ", "；": "; ",
    "（": "(", "）": ")", "｜": "|",
    # Japanese
    "学習率": "lr", "エポック": "epoch ", "ステップ": "step ", "学習": "train ", "検証": "val ", "正解率": "accuracy",
    # Korean
    "배치": "batch ", "에포크": "epoch ", "에폭": "epoch ", "스텝": "step ", "단계": "step ", "훈련": "train ", "학습률": "lr", "학습": "train ", "검증": "val ",
    "테스트": "test ", "평가": "eval ", "평균": "avg ", "손실": "loss", "정확도": "accuracy",
    # Russian, Ukrainian
    "Эпоха": "epoch", "эпоха": "epoch", "Епоха": "epoch", "епоха": "epoch", "Шаг": "step", "шаг": "step", "Крок": "step",
    "Потери": "loss", "потери": "loss", "Потеря": "loss", "потеря": "loss", "Втрати": "loss", "втрати": "loss",
    "Ошибка": "loss", "ошибка": "loss", "Обучение": "train", "скорость обучения": "lr", "Скорость обучения": "lr", "валидационные": "val", "тренировочные": "train", "Точность": "accuracy", "точность": "accuracy", "перплексия": "ppl", "Перплексия": "ppl",
    " на валидации": " on val", " на проверке": " on val", " на тесте": " on test", " на обучении": " on train", "_вал": "_val",
    # French, Spanish, Portuguese, Turkish, Vietnamese
    "Époque": "epoch", "époque": "epoch", "Étape": "step", "étape": "step", "Época": "epoch", "época": "epoch",
    "Pérdida": "loss", "pérdida": "loss", "Acurácia": "accuracy", "acurácia": "accuracy", "précision": "accuracy", "Precisión": "accuracy", "precisión": "accuracy", "Validación": "val", "validación": "val",
    "Précision": "accuracy", "Kayıp": "loss", "kayıp": "loss", "kaybı": "loss", "Mất mát": "loss", "mất mát": "loss",
    " de validación": " on val", " de validação": " on val", " d'entraînement": " on train", "entraînement": "train",
}  # fmt: skip
_LATIN = {
    "epoche": "epoch", "epoca": "epoch", "epok": "epoch", "schritt": "step", "verlust": "loss", "trainingsverlust": "train loss",
    "validierungsverlust": "val loss", "testverlust": "test loss", "genauigkeit": "accuracy", "lernrate": "lr",
    "perte": "loss", "perdita": "loss", "perda": "loss", "perdida": "loss", "paso": "step", "passo": "step",
    "de validation": "on val", "di validazione": "on val", "de validacion": "on val", "de treino": "on train",
    "de entrenamiento": "on train", "accuratezza": "accuracy",
    "perplexité": "ppl", "perplejidad": "ppl", "perplexidade": "ppl", "perplessità": "ppl", "itération": "iter", "iteración": "iter", "iteração": "iter", "iterazione": "iter", "iteracion": "iter", "iteracao": "iter", "itér": "iter",
    "taux d'apprentissage": "lr", "tasa de aprendizaje": "lr", "taxa de aprendizado": "lr", "taxa de aprendizagem": "lr",
    "tasso di apprendimento": "lr", "tasso d'apprendimento": "lr", "norme du gradient": "grad_norm", "norma del gradiente": "grad_norm", "norma do gradiente": "grad_norm",
    "entrenamiento": "train", "addestramento": "train", "treino": "train", "validierung": "val", "validazione": "val", "validacion": "val",
}  # fmt: skip
_LATIN |= {word.replace("'", "’"): meant for word, meant in _LATIN.items() if "'" in word}
_FOREIGN_LETTER = lazy(r"[\u00c0-\u024f\u0400-\u04ff\u1ea0-\u1eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff08-\uff5c]")
_WORD = lazy("|".join(sorted(_ENGLISH, key=len, reverse=True)))
_LATIN_WORD = lazy(rf"(?i:\b(?:{'|'.join(sorted(_LATIN, key=len, reverse=True))})\b)")
_PAS = lazy(r"(\W*)[Pp]as(\W*)")  # a step where it stands alone, and "not" among other words of French


def english(text: str) -> str:
    """Return a text with the words that are not written in plain letters in English.

    >>> english("에포크 3: 검증 손실 2.5"), english("Pérdida de validación: 2.5")
    ('epoch  3: val  loss 2.5', 'loss on val: 2.5')
    """
    foreign = not text.isascii() and _FOREIGN_LETTER.search(text)  # a pattern that takes 3 ms to compile
    return _WORD.sub(lambda m: _ENGLISH[m[0]], text) if foreign else text


def plain_english(words: str) -> str:
    """Return the words before a number with those of other languages that need no other letters in English.

    >>> plain_english("Trainingsverlust: "), plain_english("Perte de validation = "), plain_english("loss: ")
    ('train loss: ', 'loss on val = ', 'loss: ')
    >>> plain_english(", Pas "), plain_english("n'est pas "), plain_english("Taux d’apprentissage : ")
    (', step ', "n'est pas ", 'lr : ')
    """
    if "as" in words and (alone := _PAS.fullmatch(words)):
        return f"{alone[1]}step{alone[2]}"
    return _LATIN_WORD.sub(lambda m: _LATIN[m[0].lower()], words)


def in_english(name: str) -> str:
    """Return the name of a column in English, the same name where none of its words is of another language.

    >>> in_english("pérdida_validación"), in_english("Verlust (Validierung)"), in_english("perdita di validazione"), in_english("eval_loss")
    ('loss val', 'loss (val)', 'loss val', 'eval_loss')
    """
    words = english(name).replace("_", " ").replace("-", " ")
    found = plain_english(words).replace(" on ", " ").strip()
    return found if found != words.strip() or words != name.replace("_", " ").replace("-", " ") else name.strip()
