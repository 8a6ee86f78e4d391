"""Prints that no format describes: other languages, tensors, brackets, boxes, several records on a line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdiag.errors import UnreadableLog
from lmdiag.judging.reading import runs_of
from lmdiag.readers.text.decimal_commas import are_decimals, decimal_names, with_points
from lmdiag.readers.text.recognise import begin
from lmdiag.readers.text.record_lines import records_in
from lmdiag.run import Run
from lmdiag.sources.source import Source


def run_of(text: str, name: str = "train.log") -> Run:
    (run,) = runs_of(Source(name, content=text.encode()))
    return run


def points(run: Run, metric: str) -> list[tuple[int, float]]:
    return list(zip(run[metric].steps.tolist(), run[metric].values.tolist()))


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


WRAPPED = (
    "step {k} loss tensor({a}, device='cuda:0', grad_fn=<NllLossBackward0>)",
    "step {k} loss: tensor([{a}], grad_fn=<MeanBackward0>)",
    "step {k} loss: Array({a}, dtype=float32)",
    "step {k} loss: np.float32({a})",
    "Metrics(step={k}, loss={a}, lr=0.001)",
    "Loss at step {k}: {a}",
    "06:38:16.402 [main] INFO org.deeplearning4j.optimize.listeners.ScoreIterationListener - Score at iteration {k} is {a}0000000000",
    "Step {k} ends @ 12/29/2017 04:24:06 [Logloss] {a} [Accuracy] 40.7%",
    "[ff] step     {k}/90  loss(sum) {a}  G_pos 0.171  elapsed 1s",
    "train_batch_loss[ {k} ]:  {a}",
    "After {k} steps the training loss is {a} (gradient norm 1.184)",
    "update={k} nll/tok={a} gnorm=1.184 lrate=0.0003",
    "Epoch: 1, Batch: {k}/90, Loss span/answer/total=0.75/0.25/{a}, Time cost=90.67, ETA=1.70h",
    "Epoch:[1], Batch: [{k}]/[90], lr: 0.64, nll: {a}, ppl: 90.5",
    "2026-03-02 22:26:59.033000: I runner.py:276] Step = {k} ; steps/s = 4.57 ; Learning rate = 0.0002 ; Loss = {a}",
    "step {k} token 5m\ntrain/loss {a}\ntrain/grad_norm 9.5\ntrain/per_length_loss/loss@2 4.9",
    "当前Batch：{k}/60 | 当前损失值：{a} | 当前准确率：0.00%",
    "Loss after iteration {k}: {a}",
    "train loss at step {k} is {a}",
    "step train: [{k}/9], loss train: {a}",
    "03-04 10:11:12 [MainThread] INFO Step: {k} Loss: {a}",
)


@pytest.mark.parametrize("template", WRAPPED)
def test_where_the_number_stands(template: str) -> None:
    run = run_of("\n".join(template.format(k=k, a=4.5 - k / 10) for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.4), (2, 4.3), (3, 4.2)]


BRACKETS = (
    "[{e}/3][{b}/40] loss: {a}",
    "[{e}/3, {b}/40] loss: {a}",
    "[Epoch {e}/3][ {b}:40]  Loss: {a}",
    "Train: {e} [ {b}/40 ( 25%)]  Loss: {a} (4.5)",
)


@pytest.mark.parametrize("template", BRACKETS)
def test_epoch_and_batch_in_brackets(template: str) -> None:
    places = [(e, b) for e in (1, 2, 3) for b in (10, 20)]
    run = run_of("\n".join(template.format(e=e, b=b, a=5 - e) for e, b in places))
    assert points(run, "loss") == [((e - 1) * 40 + b, 5 - e) for e, b in places]


def test_pairs_of_epoch_and_batch() -> None:
    run = run_of("\n".join(f"[{e}, {b:5d}] loss: {5 - e}.5" for e in (1, 2) for b in (200, 400)))
    assert points(run, "loss") == [(200, 4.5), (400, 4.5), (600, 3.5), (800, 3.5)]


def test_decimal_commas() -> None:
    text = "".join(f"10:00:0{k},125 epoch {k} loss: 4,{500 - k} val_loss: 4,{700 - k}\n" for k in (1, 2, 3))
    run = run_of(text)
    assert points(run, "loss") == [(1, 4.499), (2, 4.498), (3, 4.497)]
    assert any("comma" in note for note in run.notes)


def test_decimal_commas_of_a_growing_log() -> None:
    lines = [f"epoch {k} loss: 4,{500 - k}\n" for k in range(1, 6)]
    growing = begin("a.log", "".join(lines[:3]))
    for line in lines:
        growing.feed(line)
    (log,) = growing.logs()
    assert log.columns["loss"].values.tolist() == [4.499, 4.498, 4.497, 4.496, 4.495]


@pytest.mark.parametrize("text", ["step 1,000 loss 2.5\nstep 2,000 loss 2.4\n", "gpus 0,1 loss 2.5\n" * 5, "loss 2.5"])
def test_thousands_are_no_decimals(text: str) -> None:
    assert not decimal_names(text)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("step {k} loss 4,{k}12 tokens 1,{k}00 lr 0,001", ["loss", "lr"]),
        ("step {k} loss 2.{k} tokens 1,{k}00", []),
        ("epoch {k}: Verlust: 4,{k}1, Zeit: 12,{k}", ["Zeit", "loss"]),
        ("epoch {k} | perda: 4,{k}12 | ppl 31,{k}00 | tokens: 12,{k}00", ["loss", "ppl"]),
        ("step {k} loss 412,{k}01", []),
        ("step 1,{k}00 epoch 1,{k} ppl 31,{k}00", []),
        ("Época {k} - Pérdida: 4,{k}12 - Pérdida de validación: 4,{k}13", ["loss", "val loss"]),
        ("gpus 0,{k} loss 2.5", []),
    ],
)
def test_commas_are_settled_name_by_name(template: str, names: list[str]) -> None:
    text = "\n".join(template.format(k=k) for k in (1, 2, 3))
    assert sorted(decimal_names(text)) == names


def test_one_name_has_decimals_and_another_thousands() -> None:
    run = run_of("".join(f"step {k} loss 4,{500 - k} tokens 1,{k}00\n" for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.499), (2, 4.498), (3, 4.497)]
    assert points(run, "tokens") == [(1, 1100), (2, 1200), (3, 1300)]
    assert sum("comma" in note for note in run.notes) == 1


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9999)), min_size=2), st.sampled_from(("loss", "tokens", ""))
)
def test_what_cannot_be_thousands_is_decimal(numbers: list[tuple[int, int]], measure: str) -> None:
    parts = [(str(whole), f"{rest:04d}") for whole, rest in numbers]
    assert are_decimals(measure, parts)
    text = "\n".join(f"loss {whole},{rest}" for whole, rest in parts)
    assert with_points(text, decimal_names(text)) == text.replace(",", ".")


def test_records_without_a_line_break() -> None:
    run = run_of("".join(f"Epoch {k}, Loss: {5 - k}.25" for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.25), (2, 3.25), (3, 2.25)]


def test_training_and_evaluation_on_one_line() -> None:
    run = run_of("".join(f"Epoch {k} train loss: 4.{9 - k}Epoch {k} val loss: 5.{9 - k}\n" for k in (1, 2, 3)))
    assert points(run, "loss") == [(1, 4.8), (2, 4.7), (3, 4.6)]
    assert points(run, "val/loss") == [(1, 5.8), (2, 5.7), (3, 5.6)]


def test_a_test_set_behind_the_loss_of_training() -> None:
    lines = [
        f"Train Epoch: {k} Loss: 2.{9 - k}Test set: Average loss: 1.{9 - k}, Accuracy: {k}/10\n" for k in (1, 2, 3)
    ]
    run = run_of("".join(lines))
    assert run["loss"].values.tolist() == [2.8, 2.7, 2.6]
    assert run["test/loss"].values.tolist() == [1.8, 1.7, 1.6]


@pytest.mark.parametrize(
    "piece",
    [
        "epoch 3 step 20 loss 2.5",
        "step 20 loss 2.5 | step 0.3s",
        "Epoch 5 loss 2.3 (best epoch 3)",
        "step 2 of step 9: x",
    ],
)
def test_one_record(piece: str) -> None:
    assert records_in(piece) == [piece]


def test_bars_on_one_line_and_cut_off_at_the_width_of_the_terminal() -> None:
    line = "Epoch 1: 100%|█| 25/25 [01:57<00:00, 0.21it/s, train_loss=0.548, acc=0.8"
    two = line + " " * 8 + line.replace("Epoch 1", "Epoch 2").replace("0.548", "0.412")
    assert points(run_of(two), "loss") == [(25, 0.548), (50, 0.412)]
    text = "".join(
        f"Epoch {e}: 100%|█| 25/25 [01:57<00:00, 0.2it/s, train_loss=0.{8 - e}5, acc=0.8\n" for e in range(3)
    )
    run = run_of(text)
    assert points(run, "loss") == [(25, 0.85), (50, 0.75), (75, 0.65)]
    assert "accuracy" not in run  # its digits may be cut off


def test_bars_of_epochs_far_apart() -> None:
    bars = (
        "Epoch 0: 3%|▎ | 2/58 [00:07<03:28, 3.7s/it, loss=0.6]\nEpoch 7: 5%|▌ | 3/58 [00:08<02:34, 2.8s/it, loss=0.1]"
    )
    assert points(run_of(bars), "loss") == [(2, 0.6), (7 * 58 + 3, 0.1)]


def test_losses_of_an_epoch_without_steps_keep_the_epoch() -> None:
    run = run_of("\n".join(f"epoch: {e} | loss: {5 - e}.{9 - b}" for e in (0, 1, 2) for b in range(3)))
    assert run["loss"].steps.tolist() == list(range(1, 10))
    assert run["epoch"].values.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_losses_of_several_ranks() -> None:
    ranks = "".join(
        f"Epoch {k}/3\n" + "".join(f"Rank {r} | Epoch Loss: {k}.{r}5\n" for r in (1, 0, 2)) for k in (1, 2, 3)
    )
    assert points(run_of(ranks), "loss") == [(1, 1.05), (2, 2.05), (3, 3.05)]


def test_losses_below_the_headline_of_an_epoch() -> None:
    text = "".join(f"Epoch {k}\n  Train: loss 3.{9 - k} acc 0.3\n  Valid: loss 4.{9 - k} acc 0.2\n" for k in (1, 2, 3))
    run = run_of(text)
    assert points(run, "loss") == [(1, 3.8), (2, 3.7), (3, 3.6)]
    assert points(run, "val/loss") == [(1, 4.8), (2, 4.7), (3, 4.6)]


def test_losses_below_the_name_of_their_set() -> None:
    text = "".join(
        f"== Epoch {k} ==\nTraining...\nLoss: 3.{9 - k}\nEvaluating...\nLoss: 4.{9 - k}\n" for k in (1, 2, 3)
    )
    run = run_of(text)
    assert points(run, "loss") == [(1, 3.8), (2, 3.7), (3, 3.6)]
    assert points(run, "val/loss") == [(1, 4.8), (2, 4.7), (3, 4.6)]


def test_short_names_are_guessed_and_said() -> None:
    run = run_of("\n".join(f"it={k} L={5 - k / 4}" for k in range(5)))
    assert points(run, "loss")[:2] == [(0, 5.0), (1, 4.75)]
    assert any('"L" was taken for it' in note for note in run.notes)


def test_times_and_costs_of_batches_are_no_loss() -> None:
    line = "epoch:{k} train step:{k}00 loss: 4.{k} batch_cost: 3.44 sec, reader_cost: 3.01 sec"
    run = run_of("\n".join(line.format(k=k) for k in (1, 2, 3)))
    assert points(run, "loss") == [(100, 4.1), (200, 4.2), (300, 4.3)]


def test_two_losses_on_lines_of_their_own() -> None:
    text = "".join(
        f"Loss at epoch {k} and iteration 50 is 0.{k}\nNCE Loss at epoch {k} and iteration 50 is 0.9{k}\n"
        for k in (1, 2, 3)
    )
    run = run_of(text)
    assert run["loss"].values.tolist() == [0.1, 0.2, 0.3]
    assert run["NCE Loss"].values.tolist() == [0.91, 0.92, 0.93]


def test_a_result_before_training_does_not_take_the_name_of_the_loss():
    run = run_of(
        "Baseline Train Loss: 1.5, Baseline Val Loss: 1.6\n"
        + "".join(f"Epoch [{k}/9], Train Loss: 1.{9 - k}, Val Loss: 1.{9 - k}5\n" for k in range(1, 10))
    )
    assert run["loss"].values[:2].tolist() == [1.8, 1.7]
    assert len(run["val/loss"]) == 9


def test_iterations_that_count_epochs() -> None:
    run = run_of(
        "".join(f"log\\train.log - iteration:{e} step:{s}/29, NER loss: {9 - e}.5\n" for e in (1, 2) for s in (10, 20))
    )
    assert points(run, "loss") == [(10, 8.5), (20, 8.5), (39, 7.5), (49, 7.5)]


def test_layers_are_no_loss() -> None:
    with pytest.raises(UnreadableLog):
        run_of("\n".join(f"it={k} L=12" for k in range(5)))


def test_a_growing_count_is_guessed_to_be_the_step_and_said() -> None:
    run = run_of("\n".join(f"INFO:root:count: {k * 50}, loss:{5 - k / 4}" for k in range(5)))
    assert run["loss"].steps.tolist() == [0, 50, 100, 150, 200]
    assert any('"count" grows' in note for note in run.notes)


def test_speeds_in_thousands_in_front_of_their_unit() -> None:
    run = run_of("\n".join(f"step {k}0 | loss 4.{k} | grad 0.8{k} | 37.2k tok/s | mfu 31.0%" for k in range(4)))
    assert run["tokens_per_sec"].values.tolist() == [37200.0] * 4
    assert run["grad_norm"].values.tolist() == [0.80, 0.81, 0.82, 0.83]


ROWS = "".join(f"| {k} | {5 - k / 4:.3f} | {5.5 - k / 4:.3f} |\n" for k in (1, 2, 3))
TABLES = (
    "# Results\n\n| Epoch | Train Loss | Val Loss |\n|-------|:---:|---:|\n" + ROWS,
    "+---+---+---+\n| Epoch | Train Loss | Val Loss |\n+---+---+---+\n" + ROWS.replace("\n", "\n+---+---+---+\n"),
    ("┏━━━┳━━━┓\n┃ Epoch ┃ Train Loss ┃ Val Loss ┃\n┡━━━╇━━━┩\n" + ROWS.replace("|", "│") + "└───┴───┘\n"),
)


@pytest.mark.parametrize("text", TABLES)
def test_tables_between_bars(text: str) -> None:
    run = run_of(text, "notes.md")
    assert run.step_kind == "epoch"
    assert points(run, "loss") == [(1, 4.75), (2, 4.5), (3, 4.25)]
    assert points(run, "val/loss") == [(1, 5.25), (2, 5.0), (3, 4.75)]


def test_a_table_of_a_model_card() -> None:
    head = "text\n\n| Training Loss | Epoch | Step | Validation Loss | Accuracy |\n|:--:|:--:|:--:|:--:|:--:|\n"
    rows = (
        "| No log | 0.5 | 50 | 2.75 | 25.0% |\n| 2.25 | 1.0 | 100 | 2.5 | 50.0% |\n| 2.0 | 1.5 | 150 | 2.4 | 55.0% |\n"
    )
    run = run_of(head + rows, "README.md")
    assert points(run, "loss") == [(100, 2.25), (150, 2.0)]
    assert points(run, "val/accuracy" if "val/accuracy" in run else "accuracy")[0] == (50, 0.25)
    assert run["epoch"].values.tolist() == [0.5, 1.0, 1.5]


def test_two_tables_are_two_runs() -> None:
    text = "\nThe larger model:\n\n".join(
        "| Epoch | Train Loss |\n|---|---|\n| 1 | 4.5 |\n| 2 | 4.25 |\n" for _ in range(2)
    )
    runs = runs_of(Source("notes.md", content=text.encode()))
    assert [points(run, "loss") for run in runs] == [[(1, 4.5), (2, 4.25)]] * 2


NOT_LOGS = {
    "README.md": "| Round | val loss | Elo | Decision |\n|---|---|---|---|\n| 1 | 1.1 | 1183 | kept |\n| 2 | 1.2 | 1552 | kept |\n",
    "shop.csv": "order_id,product,quantity,price,profit,loss\n1,pen,3,1.20,0.40,0.0\n2,ink,1,4.20,1.40,0.1\n",
    "net.txt": "12:00:00 | Download: 506.7 Mbit/s | Ping: 28.9 ms | Packet loss: 1.2%\n" * 4,
    "tests.txt": "tests/test_loss.py::test_epoch_1 PASSED [ 33%]\nFAILED test_loss - assert 2.5 == 2.4\n",
    "runs.out": "{'train_runtime': 11.2, 'train_loss': 1.52, 'epoch': 1.0}\n100% 8/8 [00:11<00:00]\n" * 4,
    "loop.py": "".join(f"epoch {k} loss 2.{9 - k}\n" for k in range(5)),
    "frames.md": "".join(f"- Frame {k}: loss 3.09{k} -> 1.55{k}\n" for k in range(4)),
}


@pytest.mark.parametrize("name", NOT_LOGS)
def test_what_is_no_log_is_refused(name: str) -> None:
    with pytest.raises(UnreadableLog):
        runs_of(Source(name, content=NOT_LOGS[name].encode()))


def test_a_crash_behind_a_progress_bar_is_told() -> None:
    lines = [f"{{'loss': '{3 - k / 10:.2f}', 'grad_norm': '1.5', 'epoch': '{k / 10}'}}" for k in range(1, 9)]
    bar = " 40%|####      | 8/20 [00:01<00:01, 8.0it/s]Traceback (most recent call last):"
    trace = ['  File "train.py", line 3, in <module>', "RuntimeError: no more memory for the cache"]
    loading = "Loading weights: 100%|##########| 27/27 [00:00<00:00, 13627.01it/s]"
    run = run_of("\n".join([loading, *lines, bar, *trace]))
    assert run.config["max_steps"] == 20
    assert [event.message for event in run.events if event.kind == "exception"] == [trace[-1]]
    assert not run.complete


CHAR_RNN = {
    "time first": "{minutes}m {seconds}s ({step} {percent}%) {loss:.4f}\n",
    "step first": "{step} {percent}% ({minutes}m {seconds}s) {loss:.4f} Ivanov / Russian ✓\n",
    "list": "[{minutes}m {seconds}s ({step} {percent}%) {loss:.4f}]\nWhat thou art thee, my lord\n\n",
}


@pytest.mark.parametrize("line", CHAR_RNN.values(), ids=CHAR_RNN)
def test_character_rnns_of_the_tutorials(line: str) -> None:
    rows = [(k * 500, 3 - k / 20) for k in range(1, 20)]
    text = "".join(line.format(minutes=k // 60, seconds=k % 60, step=k, percent=k // 100, loss=v) for k, v in rows)
    assert points(run_of(text), "loss") == [(step, pytest.approx(loss)) for step, loss in rows]


def test_one_loss_a_line() -> None:
    run = run_of("".join(f"{3 - k / 20:.4f}\n" for k in range(20)))
    assert (run.step_kind, len(run["loss"]), run["loss"].values[0]) == ("record", 20, 3.0)


def test_whole_numbers_alone_are_no_losses() -> None:
    with pytest.raises(UnreadableLog):
        run_of("".join(f"{k * 3}\n" for k in range(30)))


def test_mmengine_counts_within_epochs_and_megabytes() -> None:
    line = "01/02 10:11:12 - mmengine - INFO - Epoch(train) [{e}][{i}/300]  lr: 1e-4  eta: 2:46:39  time: 2.5  memory: 1024  loss: {loss:.3f}\n"
    run = run_of("".join(line.format(e=e, i=i, loss=9 - e - i / 300) for e in (1, 2) for i in (100, 200, 300)))
    assert [step for step, _ in points(run, "loss")] == [100, 200, 300, 400, 500, 600]
    assert run["mem_bytes"].values[0] == 2**30
    assert run["step_time_s"].values[0] == 2.5


UNUSUAL = {
    "numbers first": ("step {step}: {loss:.2f} loss, 0.0001 LR, 8.83 GB used\n", {"lr": 1e-4}),
    "remark": ("Stage 1, Epoch 1, Batch {step}, Training Loss (avg over last 50): {loss:.2f}\n", {}),
    "nested": ("step={step} grad_norm={{'0_default': 2.5, '1_fp32': 0.5}} loss={loss:.2f}\n", {"grad_norm": 2.5}),
    "curly quotes": ("{{‘step’: {step}, ‘loss’: {loss:.2f}, ‘lr’: 0.5}}\n", {"lr": 0.5}),
    "glued": ("step {step} loss {loss:.2f} lr 0.5 ", {"lr": 0.5}),
}


@pytest.mark.parametrize(("line", "others"), UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_lines(line: str, others: dict[str, float]) -> None:
    rows = [(k, 9 - k / 200) for k in range(1, 1200)]
    run = run_of("".join(line.format(step=step, loss=loss) for step, loss in rows))
    assert points(run, "loss") == [(step, pytest.approx(loss, abs=0.006)) for step, loss in rows]
    for name, value in others.items():
        assert set(run[name].values.tolist()) == {value}


def test_bits_per_character_behind_the_loss_are_its_unit() -> None:
    run = run_of("".join(f"iter {k * 10}: loss {6 - k / 10:.2f} BPC, time 260ms\n" for k in range(8)))
    assert run["loss"].values[0] == pytest.approx(6 * math.log(2))


def test_a_few_lines_of_a_known_format_do_not_hide_the_others() -> None:
    text = "".join(f"it {k} | lm loss 7.{k % 10} | lr 1e-4 | step {k}\n" for k in range(1, 60))
    text += "".join(
        f"validation loss at iteration {k} | lm loss value: 7.5E+00 | lm loss PPL: 1.8E+03 |\n" for k in (20, 40)
    )
    run = run_of(text)
    assert len(run["loss"]) == 59
    assert points(run, "val/loss") == [(20, 7.5), (40, 7.5)]


@pytest.mark.parametrize("zeros", [1, 5000])
def test_zeros_before_the_text_of_a_file_that_was_cut(zeros: int) -> None:
    run = run_of("\0" * zeros + "".join(f"step {k} loss 2.{k} lr 0.5\n" for k in range(1, 9)))
    assert len(run["loss"]) == 8


def test_zeros_amid_the_text_of_a_file_that_was_emptied() -> None:
    text = "".join(f"step {k} loss 2.{k:02} lr 0.5\n" for k in range(1, 40))
    half = text.index("step 20 ")
    run = run_of(text[:half] + "\0" * 3000 + text[half:])
    assert len(run["loss"]) == 39


def test_sets_that_begin_a_line_without_a_step() -> None:
    text = "".join(
        f"Epoch {epoch} step {k} acc: {50 + epoch}.00% loss: {2 - epoch / 10}\n"
        + (f"dev acc: 4{epoch}.00% loss: 2.{epoch}\ntest acc: 3{epoch}.00% loss: 3.{epoch}\n" if k == 300 else "")
        for epoch in range(4)
        for k in (100, 200, 300)
    )
    run = run_of(text)
    assert points(run, "val/loss") == [(300, 2.0), (600, 2.1), (900, 2.2), (1200, 2.3)]
    assert run["test/loss"].values.tolist() == [3.0, 3.1, 3.2, 3.3]
    assert len(run["loss"]) == 12


def test_epochs_of_a_set_with_a_hyphen() -> None:
    text = "".join(
        f"Train-Epoch-{k}: Acc:1{k}.5, Loss:2.{9 - k}\nTest-Epoch-{k}: Acc:2{k}.5, Loss:1.{9 - k}\n" for k in range(8)
    )
    run = run_of(text)
    assert points(run, "loss")[:2] == [(0, 2.9), (1, 2.8)]
    assert points(run, "test/loss")[:2] == [(0, 1.9), (1, 1.8)]


def test_one_dictionary_at_the_end_does_not_hide_the_lines_above() -> None:
    text = "".join(f"INFO [trainer] step {k}/400 loss={3 - k / 200} learning_rate=1e-05\n" for k in range(20, 401, 20))
    run = run_of(text + "INFO dev: {'eval_loss': 1.25, 'eval_accuracy': 0.75, 'eval_runtime': 114.2, 'epoch': 2.0}\n")
    assert points(run, "loss")[:2] == [(20, 2.9), (40, 2.8)]


@pytest.mark.parametrize("mark", ["#", "# ", ""])
def test_heads_behind_the_mark_of_a_comment(mark: str) -> None:
    run = run_of(f"{mark}epoch train_loss val_loss\n" + "".join(f"{k} 3.{9 - k} 3.{k}\n" for k in range(8)))
    assert points(run, "loss")[:2] == [(0, 3.9), (1, 3.8)]
    assert points(run, "val/loss")[:2] == [(0, 3.0), (1, 3.1)]


def test_megatron_without_colons() -> None:
    line = " iteration {k:8d}/  5000 | elapsed time per iteration (ms) 512.5 | learning rate 1.5E-04 | lm loss {loss:.6E} | loss scale 65536.0 |\n"
    run = run_of("".join(line.format(k=k, loss=8 - k / 100) for k in range(1, 20)))
    assert points(run, "loss")[0] == (1, pytest.approx(7.99))
    assert (run["lr"].values[0], run["loss_scale"].values[0], run.config["max_steps"]) == (1.5e-4, 65536, 5000)


# What public logs of small toolkits look like: {name: (line, {metric: what stands in its first record})}. The step is 50 k,
# the loss 9 - k / 20.
TOOLKITS = {
    "Marian": (
        "[2025-01-02 10:11:12] Ep. 1 : Up. {step} : Sen. 299,352 : Cost {loss} * 881,133 @ 23,996 after 96,696,035 : Time 32.34s : gNorm 0.5 : L.r. 2.5e-06\n"
        "[2025-01-02 10:11:12] [valid] Ep. 1 : Up. {step} : ce-mean-words : {val} : new best\n",
        {"grad_norm": 0.5, "lr": 2.5e-6},
    ),
    "prime-rl": (
        "10:11:12 SUCCESS Step {step} | Loss: {loss} | Grad. Norm: 0.5 | MFU: 1.5% | Peak Mem.: 5.5/23.7 GiB (22.1%) | Max Vio: 1.0\n",
        {"mfu": 0.015, "mem_bytes": 5.5 * 2**30},
    ),
    "utilisation in percent": ("[INFO] [TRAIN] [Rank 0] step: {step}, loss: {loss}, mfu: 42.5\n", {"mfu": 0.425}),
    "tinygrad": ("{step:5d} 4.31 s run, {loss} loss, 0.0005 LR, 14.5 GB used, 1964.3 GFLOPS\n", {"lr": 5e-4}),
    "Estimator": (
        "INFO:tensorflow:loss = {loss}, step = {step} (124.3 sec)\n"
        "INFO:tensorflow:Saving dict for global step {step}: accuracy = 0.25, global_step = {step}, loss = {val}\n",
        {"val/accuracy": 0.25},
    ),
    "TF-Slim": ("INFO:tensorflow:global step {step}: loss = {loss} (0.5 sec/step)\n", {"step_time_s": 0.5}),
    "TF object detection": ("INFO:tensorflow:Step {step} per-step time 0.5s loss={loss}\n", {"step_time_s": 0.5}),
    "LiBai": ("[04/24 10:11:12 lb.utils.events]:  iteration: {step}/9000  total_loss: {loss}  time: 0.5 s/iter  data_time: 0.0012 s/iter lr: 1.00e-04\n", {"step_time_s": 0.5}),
    "MindYOLO": ("2024-10-18 10:11:12,266 [INFO] Epoch 1/2, Step {step}/9000, loss: {loss}, cur_lr: 0.5\n2024-10-18 10:11:12,268 [INFO] Epoch 1/2, Step {step}/9000, step time: 500.0 ms\n", {"step_time_s": 0.5}),
    "MindFormers": (
        "2024-05-01 10:11:12,123 - mindformers[mindformers/core/callback/callback.py:314] - INFO - {{ Epoch:[  1/  2], step:[ {step}/ 9000], loss: {loss}, per_step_time: 500ms, lr: 1e-05, global_norm: [0.5], train_throughput_per_npu: 123.4T\n",
        {"step_time_s": 0.5, "grad_norm": 0.5},
    ),
    "DeepSpeed by hand": (
        "[2023-04-05 10:11:12,058] [INFO] [logging.py:75:log_dist] [Rank 0] step={step}, skipped=0, lr=[1e-05], mom=[[0.9, 0.95]]\n"
        "[2023-04-05 10:11:12,071] [INFO] [timer.py:198:stop] epoch=0/micro_step={step}/global_step={step}, RunningAvgSamplesPerSec=0.94, MemAllocated=15.5GB, MaxMemAllocated=24.5GB\n"
        "loss:{loss}, global_step:{step}\n",
        {"lr": 1e-5, "mem_bytes": 24.5 * 2**30},
    ),
    "T5": ("step, tf_loss[{loss}][{step}]\n", {}),
    "two numbers": ("{step} {loss:.4f}\n", {}),
    "ClearVoice": ("Train Step: {step}/9000 | 2.057s/batch | lr 5.0e-04 || Mask_Loss {loss}\n", {"lr": 5e-4}),
    "MiniLLM": ("train | epoch   4 | inner iter:   0/  4 | ppo epoch:  1/ 4 | global iter: {step}/ 9000| tot_loss: {loss} | rl_loss: 3.2 | pt_loss: 3.0 | scale: 2048.00\n", {"loss_scale": 2048}),
    "pprint": ("{{'gradient_norm': 0.5,\n 'loss': {loss},\n 'step': {step}}}\n", {"grad_norm": 0.5}),
    "slime": ("(MegatronTrainRayActor pid=77) step {step}: {{'train/loss': {loss}, 'train/pg_loss': 0.1, 'train/lr-pg_0': 1e-06, 'train/step': {step}}}\n", {"lr": 1e-6}),
    "icefall": (
        "2022-04-28 10:11:12,929 INFO [train.py:755] (0/4) Epoch 0, batch {step}, loss[loss={loss}, simple_loss=8.8, over 2490.00 frames.], tot_loss[loss=9.5, simple_loss=9.1, over 2491.00 frames.], batch size: 30, lr: 3.00e-03\n",
        {"lr": 3e-3},
    ),
    "XLM": ("INFO - 10/04/19 14:41:25 - 0:11:11 - {step:7d} -   56.12 sent/s -  2143.80 words/s - MLM-en:  {loss} -  - model LR: 3.8795e-06\n", {"lr": 3.8795e-6}),
    "nmt": ("  global step {step} lr 0.5 step-time 0.50s loss {loss} gN 0.5\n  eval dev: loss {val}, time 3s\n", {"grad_norm": 0.5}),
    "Lingvo": ("I0101 10:11:12.000000 140 trainer.py:508] step: {step}, steps/sec: 2.5 grad_norm/all:0.5 log_pplx:{loss} loss:{loss}\n", {"grad_norm": 0.5, "step_time_s": 0.4}),
    "Flashlight": ("epoch:  1 | nupdates: {step} | lr: 0.5 | runtime: 03:57:15 | loss: {loss} | train-WER: 90.1\n", {"lr": 0.5}),
    "CPM-2": (
        "epoch   0/ 10 | global iteration {step}/    9000 | learning rate 5e-1 | lm loss {loss} | loss scale 512.0 |\n"
        "iteration {step} |  eval_loss: {val} | eval acc(mrr): 0.24\n",
        {"lr": 0.5, "loss_scale": 512},
    ),
    "UER": ("| {step}/  9000 steps| 12345.5 tokens/s| loss {loss}| loss_mlm: 7.0| acc_mlm: 0.052\n", {"tokens_per_sec": 12345.5}),
    "ParlAI": ("[ time:4.0s epochs:0.01 ] {{'exs': 540, 'loss': {loss}, 'gnorm': 0.5, 'updates': 18, 'total_train_updates': {step}}}\n", {"grad_norm": 0.5}),
    "evaluation with its step": ("step {step} ▸ loss {loss}\neval  step {step} ▸ loss {val}\n", {}),
    "tracing's spans": ("train{{epoch=1 run=7f3a}}: lm::trainer: step={step} loss={loss} lr=0.5\n", {"lr": 0.5}),
    "braces without quotes": ("{{step: {step}, loss: {loss}, gnorm: 0.5}}\n", {"grad_norm": 0.5}),
    "names behind, and thousands": ("{step}/3000: {loss} loss, 0.91 gnorm, 12.5k tok/s\n", {"grad_norm": 0.91, "tokens_per_sec": 12500.0}),
    "logfmt with events": ("event=log_train step={step} loss={loss}\nevent=log_eval step={step} loss={val}\n", {}),
    "logfmt with phases": ("phase=train step={step} loss={loss}\nphase=val step={step} loss={val}\n", {}),
    "results behind the training": ("step {step} loss {loss}\nEvaluating ...\nstep {step}\nloss {val}\n", {}),
    "remark behind a name": ("Ep 1 | step {step}: loss train (curr): {loss}, val (prev val iter): None | iter time: 500 ms\n", {"step_time_s": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize(("line", "others"), TOOLKITS.values(), ids=TOOLKITS)
def test_small_toolkits(line: str, others: dict[str, float]) -> None:
    rows = [(50 * k, 9 - k / 20) for k in range(1, 25)]
    run = run_of("".join(line.format(step=step, loss=loss, val=loss + 0.5) for step, loss in rows))
    assert points(run, "loss") == [(step, pytest.approx(loss)) for step, loss in rows]
    if "{val}" in line:
        assert points(run, "val/loss") == [(step, pytest.approx(loss + 0.5)) for step, loss in rows]
    for metric, value in others.items():
        assert run[metric].values[0] == pytest.approx(value), metric


PLACES_IN_EPOCHS = {
    "WeNet": "2023-01-30 10:11:12,107 DEBUG TRAIN Batch {e}/{b} loss {a} loss_att 7.9 lr 0.0003 rank 0\n",
    "Flair": "2020-04-22 10:11:12,738 | split  {e1} / 10 | {b:5d}/ 40 batches | ms/batch 320.08 | loss  {a} | ppl  12.5\n",
    "abbreviated": "  e{e1} b{b:4d}/40  loss= {a}  gnorm=  2.5\n",
}


@pytest.mark.parametrize("line", PLACES_IN_EPOCHS.values(), ids=PLACES_IN_EPOCHS)
def test_places_in_epochs_of_small_toolkits(line: str) -> None:
    places = [(e, b) for e in (0, 1, 2) for b in (10, 20, 40)]
    run = run_of("".join(line.format(e=e, e1=e + 1, b=b, a=9 - e - b / 100) for e, b in places))
    assert points(run, "loss") == [(e * 40 + b, 9 - e - b / 100) for e, b in places]


def test_the_rank_behind_a_line_and_the_batches_of_an_evaluation() -> None:
    train = "DEBUG TRAIN Batch {e}/{b} loss {a}.{r} lr 0.1 rank {r}\n"
    val = "DEBUG CV Batch {e}/0 loss 9.5 history loss 9.25 rank {r}\n"
    text = "".join(
        "".join(train.format(e=e, b=b, a=8 - e, r=r) for b in (0, 100) for r in (2, 0, 1))
        + "".join(val.format(e=e, r=r) for r in (1, 0, 2))
        + f"INFO Epoch {e} CV info cv_loss {7 - e}.5\n"
        for e in (0, 1)
    )
    run = run_of(text)
    assert run["loss"].values.tolist() == [8, 8, 7, 7]
    assert run["val/loss"].values.tolist() == [7.5, 6.5]


def test_evaluations_printed_by_two_processes() -> None:
    run = run_of("".join(f"INFO Epoch {e} CV info cv_loss {9 - e}.5\n" * 2 for e in range(1, 7)))
    assert points(run, "val/loss") == [(e, 9 - e + 0.5) for e in range(1, 7)]


def test_the_mean_of_an_epoch_is_not_the_loss_of_its_last_step() -> None:
    text = "".join(
        "".join(f"epoch {e} - iter {b}/40 - loss {9 - e}.{b}\n" for b in (10, 20, 40))
        + f"EPOCH {e} done: loss {9 - e}.75 - lr 0.1 - bad epochs 0\nDEV : loss {8 - e}.5 - acc 0.5\n"
        for e in (1, 2, 3)
    )
    run = run_of(text)
    assert points(run, "loss")[:4] == [(10, 8.1), (20, 8.2), (40, 8.4), (50, 7.1)]
    assert run["val/loss"].values.tolist() == [7.5, 6.5, 5.5]
    assert run["epoch loss"].values.tolist() == [8.75, 7.75, 6.75]


BLOCKS = {
    "NeMo-RL": "==== Step {k}/90 ====\n> Training policy...\n\nResults:\n  • Loss: {a}\n  • Avg Reward: 0.5\n\nTiming:\n  • Total step time: 66.55s\n",
    "counts of a block": "Iteration: \t {k}\nNumTrajs: \t 200\nNumTimesteps: \t 3254{k}\nLoss:     \t {a}\n-----------------\n",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_losses_below_the_headline_of_a_step(block: str) -> None:
    run = run_of("".join(block.format(k=3 * k, a=9 - k / 10) for k in range(1, 9)))
    assert points(run, "loss") == [(3 * k, 9 - k / 10) for k in range(1, 9)]


def test_terms_of_the_loss_are_no_evaluation_sets() -> None:
    line = "Epoch {e}, batch {b}, loss=2.{e}, simple_loss=3.{e}, lr: 0.1\n"
    text = "".join(
        "".join(line.format(e=e, b=b) for b in (0, 50)) + f"Epoch {e}, validation: loss=4.{e}, simple_loss=5.{e}\n"
        for e in range(4)
    )
    run = run_of(text)
    assert list(run.evaluations) == ["val"]
    assert run["val/simple_loss"].values.tolist() == [5.0, 5.1, 5.2, 5.3]


def test_the_mean_of_the_ranks_is_the_loss() -> None:
    text = "".join(
        "".join(f"[rank:  {r}] step {k} local_loss {9 - k}.{r}\n" for r in range(4)) + f"step {k} loss {9 - k}.15\n"
        for k in range(1, 8)
    )
    assert points(run_of(text), "loss") == [(k, 9 - k + 0.15) for k in range(1, 8)]


def test_an_evaluation_that_names_its_step_is_none_of_the_training() -> None:
    run = run_of("".join(f"Eval step {k}: loss 2.{k}\nstep {k}: loss 3.{k}\n" for k in range(1, 6)))
    assert run["val/loss"].values.tolist() == [2.1, 2.2, 2.3, 2.4, 2.5]
    assert run["loss"].values.tolist() == [3.1, 3.2, 3.3, 3.4, 3.5]


def test_losses_below_the_headline_of_an_evaluation() -> None:
    text = "".join(
        f"INFO step {k}: loss 3.{k}\nINFO ***** Validation at step {k} *****\nINFO   loss = 4.{k}\n"
        for k in range(1, 7)
    )
    run = run_of(text)
    assert points(run, "loss") == [(k, 3 + k / 10) for k in range(1, 7)]
    assert points(run, "val/loss") == [(k, 4 + k / 10) for k in range(1, 7)]


def test_summaries_of_an_epoch_name_their_set() -> None:
    line = "[05-07 13:05:33][flashy.solver][INFO] - {} Summary | Epoch {} | ce={} | ppl=9.5 | duration=22.617\n"
    run = run_of(
        "".join(line.format(s, e, 3 + x - e / 10) for e in (1, 2, 3, 4) for s, x in (("Train", 0), ("Valid", 1)))
    )
    assert points(run, "loss") == [(e, 3 - e / 10) for e in (1, 2, 3, 4)]
    assert points(run, "val/loss") == [(e, 4 - e / 10) for e in (1, 2, 3, 4)]


def test_buckets_of_an_evaluation_are_sets_of_their_own() -> None:
    text = "".join(
        f"global step {200 * k} learning rate 0.5 step-time 1.01 perplexity {20 - k}.5\n"
        + "".join(f"  eval: bucket {b} perplexity {30 + b - k}.5\n" for b in (0, 1))
        for k in range(1, 6)
    )
    run = run_of(text)
    assert points(run, "ppl") == [(200 * k, 20.5 - k) for k in range(1, 6)]
    assert points(run, "bucket_1/ppl") == [(200 * k, 31.5 - k) for k in range(1, 6)]


def test_a_score_that_rises_is_no_loss() -> None:
    line = "step {k} loss {a}\nScore at iteration {k} is {b}\n"
    run = run_of("".join(line.format(k=k, a=4.5 - k / 10, b=0.5 + k / 100) for k in range(1, 9)))
    assert points(run, "loss") == [(k, 4.5 - k / 10) for k in range(1, 9)]


def test_the_mean_beside_the_sum_is_the_loss() -> None:
    run = run_of("".join(f"step {k} loss(sum) {1267 - k} loss(mean) 3.9{k}\n" for k in range(1, 9)))
    assert run["loss"].values.tolist() == [float(f"3.9{k}") for k in range(1, 9)]
    assert run["loss_sum"].values.tolist() == [1267 - k for k in range(1, 9)]


def test_names_in_brackets_before_prose_are_no_losses() -> None:
    run = run_of("[loss] 3 heads configured\n" + "".join(f"step {k} loss 3.{k}\n" for k in range(1, 9)))
    assert len(run["loss"]) == 8
    assert run.events == ()


def test_numbered_records_on_one_line() -> None:
    text = "".join(f"[{k:03}] train_loss: {4 - k / 10:.1f} | dev_loss: 4.{k} " + (">>> saved\n" if k % 3 == 0 else "") for k in range(1, 10))  # fmt: skip
    run = run_of(text)
    assert points(run, "loss") == [(k, round(4 - k / 10, 1)) for k in range(1, 10)]
    assert len(run["val/loss"]) == 9


def test_an_index_that_stays_is_no_step() -> None:
    bar = "loss[0] = {}:  {}%|██▏  | {}/90 [00:00<14:12,  7.00it/s]"
    run = run_of("\r".join(bar.format(9.5 - k / 10, k, k * 10) for k in range(1, 9)))
    assert points(run, "loss") == [(k * 10, pytest.approx(9.5 - k / 10)) for k in range(1, 9)]


def test_where_one_step_of_each_epoch_is_printed_the_means_of_epochs_are_the_curve() -> None:
    run = run_of("".join(f"Epoch {k} Batch 0 Loss {5.1 - k:.1f}\nEpoch {k} Loss {5 - k}.0\n" for k in range(1, 5)))
    assert points(run, "loss") == [(k, 5.0 - k) for k in range(1, 5)]
    assert run["batch Loss"].values.tolist() == pytest.approx([4.1, 3.1, 2.1, 1.1])


def test_lines_with_a_loss_and_no_place_are_counted() -> None:
    run = run_of("".join(f"step {k} loss={5 - k / 10:.1f}\nshadow loss 2.5 today\n" for k in range(1, 9)))
    assert len(run["loss"]) == 8
    assert "8 lines with a loss and no place were not used, the first is line 2" in run.notes


def test_tokens_are_a_place() -> None:
    run = run_of("".join(f"tokens {0.25 * k}B | loss {9 - k / 20} | lr 2.9e-4 | 412k tok/s\n" for k in range(1, 25)))
    assert points(run, "loss") == [(250_000_000 * k, 9 - k / 20) for k in range(1, 25)]


def test_numbers_without_a_name_are_counted() -> None:
    text = "".join(f"step {k} loss {9 - k / 20} \u00b1 0.25 [0.5, nan] lr 0.5\n" for k in range(1, 601))
    (dropped,) = run_of(text).account.dropped
    assert (dropped.line, dropped.count, dropped.unit) == (1, 1800, "value")


def test_a_short_name_of_a_loss_that_is_infinite_throughout() -> None:
    run = run_of("".join(f"it={10 * k} L=inf G=nan\n" for k in range(1, 21)))
    assert points(run, "loss") == [(10 * k, math.inf) for k in range(1, 21)]


def test_nanogpt_with_further_items() -> None:
    lines = [f"iter {k}: loss {4 - k / 50}, ppl 71.5, time 3286.79ms, mfu 0.42%\n" for k in range(30)]
    lines[10:10] = ["step 10: train loss 3.5, val loss 3.75, train ppl 33.1, val ppl 42.5\n"]
    run = run_of("".join(lines))
    assert (run.format, len(run["loss"]), points(run, "val/loss"), run["step_time_s"].values[0]) == (
        "nanogpt",
        30,
        [(10, 3.75)],
        3.28679,
    )


def test_a_line_with_a_loss_that_cannot_be_told_is_counted() -> None:
    lines = [
        f"step {k}: loss {9 - k / 20}\nTestverlust bis Schritt {k}: {10 - k / 20}\n[{k / 4}%] step {k} saved\n"
        for k in range(1, 25)
    ]
    (dropped,) = run_of("".join(lines)).account.dropped
    assert (dropped.line, dropped.count, dropped.unit) == (2, 24, "value")


def test_a_set_that_is_said_to_be_one() -> None:
    run = run_of(
        "".join(f"ep={k:02d} tr=['a'] loss={3 - k / 8} err=0.5 valid=dev loss={4 - k / 8} err=0.4\n" for k in range(8))
    )
    assert points(run, "loss") == [(k, 3 - k / 8) for k in range(8)]
    assert points(run, "val/loss") == [(k, 4 - k / 8) for k in range(8)]


def test_batches_are_counted_beside_losses_of_names_of_their_own() -> None:
    run = run_of("".join(f"batch: {k}, GD_loss: {9 - k / 8}, RD_loss: 7.5, combined_loss: nan, \n" for k in range(8)))
    assert run["GD_loss"].steps.tolist() == list(range(8))
    assert [math.isnan(value) for _, value in points(run, "loss")] == [True] * 8
    with pytest.raises(UnreadableLog):
        run_of("batch: 32, accuracy_of: 0.5\n" * 8)


def test_a_single_record_whose_loss_is_not_a_number() -> None:
    run = run_of("Step 1000/900000, Total Loss: nan, Mel Loss: nan, Duration Loss: nan\n")
    assert [(step, math.isnan(value)) for step, value in points(run, "loss")] == [(1000, True)]
    with pytest.raises(UnreadableLog):
        run_of("Step 1000/900000, Total Loss: 2.5, Mel Loss: 1.5, Duration Loss: 1.0\n")


@pytest.mark.parametrize("place", ["{e} completed epochs, {b} batches\t", "Finished {e} epochs and {b} steps: "])
def test_epochs_and_batches_counted_before_their_words(place: str) -> None:
    lines = [(e, b, 2.5 - 0.4 * e - 0.1 * b / 100) for e in range(3) for b in (100, 200, 300)]
    run = run_of("".join(f"{place.format(e=e, b=b)}training loss: {loss:.4f}\n" for e, b, loss in lines))
    assert points(run, "loss") == [(300 * e + b, pytest.approx(loss, abs=1e-4)) for e, b, loss in lines]
    assert [value for _, value in points(run, "epoch")] == [e for e, _, _ in lines]


def test_a_part_that_stops_being_finite_stands_for_a_total_that_is_not_logged() -> None:
    def log(broken: int, count: int = 8) -> Run:
        parts = [(0.05 - i / 1000, math.nan if i >= broken else 0.5 - i / 100) for i in range(count)]
        return run_of(
            "".join(
                f"(Step: {200 * i}) train_duration_loss = {a:.4f}.\n(Step: {200 * i}) train_mel_loss_before = {b:.4f}.\n"
                for i, (a, b) in enumerate(parts)
            )
        )

    assert [math.isnan(value) for _, value in points(log(5), "loss")] == [False] * 5 + [True] * 3
    assert "loss" not in log(8).series
    assert points(log(8), "train_mel_loss_before")[0] == (0, 0.5)


def test_messages_of_an_overflow_keep_the_scale_that_they_leave() -> None:
    records = "".join(f"step {i} loss {2.5 - i / 100:.3f} loss_scale 0.5\n" for i in range(1, 9))
    run = run_of(
        records + "".join(f"WARNING: overflow detected, setting loss scale to: {0.25 / 2**k}\n" for k in range(9))
    )
    told = [(event.step, event.fields["loss_scale"]) for event in run.events if event.kind == "skipped_step"]
    assert told == [(8, 0.25 / 2**k) for k in range(9)]
    assert points(run, "loss_scale")[-1] == (8, 0.5)
