"""One training loop for all PyTorch models here: read `train_in_team` and `one_update`, from top to bottom.

A model is called as `model(ids, state)` and returns logits [batch, time, vocabulary] and its state, which is None for a
transformer and the hidden state, carried from batch to batch, for a recurrent network.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from lmdiag.record.gradients import GradientStatistics, local
from lmdiag.record.writer import RunLogger
from trainers import batches, checkpoints, corpus, results, resuming, sampling, saved_models
from trainers.devices import Team, choose_device, keep_memory, memory_in_use
from trainers.faults import Hooks
from trainers.ngram import reference_losses
from trainers.precision import autocast, check_precision
from trainers.progress import Progress, not_fatal
from trainers.schedule import learning_rate
from trainers.settings import Settings, check_numbers, checkpoint_folder

REACHED = ("corpus", "model", "evaluation", "sampler", "start", "lr", "batch", "gradients", "record", "after")


@dataclass
class Parts:
    """What a trainer hands to the loop: how to build its model, its optimizer and its batches."""

    name: str
    model: Callable[[Any, int], torch.nn.Module]  # settings, vocabulary size
    optimizer: Callable[[Any, torch.nn.Module], torch.optim.Optimizer]
    batches: type[batches.Windows] | type[batches.Streams] = batches.Windows


def train(parts: Parts, settings: Settings, hooks: Hooks) -> None:
    """Train a model and write its log; raises ValueError for settings that do not fit together."""
    check(settings)
    if hooks.beyond(REACHED):
        raise ValueError(
            f"this fault is one of post-training ({', '.join(hooks.beyond(REACHED))}): use it with dpo or grpo"
        )
    if settings.dry_run:
        settings = dataclasses.replace(settings, steps=2, log=os.devnull, checkpoint_every=0, save=False)
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    keep_memory()
    team = Team(device)
    try:
        train_in_team(parts, settings, hooks, device, team)
    finally:
        team.close()


@dataclass
class Run:
    """All that a run works with, and how far it is; `prepared` makes it, `one_update` moves it on."""

    settings: Settings
    hooks: Hooks
    team: Team
    text: corpus.Corpus
    source: batches.Windows | batches.Streams
    model: torch.nn.Module
    params: int
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    statistics: GradientStatistics
    step: int = 0
    tokens: int = 0  # trained on
    states: list[Any] | None = None  # hidden states that are carried from batch to batch
    clipped: int = 0  # updates since the last record
    skipped: int = 0


def train_in_team(parts: Parts, settings: Settings, hooks: Hooks, device: torch.device, team: Team) -> None:
    """Train with the other processes of a run, or alone."""
    run = prepared(parts, settings, hooks, device, team)
    validation = hooks.evaluation(parts.batches.evaluation(run.text.val, *shape(settings), settings.eval_tokens))
    said = go_on(run) if settings.resume else ""
    if team.rank and not settings.resume:
        torch.manual_seed(settings.seed + team.rank)  # each process drops other activations

    logger = RunLogger(
        settings.log,
        resume=settings.resume,
        all_ranks=settings.all_ranks,
        clock=settings.clocks,
        run_id=settings.run_id(),
        resumed_from_step=run.step or None,
        **header_facts(parts.name, run),
    )
    # the logger closes the log whatever happens, so that it says how the run ended: completed, interrupted, or with which error
    with logger as log, Progress(settings.steps, run.step, quiet=team.rank > 0 or settings.dry_run) as progress:
        progress.say(results.about_text(run.text, settings))
        progress.say(f"model: {parts.name} with {run.params:,} parameters, on {device}")
        if said:
            progress.say(said)
            log.event("other_text", run.step, said)
        hooks.start(log)
        found: dict[str, Any] = {}  # of the last evaluation
        if not run.step:  # an untrained model is near ln(vocabulary): one that is above starts broken
            found = evaluate(run.model, validation, settings, device)
            log.eval(0, **found)
        while run.step < settings.steps:  # updates, not passes over the text: the schedule must know where the end is
            record = one_update(run)
            progress.step(run.step, record["loss"], record["tokens_per_sec"])
            # the loss of this batch alone, no mean since the last record: a spike stays one
            if run.step % settings.log_every == 0:
                log.step(run.step, **hooks.record(run.step, record | since_last_record(run)))
            # the last step as well: else the model that is kept is one that nobody has measured
            if run.step % settings.eval_every == 0 or run.step == settings.steps:
                found = evaluate(run.model, validation, settings, device)
                log.eval(run.step, **found)
                progress.evaluation(run.step, found["loss"])
            if settings.checkpoint_every and run.step % settings.checkpoint_every == 0:
                keep_checkpoint(run, log, progress)
            hooks.after(run.step)
        if settings.save:
            keep_model(parts.name, run, log, progress)

        # ---- at the end: the part of the text that nobody has looked at, and what the model writes

        tested = evaluate(
            run.model, parts.batches.evaluation(run.text.test, *shape(settings), corpus.TESTED), settings, device
        )
        log.eval(settings.steps, "test", **tested)
        if team.rank == 0 and not settings.dry_run:
            losses = ({"validation": found["loss"]} if found else {}) | {"test": tested["loss"]}
            progress.say(results.about_losses(losses, reference_losses(run.text, results.COUNTED, "test")))
        if settings.sample and not settings.dry_run:
            write = (run.text.vocabulary, settings.sample, settings.temperature, settings.top_k, settings.seed)
            written = sampling.write(sampling.Network(run.model, settings.context, device), *write)
            log.event("sample", settings.steps, written)
            progress.text(written)


def one_update(run: Run) -> dict[str, Any]:
    """Train on one batch: this is all of training. Return what the log says of it."""
    settings, statistics = run.settings, run.statistics
    run.step += 1
    started = time.perf_counter()
    lr = run.hooks.lr(run.step, learning_rate(run.step, settings))
    # set, not scheduled: the rate follows from the step alone, so that a resume has no scheduler to restore
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    inputs, targets = run.hooks.batch(run.step, *run.source.next())
    # measured apart: a step that waits for its batch looks like a slow model otherwise
    data_time = time.perf_counter() - started

    run.model.train()  # the last evaluation switched dropout off
    loss, run.states = backward(run.model, inputs, targets, run.states, run.scaler, settings, run.team)
    run.hooks.gradients(run.step, run.model)
    run.scaler.unscale_(run.optimizer)  # before clipping: the limit is about true gradients, not those times 65,536
    layers = settings.layers_every > 0 and run.step % settings.layers_every == 0
    grad_norm = statistics.before_update(update=layers)  # stays on the device: no waiting here
    if settings.grad_clip:
        # what is logged is the norm before: behind it all large ones would look alike
        clip(statistics.parameters, grad_norm, settings.grad_clip)
    run.skipped += update(run.optimizer, run.scaler, grad_norm, settings)
    run.tokens += targets.numel()  # of all processes: runs with other batches compare by tokens, not by steps

    measured = statistics.after_update(layers, loss=loss)  # waits for the device, once
    step_time = time.perf_counter() - started
    run.clipped += 0 < settings.grad_clip < measured["grad_norm"]
    return {
        "loss": measured.pop("loss"),
        "lr": lr,
        "epoch": round(run.tokens / len(run.text.train), 4),  # by tokens: windows drawn by chance never end a pass
        "tokens": run.tokens,
        "loss_scale": run.scaler.get_scale() if run.scaler.is_enabled() else None,
        **measured,
        "tokens_per_sec": round(targets.numel() / step_time, 1),
        "step_time_s": round(step_time, 5),
        "data_time_s": round(data_time, 5),
        "mem_bytes": memory_in_use(run.team.device),
    }


# --- the pieces, in the order of their use ---------------------------------------------------------------------------


def prepared(parts: Parts, settings: Settings, hooks: Hooks, device: torch.device, team: Team) -> Run:
    """Return data, model and optimizer, before the first update."""
    text = hooks.corpus(corpus.of(settings))
    # draws the global batch: each process takes its rows of it
    source = parts.batches(text.train, *shape(settings), settings.seed)
    # weights after the data, both from the seed: the same text and seed give the same model, however many processes there are
    plain = parts.model(settings, text.vocabulary.size).to(device)
    hooks.model(plain)
    check_precision(parts.name, plain, settings, device)
    params = sum(p.numel() for p in plain.parameters())
    if settings.compile:
        plain.compile()  # in place: parameters keep their names, and a checkpoint fits with and without
    # wrapped before the optimizer is made: FSDP puts other parameters, shares of these, in their place
    model = team.wrap(plain, settings.fsdp)
    optimizer = parts.optimizer(settings, model)
    # fp16 has so small a range that gradients vanish: the scaler multiplies the loss, and skips updates that overflow
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16", init_scale=2.0**16)
    return Run(settings, hooks, team, text, source, model, params, optimizer, scaler, GradientStatistics(model))


def shape(settings: Settings) -> tuple[int, int]:
    """Return rows and columns of a batch."""
    return settings.batch_size, settings.context


def since_last_record(run: Run) -> dict[str, Any]:
    """Return how many updates were clipped and skipped since the last record, and count anew."""
    found = {"clip_frac": round(run.clipped / run.settings.log_every, 4), "skipped": run.skipped or None}
    run.clipped = run.skipped = 0
    return found


def go_on(run: Run) -> str:
    """Put a run where its newest checkpoint left it, and return what to say of it, mostly nothing."""
    path = checkpoints.newest(checkpoint_folder(run.settings))
    saved = checkpoints.begun(path, run.team, run.settings.fsdp)
    said = resuming.other_text(saved.get("begun"), begun(run))
    # the optimizer, too: Adam with no averages yet would go on with steps as large as its very first
    checkpoints.put_back(path, saved, run.model, run.optimizer)
    run.scaler.load_state_dict(saved["scaler"])  # the scale that overflows have taught it
    run.source.load_state_dict(run.hooks.sampler(saved["batches"], run.source.state_dict()))
    resuming.check_steps(saved["step"], run.settings.steps)
    run.step, run.tokens = saved["step"], saved["tokens"]
    run.clipped, run.skipped = saved.get("since_record", (0, 0))
    run.states = checkpoints.restore_process(saved, run.team.rank)  # each process drops and carries what is its own
    return said


def begun(run: Run) -> dict[str, Any]:
    """Return what tells, when a run is resumed, whether it is still the same."""
    return resuming.begun(run.settings, run.text.vocabulary.state(), run.text.train)


def keep_checkpoint(run: Run, log: RunLogger, progress: Progress) -> None:
    """Write all that an exact resume needs; a disk that is full costs the checkpoint, never the run."""
    state = {
        "scaler": run.scaler.state_dict(),
        "batches": run.source.state_dict(),
        "tokens": run.tokens,
        "begun": begun(run),
        "since_record": (run.clipped, run.skipped),
        "processes": run.team.gathered(checkpoints.process_state(run.states)),
    }
    folder = checkpoint_folder(run.settings)
    with not_fatal("checkpoint", run.step, log, progress):
        at = (folder, run.step, run.model, run.optimizer, state, run.settings.keep)
        path = checkpoints.save_training(*at, run.team, run.settings.fsdp)
        log.event("checkpoint_saved", run.step, path=path.name)


def keep_model(name: str, run: Run, log: RunLogger, progress: Progress) -> None:
    """Write the trained model, whole, with what is needed to use it."""
    weights = checkpoints.whole_weights(run.model, run.settings.fsdp)  # all processes give their share, one writes
    if run.team.rank == 0:
        with not_fatal("model", run.step, log, progress):
            folder = saved_models.final_folder(run.settings)
            saved_models.save(folder, name, run.settings, run.text.vocabulary, weights)


def check(settings: Settings) -> None:
    """Raise ValueError, in words, for settings that do not fit together."""
    check_numbers(settings)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.batch_size % (settings.accumulation * size):
        raise ValueError(
            f"{settings.accumulation} micro-batches in each of {size} processes do not divide "
            f"--batch-size {settings.batch_size}"
        )


def backward(
    model: torch.nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    states: list[Any] | None,
    scaler: torch.amp.GradScaler,
    settings: Settings,
    team: Team,
) -> tuple[torch.Tensor, list[Any]]:
    """Accumulate the gradient of the mean loss per token over the global batch; return that loss and the states.

    Each micro-batch and each process counts by its share of the tokens: the result depends on neither's number.
    """
    total = torch.zeros((), device=team.device)  # summed on the device: to ask for each loss would mean waiting for it
    carried = []
    parts = list(zip(team.rows(inputs).chunk(settings.accumulation), team.rows(targets).chunk(settings.accumulation)))
    for i, (x, y) in enumerate(parts):
        x, y = x.to(team.device, non_blocking=True), y.to(team.device, non_blocking=True)
        with team.syncing(model, now=i == len(parts) - 1):
            with autocast(settings, team.device):
                logits, state = model(x, states[i] if states else None)
            # in fp32: of logits in 16 bits the logarithm of a sum over the vocabulary would lose its last digits
            loss = (
                functional.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction="sum") / targets.numel()
            )
            scaler.scale(loss * team.size).backward()  # times size, because gradients are averaged over the team
        total += loss.detach()
        carried.append(detached(state))
    return team.total(total), carried


def detached(state: Any) -> Any:
    """Cut the hidden state off the graph: gradients go no further back than one batch."""
    if isinstance(state, tuple):
        return tuple(s.detach() for s in state)
    return None if state is None else state.detach()


def clip(parameters: list[torch.Tensor], norm: torch.Tensor, limit: float) -> None:
    """Scale all gradients so that their global norm is at most `limit`; uses the norm measured already."""
    if norm.device.type == "cpu" and norm <= limit:
        return  # on an accelerator asking would mean waiting: there small gradients are multiplied by one
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)  # at most 1: clipping shortens, and never stretches
    gradients = [local(p.grad) for p in parameters if p.grad is not None]
    if gradients:
        torch._foreach_mul_(gradients, factor)  # one factor for all weights: the direction stays


def update(
    optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, norm: torch.Tensor, settings: Settings
) -> bool:
    """Make one optimizer step and say whether it was skipped."""
    if settings.skip_nonfinite and not scaler.is_enabled() and not torch.isfinite(norm):
        optimizer.zero_grad(set_to_none=True)  # one bad batch is dropped; Adam's averages would carry its NaN for ever
        return True
    scale = scaler.get_scale()  # without fp16 the scaler is switched off, and these three lines are optimizer.step()
    scaler.step(optimizer)
    scaler.update()
    # backward adds to what is there; None, not zeros, so that nothing is stored meanwhile
    optimizer.zero_grad(set_to_none=True)
    return scaler.get_scale() < scale  # it lowers the scale exactly when it found an overflow


@torch.no_grad()
def evaluate(
    model: torch.nn.Module, parts: list[tuple[torch.Tensor, torch.Tensor]], settings: Settings, device: torch.device
) -> dict[str, Any]:
    """Return the mean loss over all target tokens, each counted once: a mean of batch means would weigh short ones up."""
    started = time.perf_counter()
    model.eval()  # without dropout: it is asked for the best it knows
    # float64: of a million small numbers that are added up in float32 the last ones hardly count
    total, tokens = torch.zeros((), device=device, dtype=torch.float64 if device.type != "mps" else torch.float32), 0
    state = None  # a recurrent model carries it from window to window, as in training
    for x, y in parts:
        x, y = x.to(device), y.to(device)
        with autocast(settings, device):
            logits, state = model(x, state)
        total += functional.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction="sum")
        tokens += y.numel()
    loss = float(total) / tokens
    return {"loss": round(loss, 6), "n_tokens": tokens, "eval_time_s": round(time.perf_counter() - started, 4)}


def header_facts(name: str, run: Run) -> dict[str, Any]:
    """Return the header of the log: all that a reader cannot see from the curves."""
    settings, text = run.settings, run.text
    moved_by = getattr(run.optimizer, "parts", [run.optimizer])
    facts = {
        "name": Path(settings.log).stem,
        "framework": "lmdiag-trainers",
        "task": "causal-lm",
        "optimizer": " and ".join(type(part).__name__ for part in moved_by),
        "lr_schedule": settings.schedule,
        "max_steps": settings.steps,
        "warmup_steps": settings.warmup_steps,
        "batch_size": settings.batch_size,
        "batch_tokens": settings.batch_size * settings.context,
        "grad_accum": settings.accumulation,
        "world_size": run.team.size,
        "grad_clip": settings.grad_clip,
        "precision": settings.precision,
        "loss_reduction": "step_mean",  # of one batch, and not since the last record: what a jump means depends on it
        "log_every": settings.log_every,
        "reference_loss": reference_losses(text),  # a network above these has learned what counting knows, or less
        "model": {
            "name": name,
            "params": run.params,
            "vocab_size": text.vocabulary.size,
            "context": settings.context,
        },
        "config": dataclasses.asdict(settings),
    }
    return facts | ({"bytes_per_token": round(text.bytes_per_token, 6)} if text.bytes_per_token else {})
