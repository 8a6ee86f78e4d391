"""Lines of little-known toolkits, tutorials and forks, which no format describes."""

from __future__ import annotations

import math

import pytest

from lmdiag.errors import UnreadableLog
from tests.readers.text.prints import points, run_of

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
    "a logger of mmcv": (
        "2025-03-15 16:07:01,813 - mmdet - INFO - Iter [{step}/9000]\tlr: 0.5, eta: 5 days, 23:20:12, time: 0.5, data_time: 0.03, memory: 7954, loss: {loss}, grad_norm: 0.5\n",
        {"lr": 0.5, "step_time_s": 0.5, "grad_norm": 0.5, "mem_bytes": 7954 * 2**20},
    ),
    "MMEngine": (
        "04/24 02:03:09 - mmengine - INFO - Epoch(train)  [1][{step}/9000]  lr: 0.5  eta: 1:20:08  time: 0.5  memory: 4843  grad_norm: 0.5  loss: {loss}\n",
        {"lr": 0.5, "step_time_s": 0.5, "grad_norm": 0.5, "mem_bytes": 4843 * 2**20},
    ),
    "PaddleOCR": ("[2023/10/06 13:29:52] ppocr INFO: epoch: [1/500], global_step: {step}, lr: 0.5, CTCLoss: nanxxx, loss: {loss}, eta: 3 days, 0:24:37\n", {"lr": 0.5}),
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


def test_a_pass_is_an_epoch() -> None:
    lines = [f"Pass {p}, batch {b}, loss {6 - p - b / 400}\n" for p in (0, 1) for b in (0, 100, 200)]
    lines[3:3] = ["Pass 0 end, spent: 50.6\n", "Pass 0, test samples: 42, test avg ppl: 90.5\n"]
    run = run_of("".join(lines))
    assert run["loss"].values.tolist() == [6, 5.75, 5.5, 5, 4.75, 4.5]
    assert run["epoch"].values.tolist() == [0, 0, 0, 1, 1, 1]
    assert run["test/ppl"].values.tolist() == [90.5]


def test_fairseq_scores_a_translation() -> None:
    text = "".join(
        f"2026-02-03 10:1{e}:12 | INFO | train_inner | epoch 00{e}:    100 / 200 loss=9.{e}, ppl=588.1, num_updates={e}00, lr=0.1\n"
        f"2026-02-03 10:1{e}:13 | INFO | valid | epoch 00{e} | valid on 'valid' subset | loss 9.4 | nll_loss 8.1 | ppl 274.4 | bleu {e}.25 "
        f"| wps 9000 | num_updates {e}00 | best_bleu {e}.5\n"
        for e in range(1, 7)
    )
    run = run_of(text)
    assert points(run, "val/bleu") == [(100 * e, e + 0.25) for e in range(1, 7)]
    assert points(run, "val/best_bleu") == [(100 * e, e + 0.5) for e in range(1, 7)]
    assert run.skipped == ()


def test_litgpt_without_the_lines_of_its_evaluations() -> None:
    latest = {k: "n/a" if k < 4 else "3.5" if k < 8 else "3.25" for k in range(1, 11)}
    record = "Epoch 1 | iter {i} step {s} | loss train: 3.{s}, val: {v} | iter time: 210.45 ms{mark}\n"
    text = "".join(
        record.format(i=2 * k + half, s=k if half else k - 1, v=latest[k], mark=" (step)" if half else "")
        for k in range(1, 11)
        for half in (0, 1)
    )
    run = run_of(text)
    assert [step for step, _ in points(run, "loss")] == list(range(1, 11))
    assert points(run, "val/loss") == [(3, 3.5), (7, 3.25)]
    assert any("repeats the latest evaluation" in note for note in run.notes)


def _micro_batches(updates: int, losses: dict[int, str]) -> str:
    """Return a litgpt log of four micro-batches an update, with the losses of some of them."""
    return "".join(
        f"iter {k} step {(k + 1) // 4}: loss {losses.get(k, f'{3 - k / 100:.4f}')}, iter time: 210.45ms{' (optimizer.step)' * (k % 4 == 3)}\n"
        for k in range(4 * updates)
    )


def test_a_micro_batch_of_litgpt_without_a_finite_loss_is_seen() -> None:
    run = run_of(_micro_batches(12, {21: "nan", 46: "inf"}))
    assert [step for step, value in points(run, "loss") if not math.isfinite(value)] == [6, 12]
    assert len(points(run, "loss")) == 12
    assert any("2 micro-batches have no finite loss" in note for note in run.notes)


def test_micro_batches_of_litgpt_behind_the_last_update_have_one_of_their_own() -> None:
    text = _micro_batches(12, {45: "nan", 46: "nan"})
    run = run_of(text[: text.index("iter 47")])
    assert [step for step, value in points(run, "loss") if not math.isfinite(value)] == [12]
    assert points(run, "loss")[-2] == (11, 2.57)


def test_micro_batches_of_litgpt_are_the_curve_of_a_few_updates() -> None:
    run = run_of(_micro_batches(2, {6: "nan"}))
    assert [step for step, _ in points(run, "loss")] == list(range(8))
    assert math.isnan(points(run, "loss")[6][1])


def test_names_joined_to_their_numbers() -> None:
    rows = [(k * 20, -4 - k / 8) for k in range(1, 8)]
    run = run_of("".join(f"step_{step}:\tloss_{value:.9f}\n" for step, value in rows))
    assert points(run, "loss") == rows


def test_two_epochs_whose_losses_stand_below_them() -> None:
    head = "2026-01-02 10:11:12.690 | INFO     | my_model.train:train:8{} - "
    text = "".join(
        f"{head.format(6)}epoch={e}\n{head.format(8)}train_loss={t}, val_loss={v}\n{head.format(9)}train_acc=0.25, val_acc=0.5\n"
        for e, t, v in ((1, 0.5, 0.25), (30, 0.125, 0.75))
    )
    run = run_of(text)
    assert (points(run, "loss"), points(run, "val/loss")) == ([(1, 0.5), (30, 0.125)], [(1, 0.25), (30, 0.75)])


def test_a_single_record_of_an_epoch_is_one_where_its_loss_is_not_finite() -> None:
    text = "STARTING Epoch 0009\nTraining model...\n2026-01-02 10:11:12 Training loss={} avg_cer=0.375\n"
    assert points(run_of(text.format("inf")), "loss") == [(9, math.inf)]
    with pytest.raises(UnreadableLog):
        run_of(text.format("2.5"))


def test_losses_of_spacy_without_a_word() -> None:
    run = run_of("".join(f"{{'tagger': {9 - k}.5, 'ner': {k}.25}}\n" for k in range(6)))
    assert [value for _, value in points(run, "loss")] == [9.5, 8.5, 7.5, 6.5, 5.5, 4.5]
    with pytest.raises(UnreadableLog):
        run_of("".join(f"{{'ner': {k}, 'tagger': {k}}}\n" for k in range(6)))


def test_nanogpt_whose_last_line_is_cut_off_behind_its_loss() -> None:
    run = run_of(
        "step 0: train loss 4.25, val loss 4.5\niter 0: loss 4.75, time 36410.71ms, mfu -100.00%\niter 1: loss nan, time 13"
    )
    assert [step for step, _ in points(run, "loss")] == [0, 1]
    assert math.isnan(points(run, "loss")[1][1])
    assert points(run, "step_time_s") == [(0, 36.41071)]
