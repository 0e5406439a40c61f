"""One stage's updates, on all devices and processes there are."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from accelerate import Accelerator

from srflow.model import SRFlow
from srflow.training.averaging import AveragedModel
from srflow.training.objectives import Losses
from srflow.training.patches import Batch
from srflow.training.progress import Progress
from srflow.training.recipe import TrainingRecipe
from srflow.training.stages import Stage
from srflow.training.step import build_parts

__all__ = ["Outcome", "StageRun"]

Outcome = Literal["finished", "time limit", "stopped"]
"""Why a run, or a stage of it, ended."""


class StageRun:
    """A stage's objective and optimiser, wrapped for the devices and processes there are, and its updates.

    Args:
        stage: what is trained.  model, average: what its updates change.
        recipe, accelerator: of the run.
        progress: of the run; told of each step, whose number the caller counts.
        optimizer_state, adversary_state: of the step before, where the phase began earlier; else None.
        report: called with one line of text for a person.
    Raises: InputError, CheckpointError, MissingPackageError: the feature network cannot be built.
    """

    def __init__(
        self,
        stage: Stage,
        model: SRFlow,
        average: AveragedModel,
        recipe: TrainingRecipe,
        accelerator: Accelerator,
        progress: Progress,
        *,
        optimizer_state: dict[str, Any] | None,
        adversary_state: dict[str, Any] | None,
        report: Callable[[str], None],
    ) -> None:
        self.stage, self.rate = stage, 0.0
        self._model, self._average, self._recipe = model, average, recipe
        self._accelerator, self._progress, self._report = accelerator, progress, report
        accelerator.free_memory()  # the wrapper of the previous stage still has hooks on the same parameters
        self.parts = build_parts(
            stage,
            model,
            recipe,
            accelerator.device,
            reduce=self._mean_over_processes,
            compiled=recipe.runtime.compile,
        )
        if optimizer_state is not None:
            self._resume(self.parts.optimizer, optimizer_state)
        if self.parts.adversary is not None and adversary_state is not None:
            self.parts.adversary.load_state_dict(adversary_state)
        report(
            f"Stage '{stage.name}': steps {stage.first} to {stage.last}, "
            f"{sum(parameter.numel() for parameter in self.parts.parameters):,} parameters."
        )
        self._objective = accelerator.prepare_model(self.parts.objective)
        self._optimizer = accelerator.prepare_optimizer(self.parts.optimizer)

    def step(self, batch: Batch, stop_reason: Callable[[], Outcome | None]) -> Outcome | None:
        """Make one update, or none if something is not finite. Returns the reason to stop after it, if any."""
        stage, progress, accelerator, optimizer = self.stage, self._progress, self._accelerator, self._optimizer
        parts = self.parts
        self.rate = stage.phase.learning_rate_at(progress.step - stage.phase_start)
        for group in parts.optimizer.param_groups:
            group["lr"] = self.rate
        optimizer.zero_grad(set_to_none=True)
        stage.set_up_step(parts.objective, progress.step - stage.phase_start)
        with self._compiled_or_not():
            losses: Losses = self._objective(*stage.inputs(batch))
        accelerator.backward(losses.minimised)
        # This unscales the gradients of fp16; the norm is that of the gradient averaged over the processes.
        norm = accelerator.clip_grad_norm_(parts.parameters, stage.phase.clip_norm or math.inf)
        stop = stop_reason()
        names = list(losses.reported)
        values = torch.stack([value.float() for value in losses.reported.values()])
        if accelerator.num_processes > 1:
            # All processes must agree on what to do next, or one waits for the others forever.
            flags = torch.tensor([stop == "stopped", stop == "time limit"], dtype=torch.float32, device=values.device)
            shared = accelerator.reduce(torch.cat([values, flags]), reduction="mean")
            values, flags = shared[:-2], shared[-2:]
            stop = "stopped" if flags[0] > 0 else "time limit" if flags[1] > 0 else None
        finite = progress.note(dict(zip(names, values.tolist(), strict=True)), norm.item())
        if finite:
            optimizer.step()
            self._average.update(self._model, stage.phase.ema_decay)
            if parts.adversary is not None:
                assert losses.views is not None
                progress.losses.setdefault("discriminator", []).append(parts.adversary.update(*losses.views))
            progress.bad_in_a_row = 0
        else:
            if accelerator.scaler is not None:
                accelerator.scaler.update()  # lowers the scale of fp16's loss
            progress.skipped += 1
            progress.bad_in_a_row += 1
        return stop

    def _compiled_or_not(self) -> AbstractContextManager[Any]:
        """Return the uncompiled objective for a flow's first step, in which its actnorms initialise and would break the
        graph.
        """
        if self._recipe.runtime.compile and self.stage.scores == "samples" and not self._model.is_initialized:
            return torch.compiler.set_stance("force_eager")
        return nullcontext()

    def _mean_over_processes(self, value: torch.Tensor) -> torch.Tensor:
        accelerator = self._accelerator
        return accelerator.reduce(value, reduction="mean") if accelerator.num_processes > 1 else value

    def _resume(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Restore the optimiser's state, but not its settings: those come from the recipe, which may have changed."""
        mine = optimizer.state_dict()
        kinds, saved_kinds = (
            [(group.get("kind"), len(group["params"])) for group in groups]
            for groups in (mine["param_groups"], state["param_groups"])
        )
        if kinds == saved_kinds:
            optimizer.load_state_dict({"state": state["state"], "param_groups": mine["param_groups"]})
        else:
            self._report("The optimiser differs from the saved one; it starts without its state.")
