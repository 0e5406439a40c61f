"""The training loop: stages in order, resumable at any step, on one process or many (Hugging Face Accelerate)."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from tqdm import tqdm

from srflow.checkpoints.own import load_tensors_strictly
from srflow.compiling import check_compiler
from srflow.contract import TrainingDivergedError, TrainingRecipeError
from srflow.empty import without_weights
from srflow.evaluation.features import MIN_SIDE
from srflow.model import SRFlow
from srflow.processes import join_processes
from srflow.training.averaging import AveragedModel
from srflow.training.initialise import initial_model
from srflow.training.journal import Journal
from srflow.training.memory import recompute_activations
from srflow.training.patches import MAX_SHIFT, Batch, PatchSampler
from srflow.training.prefetching import Prefetcher
from srflow.training.progress import Progress, Timing
from srflow.training.provenance import Parent, Provenance, Start
from srflow.training.recipe import TrainingRecipe
from srflow.training.run_folder import RunFolder
from srflow.training.settling import settle_precision, settle_steps
from srflow.training.stage_run import Outcome, StageRun
from srflow.training.stages import Stage, leaves_out_pretraining, plan
from srflow.training.step import StageParts
from srflow.training.store import PictureStore
from srflow.training.validation import ValidationSet

__all__ = ["Trainer"]

_HIGH_RATE = 0.1  # of the initial learning rate: a run that ends above it wastes the decay of the schedule


class Trainer:
    """Trains one model by a recipe, in a run folder.

    Every random choice depends only on the recipe's seed and the step, so a run that is killed and resumed gives the
    same result as an uninterrupted one (bit for bit on a CPU), and several processes that share a batch see what one
    would see.

    Args:
        recipe: the settings.
        data: the folder of training pictures.
        output: the run's folder. If it contains a run of the same recipe, that run is resumed.
        validation: the folder of held-out pictures, or None.
        initial: the checkpoint to start from: a folder, the name of a shipped one, or a Hub name; see `initial_model`.
        cache: folder for decoded pictures.
        minutes: fit the steps of a new run into this time, as measured at its start; see `fit_to_minutes`.
        allow_changes: resume a run although the recipe differs.
        command, overrides: the words that started the run, and those that changed the recipe; only for its record.
        show_progress: show a progress bar on stderr.
        report: called with one line of text for each message to the user (only on the main process).

    Raises: TrainingRecipeError, DatasetError, CheckpointError, InputError: the run cannot start.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        data: Path,
        output: Path,
        *,
        validation: Path | None = None,
        initial: str | Path | None = None,
        cache: Path | None = None,
        minutes: float | None = None,
        allow_changes: bool = False,
        command: Sequence[str] = (),
        overrides: Sequence[str] = (),
        show_progress: bool = False,
        report: Callable[[str], None] = lambda _message: None,
    ) -> None:
        processes = join_processes()
        self._is_main = processes.is_main_process
        self._report = report if self._is_main else lambda _message: None
        self._show_progress = show_progress and self._is_main
        self._stop_requested = False
        self._stop_message: str | None = None
        self.folder = RunFolder(output, self._report)
        recipe = settle_precision(recipe, self.folder, processes, self._report)
        if minutes is not None:
            recipe = settle_steps(recipe, minutes, initial is not None, self.folder, processes, self._report)
        self.recipe = recipe
        self.folder.check_recipe(recipe, allow_changes=allow_changes)
        self.accelerator = _accelerator(recipe)
        if recipe.runtime.compile:
            check_compiler(self.accelerator.device, TrainingRecipeError, "runtime.compile=true")
        world_size = self.accelerator.num_processes
        for name, phase in recipe.phases().items():
            if phase.steps and phase.batch_size % world_size:
                raise TrainingRecipeError(
                    f"{name}.batch_size is {phase.batch_size}; {world_size} processes cannot share it."
                )

        with self.accelerator.main_process_first():
            self._store = PictureStore.open(data, cache, self._report, recipe.data.reductions)
            validation_store = PictureStore.open(validation, cache, self._report) if validation else None
        with without_weights():
            self._latent_shapes = SRFlow(recipe.model.config()).latent_shapes
        self._samplers = {stage.name: self._sampler(stage) for stage in plan(recipe)}
        for stage in plan(recipe):
            left_out = self._samplers[stage.name].left_out()
            if left_out and stage.first == stage.phase_start:  # the stages of a phase draw the same patches
                self._report(f"Stage '{stage.name}': {left_out}")

        self.progress = Progress()
        self._optimizer_state: dict[str, Any] | None = None
        self._adversary_state: dict[str, Any] | None = None
        self._parent: Parent | None = None
        resumed = self._prepare_weights(initial)
        self._check_start()
        self._validation: ValidationSet | None = None
        self._journal: Journal | None = None
        if self._is_main:
            if validation_store is not None:
                self._validation = ValidationSet(validation_store, recipe, self.accelerator.device)
                self._settle_best(validation_store.key)
            self.folder.write_recipe(recipe)  # nothing can fail any more, so the folder now belongs to this run
            self._record = self._started_record(resumed, validation_store, command, overrides)
            self.folder.write_provenance(self._provenance())
            files = (self.folder.metrics_file, output / "tensorboard")
            self._journal = Journal(*files, self.progress.step, self._report)

    def _settle_best(self, pictures: str) -> None:
        """Discard the best score if the validation of this start differs from the one that produced it."""
        settings = {key: value for key, value in asdict(self.recipe.validation).items() if key != "every_steps"}
        question = json.dumps({"pictures": pictures, **settings})
        if self.progress.best and self.progress.best_question != question:
            self._report(
                "The validation differs from that of the earlier run: its best score is not compared with new ones."
            )
            self.progress.best = {}
        self.progress.best_question = question

    def _started_record(
        self, resumed: bool, validation: PictureStore | None, command: Sequence[str], overrides: Sequence[str]
    ) -> Provenance:
        """Return the run's record with this start added; a new record for a new run."""
        start = Start.now(
            step=self.progress.step,
            recipe=self.recipe,
            device=self.accelerator.device,
            num_processes=self.accelerator.num_processes,
            pictures=self._store.sources,
            validation_pictures=None if validation is None else validation.sources,
            command=command,
            overrides=overrides,
        )
        record = Provenance.read(self.folder.path) if resumed else None
        return (record or Provenance(name=self.recipe.name, parent=self._parent)).started(start)

    def request_stop(self, message: str | None = None) -> None:
        """Make `run` save and return after the step in progress. May be called from a signal handler or a thread.

        Args: message: reported by `run` when it notices the request; a signal handler must not print.
        """
        self._stop_message = message
        self._stop_requested = True

    def run(self, stop_after: float | None = None) -> Outcome:
        """Train until the recipe's last step, or until stopped.

        Args: stop_after: seconds after which the run is saved and ended, at any step.
        Raises: TrainingDivergedError: too many successive steps were not finite; the last good state is saved.
        """
        self._deadline = time.monotonic() + stop_after if stop_after is not None else math.inf
        self._last_saved = time.monotonic()
        outcome: Outcome = "finished"
        try:
            for stage in plan(self.recipe):
                if self.progress.step < stage.last:
                    outcome = self._run_stage(stage)
                    if outcome != "finished":
                        break
        finally:
            if self._journal is not None:
                self._journal.close()
        return outcome

    def _sampler(self, stage: Stage) -> PatchSampler:
        data, phase = self.recipe.data, stage.phase
        return PatchSampler(
            store=self._store,
            scale_factor=self.recipe.model.config().scale_factor,
            patch_size=phase.patch_size,
            batch_size=phase.batch_size,
            seed=self.recipe.seed,
            stream=stage.stream,
            flips=data.flips,
            rotations=data.rotations,
            candidates=data.candidates,
            noise=data.noise if stage.noisy else "none",
            noise_scale=data.noise_scale,
            draws=stage.draws(self._latent_shapes, self.recipe.model.config().scale_factor),
        )

    def _prepare_weights(self, initial: str | Path | None) -> bool:
        """Load the model and its average: from the run's last checkpoint (then True), from `initial`, or random."""
        torch.manual_seed(self.recipe.seed)
        with self.accelerator.main_process_first():
            state = self.folder.load_checkpoint()
        if state is None:
            self.model, given_parts = initial_model(self.recipe, initial, self._report)
            if initial is not None:
                self._parent = Parent.of(initial, self.model.metadata, given_parts)
            if leaves_out_pretraining(self.recipe, encoder_given=bool(given_parts)):
                self.progress.step = self.progress.left_out = plan(self.recipe)[0].last
                self._report(f"The encoder comes from {initial}: its own training is skipped.")
        else:
            self.model = SRFlow(self.recipe.model.config())
        self._layout = torch.channels_last if self.recipe.runtime.channels_last else torch.contiguous_format
        self.model.to(self.accelerator.device, memory_format=self._layout)
        self.average = AveragedModel(self.model)
        if state is not None:
            self._restore(state)
        if self.recipe.runtime.low_memory:
            recompute_activations(self.model)
        return state is not None

    def _check_start(self) -> None:
        """Check the first stage: losses on samples need a trained flow, and patches large enough for the features."""
        for stage in plan(self.recipe):
            if stage.finetuning is not None and stage.finetuning.needs_features:
                least = MIN_SIDE + MAX_SHIFT
                if stage.phase.patch_size < least:
                    raise TrainingRecipeError(
                        f"{stage.phase_key}.patch_size is {stage.phase.patch_size}; the feature network needs {least} "
                        "pixels a side."
                    )
        upcoming = next((stage for stage in plan(self.recipe) if self.progress.step < stage.last), None)
        if upcoming is not None and upcoming.finetuning is not None and not self.model.is_initialized:
            raise TrainingRecipeError(
                f"Stage '{upcoming.name}' would begin with random weights. Give --init with a trained model, or set "
                "training.steps."
            )

    def _restore(self, state: dict[str, Any]) -> None:
        load_tensors_strictly(self.model, state["model"], f"The checkpoint of step {state['step']}")
        self.model.metadata = replace(self.model.metadata, license=state["license"])
        load_tensors_strictly(self.average.module, state["average"], f"The checkpoint of step {state['step']}")
        self.average.module.metadata = self.model.metadata
        self.average.num_updates = state["average_updates"]
        self._optimizer_state = state["optimizer"]
        self._adversary_state = state.get("adversary")
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(step=state["step"], **state["progress"])
        if isinstance(self.progress.losses, list):  # saved by a version whose stages had only one loss
            self.progress.losses = {"loss": self.progress.losses}
        self._report(f"Resuming {self.folder.path} after step {self.progress.step}.")
        if state["pictures"] != self._store.key:
            self._report("The training pictures are not those with which this run began; continuing with the new ones.")

    def _run_stage(self, stage: Stage) -> Outcome:
        """Run the rest of a stage."""
        progress, accelerator = self.progress, self.accelerator
        if progress.step == stage.phase_start:
            self._begin_phase()
        stage_run = StageRun(
            stage,
            self.model,
            self.average,
            self.recipe,
            accelerator,
            progress,
            optimizer_state=self._optimizer_state,
            adversary_state=self._adversary_state,
            report=self._report,
        )

        def make(step: int) -> Batch:
            return self._samplers[stage.name].batch(step, accelerator.process_index, accelerator.num_processes)

        timing = Timing()
        with (
            self._progress_bar(stage) as bar,
            Prefetcher(make, progress.step, stage.last, self.recipe.runtime.prefetch) as patches,
        ):
            while progress.step < stage.last:
                started = time.perf_counter()
                batch = patches.next_batch().to(accelerator.device, self._layout)
                waited = time.perf_counter() - started
                stop = self._step(stage_run, batch)
                seconds = time.perf_counter() - started
                progress.step += 1
                progress.seconds += seconds
                timing.add(seconds, waited)
                bar.update()
                if progress.step % self.recipe.log.every_steps == 0:
                    self._log(stage, stage_run.rate, timing, bar)
                    timing = Timing()
                self._raise_if_diverged(stage, stage_run.rate)
                if self._validation_is_due(stage):
                    self._validate(stage)
                ends = stop is not None or progress.step == stage.last
                self._export_encoder_if_due(stage)
                if ends or self._save_is_due():
                    self._save(stage_run.parts, ends=ends)
                if stop:
                    self._warn_of_high_rate(stage, stage_run.rate, stop)
                    return stop
        self._optimizer_state = stage_run.parts.optimizer.state_dict()
        return "finished"

    def _warn_of_high_rate(self, stage: Stage, rate: float, stop: Outcome) -> None:
        """Warn if the run ends at a high learning rate: weights improve much while it decays."""
        share = rate / stage.phase.learning_rate
        if stop == "time limit" and stage.phase.schedule != "constant" and share > _HIGH_RATE:
            self._report(
                f"The learning rate was still {share:.0%} of its start when the time was over; weights improve much "
                "while it decays. Resume the run, or give --minutes instead of --stop-after, so that the steps fit "
                "the time."
            )

    def _export_encoder_if_due(self, stage: Stage) -> None:
        """Write RUN/encoder at the encoder's last step, before that step is saved: no interruption can skip it."""
        if stage.scores == "encoder" and self.progress.step == stage.last and self._is_main:
            self.folder.export("encoder", self.average.module, self._provenance())

    def _mean_over_processes(self, value: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(value, reduction="mean") if self.accelerator.num_processes > 1 else value

    def _progress_bar(self, stage: Stage) -> tqdm:
        return tqdm(
            total=stage.last,
            initial=self.progress.step,
            desc=stage.name,
            unit="step",
            disable=not self._show_progress,
            mininterval=1.0 if sys.stderr.isatty() else 60.0,  # a log file must not fill with progress bars
        )

    def _raise_if_diverged(self, stage: Stage, rate: float) -> None:
        bad = self.progress.bad_in_a_row
        if bad >= self.recipe.runtime.max_bad_steps:
            phase = stage.phase_key
            raise TrainingDivergedError(
                f"Losses or gradients were not finite for {bad} steps in a row, up to step {self.progress.step}. The "
                f"checkpoint before them is in {self.folder.path}. Lower {phase}.learning_rate (now {rate:.2g}), set "
                f"{phase}.clip_norm, or use runtime.precision=float32."
            )

    def _begin_phase(self) -> None:
        """Start a phase from the EMA weights of the previous one, which are better than its last weights."""
        if self.average.num_updates:
            self.model.load_state_dict(self.average.module.state_dict())
        self.average.num_updates = 0
        self._optimizer_state = self._adversary_state = None

    def _step(self, stage_run: StageRun, batch: Batch) -> Outcome | None:
        return stage_run.step(batch, self._stop_reason)

    def _stop_reason(self) -> Outcome | None:
        if self._stop_requested:
            if self._stop_message is not None:
                self._report(self._stop_message)
            return "stopped"
        return "time limit" if time.monotonic() >= self._deadline else None

    def _log(self, stage: Stage, rate: float, timing: Timing, bar: tqdm) -> None:
        progress = self.progress
        values: dict[str, Any] = {
            "stage": stage.name,
            **{name: sum(values) / len(values) for name, values in progress.losses.items() if values},
            "grad_norm": sum(progress.norms) / len(progress.norms),
            "learning_rate": rate,
            "steps_per_second": timing.steps / timing.seconds,
            "data_share": timing.waited / timing.seconds,
            "seconds": progress.seconds,
            "skipped": progress.skipped,
        }
        progress.losses, progress.norms = {}, []
        bar.set_postfix(loss=f"{values['loss']:.4f}", skipped=progress.skipped, refresh=False)
        if self._journal is not None:
            self._journal.write("training", progress.step, values)

    def _validation_is_due(self, stage: Stage) -> bool:
        every = self.recipe.validation.every_steps
        return every > 0 and (self.progress.step % every == 0 or self.progress.step == stage.last)

    def _validate(self, stage: Stage) -> None:
        if self._validation is not None:
            kind = stage.scores
            result = self._validation.score(self.average.module, kind)
            if self._journal is not None:
                self._journal.write("validation", self.progress.step, {"stage": stage.name} | result.values)
                self._journal.pictures(self.progress.step, result.pictures)
            self._report(f"Step {self.progress.step}, validation: {result.summary()}")
            if result.score < self.progress.best.get(kind, math.inf):
                self.progress.best[kind] = result.score
                if kind == "samples":
                    self.folder.export("best", self.average.module, self._provenance())
        self.accelerator.wait_for_everyone()

    def _save_is_due(self) -> bool:
        """Return whether to save; only the main process decides, because times differ between processes."""
        checkpoint = self.recipe.checkpoint
        minutes = (time.monotonic() - self._last_saved) / 60
        due = self.progress.step % checkpoint.every_steps == 0 or minutes >= checkpoint.every_minutes
        return self._is_main and due

    def _save(self, parts: StageParts, *, ends: bool) -> None:
        """Save the run. `ends`: there is no later step at which it could be saved."""
        if not self._is_main or (self.progress.bad_in_a_row and not ends):
            return  # a state that may be diverging must not replace a good one
        scaler = self.accelerator.scaler
        progress = self.progress
        self.folder.save_checkpoint(
            progress.step,
            {
                "recipe": json.dumps(self.recipe.to_dict()),
                "model": self.model.state_dict(),
                "average": self.average.module.state_dict(),
                "average_updates": self.average.num_updates,
                "optimizer": parts.optimizer.state_dict(),
                "adversary": parts.adversary.state_dict() if parts.adversary is not None else None,
                "scaler": scaler.state_dict() if scaler is not None else None,
                "license": self.model.metadata.license,
                "progress": {key: value for key, value in vars(progress).items() if key != "step"},
                "pictures": self._store.key,
            },
            self.recipe.checkpoint.keep,
        )
        self.folder.export("last", self.average.module, self._provenance())
        self._last_saved = time.monotonic()

    def _provenance(self) -> Provenance:
        """Return the run's record, up to the present step."""
        progress = self.progress
        return replace(
            self._record,
            steps=progress.step - progress.left_out,
            planned=plan(self.recipe)[-1].last - progress.left_out,
            skipped=progress.skipped,
            seconds=progress.seconds,
        )


def _accelerator(recipe: TrainingRecipe) -> Accelerator:
    precision = {"float32": "no"}.get(recipe.runtime.precision, recipe.runtime.precision)
    if precision == "fp16" and not torch.accelerator.is_available():
        raise TrainingRecipeError("runtime.precision is 'fp16', which needs a GPU; use 'bf16' or 'float32' on a CPU.")
    torch.backends.cudnn.benchmark = True  # a stage's patches are all of one size; without effect on a CPU
    # The only buffers are the actnorms' flags, which all processes set at the same step.
    options = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(mixed_precision=precision, kwargs_handlers=[options])
