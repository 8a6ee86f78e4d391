"""Prints in other languages than English."""

from __future__ import annotations

import pytest

from tests.readers.text.prints import points, run_of

LANGUAGES = (
    "에포크 {k} | 훈련 손실: {a} | 검증 손실: {b}",
    "エポック {k} 学習損失: {a} 検証損失: {b}",
    "轮数 {k} 训练损失 {a} 验证损失 {b}",
    "訓練 epoch {k} 損失: {a} 驗證損失: {b}",
    "Эпоха {k}, Потери: {a}, Потери на валидации: {b}",
    "Эпоха {k}/10, Ошибка на обучении: {a}, Ошибка на валидации: {b}",
    "Época [{k}/10], Pérdida: {a}\nValidación - Pérdida: {b}, Precisión: 0.5",
    "Época {k} - Pérdida: {a} - Pérdida de validación: {b}",
    "Époque {k} : perte = {a}, perte de validation = {b}",
    "Itération {k} : perte = {a}, perte de validation = {b}",
    "Iteración {k} | pérdida {a} | pérdida de validación {b}",
    "iteração {k}: perda {a}, perda de validação {b}",
    "Iterazione {k}: perdita {a}, perdita di validazione {b}",
    "第 {k} 轮开始\n训练次数：{k}, Loss：{a}\n整体测试集上的正确率: 0.4\n验证集上的Loss: {b}",
    "Epoch {k} train/val loss: {a}/{b}",
    "epoch {k} loss {a} clip 0.5\nvalid {k} loss {b} clip 0.5",
    "| step    {k} | loss   {a} | gnorm  1.1 |\n| eval    {k} | loss   {b} |",
    ">>> step {k}/30 → loss={a}, |g|=1.1\n>>> val @ {k}: {b}",
    "update={k} nll/tok={a}\nupdate={k} valid nll/tok={b}",
    "INFO:root:{{'step': {k}, 'metrics': {{'loss': {a}, 'grad_norm': 1.5}}}}\nINFO:root:{{'step': {k}, 'metrics': {{'val_loss': {b}}}}}",
    "Шаг {k}: потери = {a}, скорость обучения = 0.001\nШаг {k}: валидационные потери = {b}",
    "Epoch {k} loss (train / val): {a} / {b}",
    "(Epoch {k}) TRAIN LOSS:{a} CER:6.5% LR:0.0001\nVALID\nVALID SET 0 LOSS:{b} CER:5.7%",
    "Epoche {k} - Trainingsverlust: {a} - Validierungsverlust: {b}",
)


@pytest.mark.parametrize("template", LANGUAGES)
def test_other_languages(template: str) -> None:
    run = run_of("\n".join(template.format(k=k, a=4.5 - k / 10, b=4.75 - k / 10) for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.4), (2, 4.3), (3, 4.2)]
    assert points(run, "val/loss") == [(1, 4.65), (2, 4.55), (3, 4.45)]


@pytest.mark.parametrize(
    "line",
    [
        "pas {k}, perte : {a}, taux d'apprentissage : {b}, norme du gradient : 0.5",
        "Étape {k} | perte: {a} | Taux d’apprentissage: {b} | norme du gradient: 0.5",
        "Paso {k} | pérdida: {a} | tasa de aprendizaje: {b} | norma del gradiente: 0.5",
        "Passo {k} | perda: {a} | taxa de aprendizado: {b} | norma do gradiente: 0.5",
        "Passo {k} | perdita: {a} | tasso di apprendimento: {b} | norma del gradiente: 0.5",
    ],
)
def test_rates_and_gradients_in_other_languages(line: str) -> None:
    run = run_of("\n".join(line.format(k=k, a=4.5 - k / 10, b=k / 1000) for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.4), (2, 4.3), (3, 4.2)]
    assert points(run, "lr") == [(1, 0.001), (2, 0.002), (3, 0.003)]
    assert points(run, "grad_norm") == [(1, 0.5), (2, 0.5), (3, 0.5)]
