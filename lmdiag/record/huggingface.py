"""A callback for the Hugging Face `Trainer` that writes the standard log: one record for every optimizer update.

    from lmdiag.record.huggingface import LmdiagCallback

    trainer = Trainer(model, args, train_dataset=data, callbacks=[LmdiagCallback("runs/a.jsonl")])

    with LmdiagCallback("runs/a.jsonl") as callback:  # so that the log says it, should the run crash
        Trainer(model, args, train_dataset=data, callbacks=[callback]).train()

The Trainer's own log hides NaN: with `logging_nan_inf_filter`, on by default, the loss of a bad batch is replaced by
the mean of the good ones. The callback takes the loss from `Trainer.training_step`: it is the one that is trained, also
where the Trainer computes its own and the model's means something else, as in TRL's preference and reward trainers.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from transformers import Trainer, TrainerCallback

from lmdiag.record.gradients import GradientStatistics
from lmdiag.record.judge import Judge
from lmdiag.record.splits import numbers
from lmdiag.record.writer import RunLogger

_OWN = {
    "loss",
    "grad_norm",
    "learning_rate",
    "epoch",
    "num_input_tokens_seen",
    "total_flos",
    "train_runtime",
    "train_tokens_per_second",
    "step_time",
}  # recorded otherwise
_SPEEDS = ("samples_per_second", "steps_per_second", "jit_compilation_time", "model_preparation_time")
# {name of a Trainer, of TRL or made after it: (how it trains, what its loss is of)}; the loss of `sft` is the model's own
_METHODS = {
    "SFT": ("sft", ""),
    "DPO": ("dpo", "preference"),
    "TPO": ("tpo", "preference"),
    "KTO": ("kto", "preference"),
    "BCO": ("bco", "preference"),
    "ORPO": ("orpo", "preference"),
    "CPO": ("cpo", "preference"),
    "OnlineDPO": ("online-dpo", "preference"),
    "Reward": ("reward-model", "preference"),
    "PPO": ("ppo", "reinforcement"),
    "GRPO": ("grpo", "reinforcement"),
    "AsyncGRPO": ("grpo", "reinforcement"),
    "RLOO": ("rloo", "reinforcement"),
    "GKD": ("distillation", "distillation"),
    "GOLD": ("distillation", "distillation"),
    "Distillation": ("distillation", "distillation"),
}


class LmdiagCallback(TrainerCallback):
    """Write `path` while the Trainer trains: true loss, gradients before clipping, tokens, times, evaluations, checkpoints.

    `layers_every` is the number of updates between per-layer statistics, 0 for none. With `stop_on="error"` the run
    is stopped when `lmdiag check` finds an error in its log; it looks every `check_every_s` seconds, and at once where the
    loss is not finite. Further keywords are facts of the log's header.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layers_every: int = 10,
        stop_on: str = "",
        check_every_s: float = 60.0,
        **header: Any,
    ) -> None:
        self.path, self.layers_every, self.header = path, layers_every, header
        self.judge = Judge(path, stop_on, check_every_s)
        self.log: RunLogger | None = None
        self._hooks: list[Any] = []
        self._tokens = 0.0

    # ---- the life of a run

    def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        model, optimizer = objects["model"], objects["optimizer"]
        self._unhook()  # a Trainer that looks for its batch size begins more than once
        trainer = _trainer()
        resumed = state.global_step or None
        facts = {"config": args.to_dict(), **_header(args, state, model), **_method(trainer), **self.header}
        self.log = RunLogger(self.path, resume=bool(resumed), resumed_from_step=resumed, **facts)
        self._tokens = float(state.num_input_tokens_seen)
        self._statistics = GradientStatistics(model)
        self._measured = False
        self._begin_step()
        self._hooks = [model.register_forward_hook(self._after_forward, with_kwargs=True)]
        self._hooks += _after_each_backward(self._statistics.parameters, lambda: self._after_backward(optimizer, state))
        if trainer is not None:
            self._hooks.append(_AroundTrainingStep(trainer, self._add_loss))
        self._ended = self._begun = time.perf_counter()

    def on_train_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        self._unhook()
        self.judge.close()
        if self.log is not None:
            self.log.end(self.judge.status)
            self.log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: Any) -> None:
        """End the log of a run that crashed or was interrupted: the Trainer tells callbacks nothing of it."""
        self._unhook()
        self.judge.close()
        if self.log is not None:
            self.log.__exit__(*why)
            self.log = None

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    # ---- one optimizer update

    def on_step_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        self._begin_step()
        self._begun = time.perf_counter()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """Bring what was measured to the host, in one transfer, while the learning rate is still that of this update."""
        if not self._measured:
            return
        layers = self._wants_layers(state)
        extra = {"loss": self._loss, "tokens": self._step_tokens}
        given = {name: _mean_over_processes(value) for name, value in extra.items() if value is not None}
        found: dict[str, Any] = self._statistics.after_update(layers, **given)
        found["lr"] = float(objects["optimizer"].param_groups[0]["lr"])
        if getattr(objects["optimizer"], "step_was_skipped", False):
            found["skipped"] = 1
        self._record = found

    def on_step_end(self, args: Any, state: Any, control: Any, **objects: Any) -> Any:
        ended = time.perf_counter()
        record = self._record
        new_tokens = record.pop("tokens", 0) * args.world_size  # the mean over the processes
        self._tokens += new_tokens
        times = {"step_time_s": round(ended - self._ended, 5), "data_time_s": round(self._begun - self._ended, 5)}
        if new_tokens:
            times |= {"tokens": round(self._tokens), "tokens_per_sec": round(new_tokens / (ended - self._ended), 1)}
        if args.max_grad_norm and "grad_norm" in record:
            record["clip_frac"] = float(not record["grad_norm"] <= args.max_grad_norm)
        self._write().step(state.global_step, **record, epoch=round(state.epoch, 6), **times, mem_bytes=_memory())
        self._ended = ended
        if self.judge.says_stop(urgent=not math.isfinite(record.get("loss", 0.0))):
            self._write().event("stopped", state.global_step, self.judge.found)
            control.should_training_stop = True
        return control

    # ---- now and then

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **objects: Any
    ) -> None:
        """Keep what other callbacks and trainers log beside the usual, and the loss where no training step was seen."""
        training = numbers({k: v for k, v in (logs or {}).items() if not k.startswith(("eval_", "test_"))})
        if self.log is None or "train_loss" in training:  # the summary at the end
            return
        own = _OWN | {"num_tokens"} if self._tokens else _OWN
        extra = {name: value for name, value in training.items() if name not in own}
        if self._loss is None and "loss" in training:
            extra["loss"] = training["loss"]
        if extra:
            self.log.step(state.global_step, **extra)
        self._ended = time.perf_counter()

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] | None = None, **objects: Any
    ) -> None:
        if self.log is not None and metrics:
            for split, found in _evaluations(metrics).items():
                self.log.eval(state.global_step, split=split, **numbers(found))
        self._ended = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        if self.log is not None:
            folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
            self.log.event("checkpoint_saved", state.global_step, path=folder)
        self._ended = time.perf_counter()

    # ---- inside the step

    def _begin_step(self) -> None:
        self._loss: torch.Tensor | None = None
        self._step_tokens: torch.Tensor | None = None
        self._record = {}

    def _add_loss(self, loss: torch.Tensor) -> None:
        """Add a micro-batch, of which the Trainer has made its share of the update's loss."""
        self._loss = loss.float() if self._loss is None else self._loss + loss.float()

    def _after_forward(self, model: torch.nn.Module, args: Any, inputs: Mapping[str, Any], output: Any) -> None:
        """Count the tokens that are trained on."""
        if model.training and torch.is_grad_enabled():
            counted = _tokens(inputs)
            if counted is not None:
                self._step_tokens = counted if self._step_tokens is None else self._step_tokens + counted

    def _after_backward(self, optimizer: Any, state: Any) -> None:
        """Measure the gradients of the whole update: after its last micro-batch, before they are clipped."""
        if not getattr(getattr(optimizer, "gradient_state", None), "sync_gradients", True):
            return
        scaler = getattr(optimizer, "scaler", None)
        scale = scaler.get_scale() if scaler is not None else 1.0
        self._statistics.before_update(update=self._wants_layers(state), scale=scale)
        self._measured = True

    def _wants_layers(self, state: Any) -> bool:
        return self.layers_every > 0 and (state.global_step + 1) % self.layers_every == 0

    def _write(self) -> RunLogger:
        assert self.log is not None, "the Trainer has not begun to train"
        return self.log


class _AroundTrainingStep:
    """Tell `then` what each `training_step` of a Trainer returns, until it is removed."""

    def __init__(self, trainer: Any, then: Callable[[torch.Tensor], None]) -> None:
        step = trainer.training_step
        self._trainer, self._own = trainer, vars(trainer).get("training_step")

        def observed(*args: Any, **kwargs: Any) -> Any:
            loss = step(*args, **kwargs)
            if torch.is_tensor(loss):
                then(loss.detach().mean())
            return loss

        trainer.training_step = observed

    def remove(self) -> None:
        del self._trainer.training_step
        if self._own is not None:
            self._trainer.training_step = self._own


def _trainer() -> Trainer | None:
    """Return the Trainer that called: it hands callbacks its arguments and its model, and never itself."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer):
            return caller
    return None


def _method(trainer: Trainer | None) -> dict[str, Any]:
    """Return `method`, and what that makes of `task` and the unit of the loss, for a Trainer that post-trains."""
    names = [kind.__name__.removesuffix("Trainer") for kind in type(trainer).__mro__]
    method, task = next((_METHODS[name] for name in names if name in _METHODS), ("", ""))
    if method == "cpo" and getattr(getattr(trainer, "args", None), "loss_type", "") == "simpo":
        method = "simpo"
    if not task:
        return {"method": method} if method else {}
    return {"method": method, "task": task, "loss_unit": None}


def _after_each_backward(parameters: list[torch.Tensor], then: Callable[[], None]) -> list[Any]:
    """Call `then` at the end of every backward pass, behind the callbacks that reduce gradients; return the hooks."""
    engine = torch.autograd.Variable._execution_engine
    queued = [False]

    def last() -> None:
        queued[0] = False
        then()

    def on_gradient(parameter: torch.Tensor) -> None:
        if not queued[0]:
            queued[0] = True
            # Queued twice: what DistributedDataParallel queues meanwhile must run first.
            engine.queue_callback(lambda: engine.queue_callback(last))

    return [p.register_post_accumulate_grad_hook(on_gradient) for p in parameters]


def _mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    """Return the mean over all processes: each sees only its own batch, and the NaN may be in another's."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def _tokens(inputs: Mapping[str, Any]) -> torch.Tensor | None:
    mask, ids = inputs.get("attention_mask"), inputs.get("input_ids")
    if torch.is_tensor(mask) and mask.dim() == 2:
        return mask.detach().sum().float()
    return torch.tensor(float(ids.numel()), device=ids.device) if torch.is_tensor(ids) else None


def _memory() -> int | None:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _evaluations(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return {set: metrics}; a Trainer with several evaluation sets puts their names between `eval_` and the metric."""
    named = {name.removeprefix("eval_"): value for name, value in metrics.items() if name.startswith("eval_")}
    set_name = next((name.removesuffix("loss") for name in named if name.endswith("_loss") and "loss" not in named), "")
    left_out = (*_SPEEDS, "num_tokens")  # TRL repeats here what was trained on so far
    found = {name.removeprefix(set_name): value for name, value in named.items() if not name.endswith(left_out)}
    if "runtime" in found:
        found["eval_time_s"] = found.pop("runtime")
    return {set_name.rstrip("_") or "val": found}


def _header(args: Any, state: Any, model: torch.nn.Module) -> dict[str, Any]:
    import transformers

    config = getattr(model, "config", None)
    return {
        "name": args.run_name if args.run_name and args.run_name != args.output_dir else None,
        "framework": "transformers",
        "framework_version": transformers.__version__,
        "task": _task(type(model).__name__),
        "optimizer": str(getattr(args.optim, "value", args.optim)),
        "lr_schedule": str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
        "max_steps": state.max_steps,
        "warmup_steps": args.get_warmup_steps(state.max_steps),
        "batch_size": args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size,
        "grad_accum": args.gradient_accumulation_steps,
        "world_size": args.world_size,
        "grad_clip": args.max_grad_norm,
        "precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32",
        "loss_reduction": "step_mean",
        "log_every": 1,
        "model": {
            "name": type(model).__name__,
            "params": sum(p.numel() for p in model.parameters()),
            "vocab_size": getattr(config, "vocab_size", None),
        },
    }


def _task(model: str) -> str | None:
    endings = {"MaskedLM": "masked-lm", "ForPreTraining": "masked-lm", "SequenceClassification": "classification"}
    endings |= {"TokenClassification": "classification", "CausalLM": "causal-lm", "LMHeadModel": "causal-lm"}
    return next((task for ending, task in endings.items() if ending in model), None)
