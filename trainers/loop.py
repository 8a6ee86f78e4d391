"""One training loop for all PyTorch models here: read `train` from top to bottom.

A model is called as `model(ids, state)` and returns logits [batch, time, vocabulary] and its state, which is None for a
transformer and the hidden state, carried from batch to batch, for a recurrent network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from lmdiag.record.gradients import GradientStatistics, local
from lmdiag.record.writer import RunLogger
from trainers import batches, checkpoints, corpus, results, sampling, saved_models
from trainers.devices import (
    Team,
    choose_device,
    load_model_and_optimizer_state,
    memory_in_use,
    model_and_optimizer_state,
)
from trainers.faults import Hooks
from trainers.ngram import reference_losses
from trainers.progress import Progress
from trainers.settings import Settings, check_numbers, checkpoint_folder

REACHED = ("corpus", "model", "evaluation", "sampler", "start", "lr", "batch", "gradients", "record", "after")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    team = Team(device)
    try:
        train_in_team(parts, settings, hooks, device, team)
    finally:
        team.close()


def train_in_team(parts: Parts, settings: Settings, hooks: Hooks, device: torch.device, team: Team) -> None:
    """Train with the other processes of a run, or alone."""
    # ---- data, model, optimizer

    text = hooks.corpus(
        corpus.load(
            settings.data, settings.tokenizer, settings.vocab_size, settings.max_characters, settings.train_tokens
        )
    )
    source = parts.batches(text.train, settings.batch_size, settings.context, settings.seed)
    validation = hooks.evaluation(
        parts.batches.evaluation(text.val, settings.batch_size, settings.context, settings.eval_tokens)
    )
    plain = parts.model(settings, text.vocabulary.size).to(device)
    hooks.model(plain)
    check_precision(parts.name, plain, settings, device)
    params = sum(p.numel() for p in plain.parameters())
    if settings.compile:
        plain.compile()
    model = team.wrap(plain, settings.fsdp)
    optimizer = parts.optimizer(settings, model)
    # fp16 has so small a range that gradients vanish: the scaler multiplies the loss, and skips updates that overflow
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16", init_scale=2.0**16)
    statistics = GradientStatistics(model)

    # ---- go on from a checkpoint, or begin

    first, tokens, states = 0, 0, None
    folder = checkpoint_folder(settings)
    if settings.resume:
        saved = checkpoints.load(checkpoints.newest(folder), device)
        load_model_and_optimizer_state(model, optimizer, saved, settings.fsdp)
        scaler.load_state_dict(saved["scaler"])
        source.load_state_dict(hooks.sampler(saved["batches"], source.state_dict()))
        first, tokens = saved["step"], saved["tokens"]
        states = checkpoints.restore_process(saved, team.rank, team.size)
    elif team.rank:
        torch.manual_seed(settings.seed + team.rank)  # each process drops other activations

    together = getattr(optimizer, "parts", [optimizer])
    moved_by = " and ".join(type(part).__name__ for part in together)
    facts = header_facts(parts.name, settings, text, params, moved_by, team.size)
    logger = RunLogger(
        settings.log,
        resume=settings.resume,
        all_ranks=settings.all_ranks,
        clock=settings.clocks,
        run_id=settings.run_id(),
        resumed_from_step=first or None,
        **facts,
    )
    with logger as log, Progress(settings.steps, first, quiet=team.rank > 0 or settings.dry_run) as progress:
        progress.say(results.about_text(text, settings.tokenizer))
        progress.say(f"model: {parts.name} with {params:,} parameters, on {device}")
        hooks.start(log)
        clipped = skipped = 0  # updates since the last record
        found: dict[str, Any] = {}  # of the last evaluation
        if not first:
            found = evaluate(model, validation, settings, device)
            log.eval(0, **found)
        for step in range(first + 1, settings.steps + 1):
            # ---- one optimizer update

            started = time.perf_counter()
            lr = hooks.lr(step, learning_rate(step, settings))
            for group in optimizer.param_groups:
                group["lr"] = lr
            inputs, targets = hooks.batch(step, *source.next())
            data_time = time.perf_counter() - started

            model.train()
            loss, states = backward(model, inputs, targets, states, scaler, settings, team)
            hooks.gradients(step, model)
            scaler.unscale_(optimizer)
            layers = settings.layers_every > 0 and step % settings.layers_every == 0
            grad_norm = statistics.before_update(update=layers)  # stays on the device: no waiting here
            if settings.grad_clip:
                clip(statistics.parameters, grad_norm, settings.grad_clip)
            skipped += update(optimizer, scaler, grad_norm, settings)
            tokens += targets.numel()

            # ---- what the log says of it

            measured = statistics.after_update(layers, loss=loss)  # waits for the device, once
            step_time = time.perf_counter() - started
            clipped += 0 < settings.grad_clip < measured["grad_norm"]
            progress.step(step, measured["loss"], targets.numel() / step_time)
            if step % settings.log_every == 0:
                record = {
                    "loss": measured.pop("loss"),
                    "lr": lr,
                    "epoch": round(tokens / len(text.train), 4),
                    "tokens": tokens,
                    "clip_frac": round(clipped / settings.log_every, 4),
                    "skipped": skipped or None,
                    "loss_scale": scaler.get_scale() if scaler.is_enabled() else None,
                    **measured,
                    "tokens_per_sec": round(targets.numel() / step_time, 1),
                    "step_time_s": round(step_time, 5),
                    "data_time_s": round(data_time, 5),
                    "mem_bytes": memory_in_use(device),
                }
                log.step(step, **hooks.record(step, record))
                clipped = skipped = 0

            # ---- now and then: evaluate, save

            if step % settings.eval_every == 0 or step == settings.steps:
                found = evaluate(model, validation, settings, device)
                log.eval(step, **found)
                progress.evaluation(step, found["loss"])
            if settings.checkpoint_every and step % settings.checkpoint_every == 0:
                weights, moments = model_and_optimizer_state(model, optimizer, settings.fsdp)
                state = {
                    "model": weights,
                    "optimizer": moments,
                    "scaler": scaler.state_dict(),
                    "batches": source.state_dict(),
                    "tokens": tokens,
                    "processes": team.gathered(checkpoints.process_state(states)),
                }
                if team.rank == 0:
                    path = checkpoints.save(folder, step, state, settings.keep)
                    log.event("checkpoint_saved", step, path=path.name)
            hooks.after(step)
        if settings.save:
            weights, _ = model_and_optimizer_state(model, optimizer, settings.fsdp)
            if team.rank == 0:
                saved_models.save(saved_models.final_folder(settings), parts.name, settings, text.vocabulary, weights)

        # ---- at the end: the part of the text that nobody has looked at, and what the model writes

        test = parts.batches.evaluation(text.test, settings.batch_size, settings.context, 0)
        tested = evaluate(model, test, settings, device)
        log.eval(settings.steps, "test", **tested)
        if team.rank == 0 and not settings.dry_run:
            reached = {"validation": found["loss"]} if found else {}
            progress.say(
                results.about_losses(reached | {"test": tested["loss"]}, reference_losses(text, results.COUNTED))
            )
        if settings.sample and not settings.dry_run:
            write = (text.vocabulary, settings.sample, settings.temperature, settings.top_k, settings.seed)
            written = sampling.write(sampling.Network(model, settings.context, device), *write)
            log.event("sample", settings.steps, written)
            progress.text(written)


# --- the pieces, in the order of their use ---------------------------------------------------------------------------


def check(settings: Settings) -> None:
    """Raise ValueError, in words, for settings that do not fit together."""
    check_numbers(settings)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.batch_size % (settings.accumulation * size):
        raise ValueError(
            f"{settings.accumulation} micro-batches in each of {size} processes do not divide "
            f"--batch-size {settings.batch_size}"
        )


def check_precision(name: str, model: torch.nn.Module, settings: Settings, device: torch.device) -> None:
    """Raise ValueError, in words, where the device has no kernel for this model in the precision asked for."""
    if settings.precision == "fp32":
        return
    # One pass forward and back says it for every model and device; the generators stay as they are.
    ids = torch.zeros(1, settings.context, dtype=torch.int64, device=device)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            with autocast(settings, device):
                logits, _ = model.train()(ids, None)
            logits.float().sum().backward()
    except RuntimeError as error:
        other = "fp32" if settings.precision == "bf16" else "bf16, which needs no loss scale, or fp32"
        reason = re.split(r"[.\n]", str(error))[0]
        raise ValueError(
            f"--precision {settings.precision}: this {device.type} cannot train {name} in it ({reason}). "
            f"Try --precision {other}, or another --device"
        ) from error
    model.zero_grad(set_to_none=True)


def learning_rate(step: int, settings: Settings) -> float:
    """Return the learning rate of the update that completes `step`: a linear warm-up, then the schedule.

    `wsd` (warm-up, stable, decay) keeps the peak and falls linearly over the last fifth.
    """
    peak, floor = settings.lr, settings.lr * settings.min_lr_ratio
    if step <= settings.warmup_steps:
        return peak * step / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    share = {  # of the way from peak to floor
        "constant": 0.0,
        "linear": done,
        "cosine": 0.5 * (1 - math.cos(math.pi * done)),
        "wsd": max(0.0, (done - 0.8) / 0.2),
    }[settings.schedule]
    return peak + (floor - peak) * share


def autocast(settings: Settings, device: torch.device) -> Any:
    """Return the context in which the forward pass computes in the precision asked for."""
    if settings.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[settings.precision])


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
    total = torch.zeros((), device=team.device)
    carried = []
    parts = list(zip(team.rows(inputs).chunk(settings.accumulation), team.rows(targets).chunk(settings.accumulation)))
    for i, (x, y) in enumerate(parts):
        x, y = x.to(team.device, non_blocking=True), y.to(team.device, non_blocking=True)
        with team.syncing(model, now=i == len(parts) - 1):
            with autocast(settings, team.device):
                logits, state = model(x, states[i] if states else None)
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
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    gradients = [local(p.grad) for p in parameters if p.grad is not None]
    if gradients:
        torch._foreach_mul_(gradients, factor)


def update(
    optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, norm: torch.Tensor, settings: Settings
) -> bool:
    """Make one optimizer step and say whether it was skipped."""
    if settings.skip_nonfinite and not scaler.is_enabled() and not torch.isfinite(norm):
        optimizer.zero_grad(set_to_none=True)
        return True
    scale = scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return scaler.get_scale() < scale  # it lowers the scale exactly when it found an overflow


@torch.no_grad()
def evaluate(
    model: torch.nn.Module, parts: list[tuple[torch.Tensor, torch.Tensor]], settings: Settings, device: torch.device
) -> dict[str, Any]:
    """Return the mean loss over all target tokens, each counted once: a mean of batch means would weigh short ones up."""
    started = time.perf_counter()
    model.eval()
    total, tokens = torch.zeros((), device=device, dtype=torch.float64 if device.type != "mps" else torch.float32), 0
    state = None
    for x, y in parts:
        x, y = x.to(device), y.to(device)
        with autocast(settings, device):
            logits, state = model(x, state)
        total += functional.cross_entropy(logits.float().flatten(0, 1), y.flatten(), reduction="sum")
        tokens += y.numel()
    loss = float(total) / tokens
    return {"loss": round(loss, 6), "n_tokens": tokens, "eval_time_s": round(time.perf_counter() - started, 4)}


def header_facts(
    name: str, settings: Settings, text: corpus.Corpus, params: int, optimizer: str, world_size: int
) -> dict[str, Any]:
    """Return the header of the log: all that a reader cannot see from the curves."""
    facts = {
        "name": Path(settings.log).stem,
        "framework": "lmdiag-trainers",
        "task": "causal-lm",
        "optimizer": optimizer,
        "lr_schedule": settings.schedule,
        "max_steps": settings.steps,
        "warmup_steps": settings.warmup_steps,
        "batch_size": settings.batch_size,
        "batch_tokens": settings.batch_size * settings.context,
        "grad_accum": settings.accumulation,
        "world_size": world_size,
        "grad_clip": settings.grad_clip,
        "precision": settings.precision,
        "loss_reduction": "step_mean",
        "log_every": settings.log_every,
        "reference_loss": reference_losses(text),
        "model": {
            "name": name,
            "params": params,
            "vocab_size": text.vocabulary.size,
            "context": settings.context,
        },
        "config": dataclasses.asdict(settings),
    }
    return facts | ({"bytes_per_token": round(text.bytes_per_token, 6)} if text.bytes_per_token else {})
