"""What `dpo`, `grpo` and `reward-model` share: the policy and its reference, prompts from the text, and the loop; read `train` first.

The policy begins as a model that another trainer saved, and the reference is that model, frozen. A method says what
to train on and what the loss is; the loop makes updates of it, evaluates, saves and logs, whatever the method.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from lmdiag.record.gradients import GradientStatistics
from lmdiag.record.writer import RunLogger
from trainers import checkpoints, corpus, loop, resuming, rewards, saved_models, vocabularies
from trainers.completions import Completions, write
from trainers.devices import choose_device, keep_memory, memory_in_use
from trainers.faults import Hooks
from trainers.progress import Progress, not_fatal
from trainers.schedule import learning_rate
from trainers.settings import Output, check_alone, check_numbers, checkpoint_folder, setting


@dataclass
class Settings(Output):
    """The settings that all methods share."""

    pretrained: str = setting(
        "runs/transformer-1.checkpoints/final",
        "folder of the model to go on from, from transformer, lstm or rnn",
    )
    rewards: str = setting("length", f"what is wanted, the mean of: {', '.join(rewards.REWARDS)}; separate by commas")
    target_length: int = setting(12, "characters that the reward `length` asks for", least=1)

    # what the policy writes: one line, to a prompt that ends where a line begins
    prompt_tokens: int = setting(8, "tokens of a prompt", least=1)
    completion_tokens: int = setting(24, "most tokens of a completion", least=1)
    temperature: float = setting(1.0, "temperature of what is written, and of its probabilities")
    beta: float = setting(0.1, "what it costs to leave the reference: the coefficient of the KL divergence")

    # how long, how fast
    steps: int = setting(200, "optimizer updates", least=1)
    lr: float = setting(1e-3, "peak learning rate")
    schedule: str = setting("constant", "learning rate after the warm-up", ("cosine", "linear", "wsd", "constant"))
    warmup_steps: int = setting(10, "steps of linear warm-up")
    min_lr_ratio: float = setting(0.1, "learning rate at the end, as a share of the peak")
    grad_clip: float = setting(1.0, "limit of the global gradient norm; 0: none")

    # how often to look
    layers_every: int = setting(10, "steps between per-layer statistics; 0: none")
    eval_every: int = setting(25, "steps between evaluations on prompts of the validation split", least=1)
    eval_prompts: int = setting(128, "prompts to evaluate on", least=1)

    # where, and what to keep
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps")
    checkpoints: str = setting("", "folder for checkpoints and the trained model; default: beside the log")
    checkpoint_every: int = setting(0, "steps between checkpoints; 0: none")
    keep: int = setting(3, "newest checkpoints to keep", least=1)
    resume: bool = setting(False, "continue from the newest checkpoint, exactly, and append to the log")
    save: bool = setting(True, "save the trained model at the end, in the folder `final` beside the checkpoints")


@dataclass
class Bench:
    """Everything a method works with."""

    settings: Any
    hooks: Hooks
    device: torch.device
    policy: torch.nn.Module
    reference: torch.nn.Module
    decode: Callable[[list[int]], str]
    stop: int  # the token that ends a completion
    prompts: torch.Tensor  # int64[n, prompt], of the training split
    held_out: torch.Tensor  # of the validation split

    def write(self, prompts: torch.Tensor, generator: torch.Generator) -> Completions:
        """Let the policy write to prompts."""
        s = self.settings
        at = prompts.to(self.device)
        return write(self.policy, at, s.completion_tokens, self.stop, s.temperature, generator)

    def rewards(self, written: Completions) -> dict[str, torch.Tensor]:
        """Return {reward: its value for each completion, float[n]}; the token that stops is not part of the text."""
        rows = zip(written.ids[:, self.settings.prompt_tokens :].tolist(), written.mask.sum(1).long().tolist())
        texts = [self.decode([i for i in ids[:count] if i != self.stop]) for ids, count in rows]
        found = rewards.rewards_of(texts, self.settings)
        return {name: torch.tensor(values, device=self.device) for name, values in found.items()}


class Method(Protocol):
    """A way to post-train: `dpo.Preferences`, `grpo.Groups`, `reward_model.Ranking`."""

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]: ...

    def evaluate(self) -> dict[str, torch.Tensor]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def train(name: str, task: str, method: Callable[[Bench], Method], settings: Any, hooks: Hooks) -> None:
    """Post-train a saved model and write the log; raises ValueError for settings that do not fit together."""
    check(name, settings, hooks)
    if settings.dry_run:
        settings = dataclasses.replace(settings, steps=2, log=os.devnull, checkpoint_every=0, save=False)
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    keep_memory()

    # ---- policy, reference, text; no dropout: it would blur the ratio of the two

    start = saved_models.load(settings.pretrained, device, dropout=0.0)
    reference = saved_models.load(settings.pretrained, device, dropout=0.0).model.requires_grad_(False).eval()
    bench = prepared(settings, hooks, device, start, reference)
    params = sum(p.numel() for p in bench.policy.parameters())
    print(
        f"model: {name} goes on from {start.name} with {params:,} parameters, on {device}; "
        f"{len(bench.prompts):,} + {len(bench.held_out):,} prompts to train and evaluate on, reward: {settings.rewards}",
        file=sys.stderr,
    )
    hooks.model(bench.policy)  # the reference stays as it was saved
    work = method(bench)
    # no decay: it would pull the policy towards zero, and what it must stay near is the reference
    optimizer = torch.optim.AdamW(bench.policy.parameters(), lr=settings.lr, betas=(0.9, 0.95), weight_decay=0.0)
    statistics = GradientStatistics(bench.policy)  # nothing of the reference, which has no gradients

    # ---- go on from a checkpoint, or begin

    first, tokens, said, folder = 0, 0, "", checkpoint_folder(settings)
    begun = resuming.begun(settings, fingerprint(bench.reference, start), bench.prompts)
    if settings.resume:
        kept = checkpoints.load(checkpoints.newest(folder), device)
        said = resuming.other_text(kept.get("begun"), begun)
        bench.policy.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        work.load_state_dict(kept["method"])  # what is drawn next, and answers that are still to be used
        first, tokens = kept["step"], kept["tokens"]
        resuming.check_steps(first, settings.steps)

    logger = RunLogger(
        settings.log,
        resume=settings.resume,
        clock=settings.clocks,
        run_id=settings.run_id(),
        resumed_from_step=first or None,
        **header_facts(name, task, settings, start, params),
    )
    with logger as log, Progress(settings.steps, first) as progress:
        if said:
            progress.say(said)
            log.event("other_text", first, said)
        if getattr(settings, "group_size", 2) == 1:
            progress.say("groups of one answer: no answer is better than its group, and the rewards teach nothing")
        hooks.start(log)
        if not first:  # before any update policy and reference are one: this is what there is to gain upon
            log.eval(0, **numbers(work.evaluate()))
        for step in range(first + 1, settings.steps + 1):
            # ---- one optimizer update

            started = time.perf_counter()
            lr = hooks.lr(step, learning_rate(step, settings))
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss, metrics = work.loss(step)  # all that the methods differ in
            loss.backward()
            hooks.gradients(step, bench.policy)
            layers = settings.layers_every > 0 and step % settings.layers_every == 0
            grad_norm = statistics.before_update(update=layers)
            if settings.grad_clip:
                # answers are few and rewards noisy: one lucky group must not move the policy far
                loop.clip(statistics.parameters, grad_norm, settings.grad_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            # ---- what the log says of it

            measured = statistics.after_update(layers, loss=loss)
            found = numbers(metrics)
            new = round(found.pop("new_tokens", 0))
            tokens += new
            step_time = time.perf_counter() - started
            record = {
                "loss": measured.pop("loss"),
                "lr": lr,
                "tokens": tokens,
                "clip_frac": float(0 < settings.grad_clip < measured["grad_norm"]),
                **found,
                **measured,
                "tokens_per_sec": round(new / step_time, 1),
                "step_time_s": round(step_time, 5),
                "mem_bytes": memory_in_use(device),
            }
            log.step(step, **hooks.record(step, record))
            progress.step(step, record["loss"])

            # ---- now and then: evaluate, save

            if step % settings.eval_every == 0 or step == settings.steps:
                found = numbers(work.evaluate())
                log.eval(step, **found)
                shown = next(name for name in ("reward", "rewards/accuracies", "accuracy") if name in found)
                progress.evaluation(step, found[shown], f"validation {shown}", also="")
            if settings.checkpoint_every and step % settings.checkpoint_every == 0:
                state: dict[str, Any] = {"model": bench.policy.state_dict(), "optimizer": optimizer.state_dict()}
                state |= {"method": work.state_dict(), "tokens": tokens, "begun": begun}
                with not_fatal("checkpoint", step, log, progress):
                    path = checkpoints.save(folder, step, state, settings.keep)
                    log.event("checkpoint_saved", step, path=path.name)
            hooks.after(step)
        if settings.save:
            final = saved_models.final_folder(settings)
            with not_fatal("model", settings.steps, log, progress):
                saved_models.save(final, start.name, start.settings, start.vocabulary, bench.policy.state_dict())


# --- the pieces, in the order of their use ---------------------------------------------------------------------------

REACHED = ("model", "start", "lr", "gradients", "record", "after", "reference", "rewards", "pairs", "mask")


def check(name: str, settings: Any, hooks: Hooks) -> None:
    """Raise ValueError, in words, for what this loop cannot do."""
    check_numbers(settings)
    rewards.named(settings.rewards)
    check_alone(name)
    if settings.temperature == 0:
        raise ValueError("--temperature must be above 0: a policy that draws nothing has nothing to compare")
    out = hooks.beyond(REACHED)
    if out:
        raise ValueError(f"this fault reaches into the loop of other trainers ({', '.join(out)}), not into {name}'s")


def prepared(
    settings: Any, hooks: Hooks, device: torch.device, start: saved_models.SavedModel, reference: torch.nn.Module
) -> Bench:
    """Return the bench: models, and prompts from the text that the model was trained on, in its own vocabulary."""
    most = start.settings.context
    if settings.prompt_tokens + settings.completion_tokens > most:
        raise ValueError(f"--prompt-tokens and --completion-tokens are more than the {most} tokens the model knows")
    stop = stop_token(start.vocabulary)
    train, val = parts_of_text(start)
    prompts, held_out = (torch.from_numpy(lines(ids, stop, settings.prompt_tokens)) for ids in (train, val))
    return Bench(settings, hooks, device, start.model, reference, start.vocabulary.decode, stop, prompts, held_out)


def parts_of_text(start: saved_models.SavedModel) -> tuple[Any, Any]:
    """Return training and validation part of the text that the model was trained on, as ids of its own vocabulary."""
    s = start.settings
    if corpus.is_prepared(s.data):
        text = corpus.of(s)
        first = (part[: corpus.TESTED] for part in (text.train, text.val))
        train, val = (np.asarray(part).astype(np.int64) for part in first)
    else:
        texts, held_out, _ = corpus.split(corpus.documents(tuple(s.data), s.max_characters)[0])
        train, val = (corpus.encode(part, start.vocabulary) for part in (texts, held_out))
    return train, val


def fingerprint(reference: torch.nn.Module, start: saved_models.SavedModel) -> bytes:
    """Return what a run goes on from: a vocabulary, and the weights of the reference."""
    weights = (weight.detach().cpu().numpy().tobytes() for weight in reference.parameters())
    return b"".join([repr(start.vocabulary.state()).encode(), *weights])


def stop_token(vocabulary: vocabularies.Vocabulary) -> int:
    """Return the token that ends a completion: the end of a line, or of a document where lines are no tokens."""
    for text in ("\n", vocabularies.END):
        ids = vocabulary.encode(text)
        if len(ids) == 1 and 0 <= ids[0] < vocabulary.size and ids[0] != vocabulary.unknown:
            return ids[0]
    raise ValueError("the model was trained on symbols, not on text: there is no line to write")


def lines(ids: Any, stop: int, length: int) -> Any:
    """Return the `length` tokens before each beginning of a line, int64[n, length]."""
    # all of one length: a batch of prompts then needs no padding, and no mask
    ends = [end + 1 for end in (ids == stop).nonzero()[0] if end + 1 >= length]
    if not ends:
        raise ValueError(
            f"a part of the text has {len(ids):,} tokens, and no line of it has {length} tokens before it for a prompt: "
            "try a smaller --prompt-tokens, or a model of more text"
        )
    return torch.stack([torch.from_numpy(ids[end - length : end]) for end in ends]).numpy()


def drawn(rows: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return some of the rows, by chance."""
    return rows[torch.randint(len(rows), (count,), generator=generator)]


def numbers(metrics: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Bring 0-dim tensors to the host."""
    return {name: round(float(value), 6) for name, value in metrics.items()}


def header_facts(name: str, task: str, settings: Any, start: saved_models.SavedModel, params: int) -> dict[str, Any]:
    """Return the header of the log: all that a reader cannot see from the curves."""
    return {
        "name": Path(settings.log).stem,
        "framework": "lmdiag-trainers",
        "task": task,
        "method": name,
        "loss_unit": None,  # it is no cross-entropy
        "optimizer": "AdamW",
        "lr_schedule": settings.schedule,
        "max_steps": settings.steps,
        "warmup_steps": settings.warmup_steps,
        "world_size": 1,
        "grad_clip": settings.grad_clip,
        "precision": "fp32",
        "loss_reduction": "step_mean",
        "log_every": 1,
        "model": {
            "name": start.name,
            "params": params,
            "vocab_size": start.vocabulary.size,
            "context": start.settings.context,
        },
        "config": dataclasses.asdict(settings),
    }
