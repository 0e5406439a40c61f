"""Steps that fit into a given time, and a run's messages about its time and its best weights."""

import json

import pytest
import torch
from conftest import forget_accelerator
from training_helpers import TOY, toy_recipe, write_pictures

from srflow.cli import main
from srflow.contract import TrainingRecipeError
from srflow.training import settling
from srflow.training.budget import fit_to_minutes, planned_minutes, seconds_per_step, steps_of
from srflow.training.stages import plan
from srflow.training.trainer import Trainer

SECONDS = {"encoder": 1.0, "flow": 2.0, "both": 4.0, "finetuning": 8.0}
LONG = (
    "pretraining={steps=100, warmup_steps=50}",
    "training={steps=200, encoder_joins_at=0.5, warmup_steps=5}",
    "finetuning={steps=50, adversarial_start=40, patch_size=48}",
)


def train(data, output, *overrides, **options) -> tuple[Trainer, list[str]]:
    forget_accelerator()
    said: list[str] = []
    recipe = toy_recipe("validation.every_steps=0", *overrides)
    return Trainer(recipe, data, output, cache=data.parent / "cache", report=said.append, **options), said


def test_the_planned_time_is_the_sum_over_the_stages():
    assert planned_minutes(toy_recipe(*LONG), SECONDS) == pytest.approx((100 + 100 * 2 + 100 * 4 + 50 * 8) / 60)


def test_steps_are_scaled_in_their_own_ratio():
    recipe = toy_recipe(*LONG)
    half = fit_to_minutes(recipe, planned_minutes(recipe, SECONDS) / 2, SECONDS)
    assert [phase.steps for phase in half.phases().values()] == [50, 100, 25]
    assert planned_minutes(half, SECONDS) == pytest.approx(planned_minutes(recipe, SECONDS) / 2)
    assert half.training.join_step == 50
    # What is counted in steps from a phase's start may not take more than a tenth of it.
    assert (half.pretraining.warmup_steps, half.training.warmup_steps) == (5, 5)
    assert half.finetuning.adversarial_start == 3
    longer = fit_to_minutes(recipe, 10 * planned_minutes(recipe, SECONDS), SECONDS)
    assert [phase.steps for phase in longer.phases().values()] == [1000, 2000, 500]
    assert longer.pretraining.learning_rate_at(999) < 1.01 * longer.pretraining.final_learning_rate + 1e-8


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), 0.001])
def test_a_time_that_fits_nothing_is_refused(minutes):
    with pytest.raises(TrainingRecipeError, match="minutes"):
        fit_to_minutes(toy_recipe(*LONG), minutes, SECONDS)


def test_a_run_that_goes_on_keeps_its_steps():
    recipe = toy_recipe(*LONG)
    fitted = fit_to_minutes(recipe, 3, SECONDS)
    assert steps_of(recipe, fitted) == fitted


def test_every_stage_is_measured_and_the_callers_random_numbers_stay():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    recipe = toy_recipe("finetuning={steps=1, batch_size=2, patch_size=48, adversarial_weight=0.1}")
    seconds = seconds_per_step(recipe, torch.device("cpu"))
    assert list(seconds) == [stage.name for stage in plan(recipe)] == ["encoder", "flow", "both", "finetuning"]
    assert all(value > 0 for value in seconds.values())
    assert torch.equal(torch.rand(4), expected)


def test_the_batch_is_measured_in_part_and_scaled(monkeypatch):
    from srflow.training import budget

    sizes = []
    original = budget.placeholder_batch
    monkeypatch.setattr(
        budget, "placeholder_batch", lambda stage, model: sizes.append(stage.phase.batch_size) or original(stage, model)
    )
    ticks = iter(range(1000))
    monkeypatch.setattr(budget.time, "perf_counter", lambda: float(next(ticks)))
    recipe = toy_recipe("pretraining.batch_size=12", "training.steps=0")
    assert seconds_per_step(recipe, torch.device("cpu")) == {"encoder": 3.0}
    assert seconds_per_step(recipe, torch.device("cpu"), num_processes=2) == {"encoder": 1.5}
    assert sizes == [4, 4]


@pytest.mark.slow
def test_minutes_set_the_steps_of_a_new_run_and_not_of_one_that_goes_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr(settling, "seconds_per_step", lambda *_: SECONDS)
    settings = ("pretraining.steps=10", "training={steps=20, encoder_joins_at=0.5}")
    trainer, said = train(data, tmp_path / "run", *settings, minutes=7 / 60)
    assert [stage.last for stage in plan(trainer.recipe)] == [1, 2, 3]
    assert any("0.116667 minutes" in line for line in said)
    trainer.run()
    saved = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (saved["pretraining"]["steps"], saved["training"]["steps"]) == (1, 2)
    again, said = train(data, tmp_path / "run", *settings, minutes=700)
    assert [stage.last for stage in plan(again.recipe)] == [1, 2, 3]
    assert any("as at the start of the run" in line for line in said)


def test_a_dry_run_says_what_fits(capsys):
    assert main(["train", "srflow-da-r-x4-compact", *TOY, "--dry-run", "--minutes", "5"]) == 0
    text = capsys.readouterr().out
    for words in ("Measured here", "s a step", "In 5 minutes: pretraining.steps="):
        assert words in text


@pytest.mark.parametrize(("schedule", "warned"), [("cosine", True), ("constant", False)])
def test_a_time_limit_while_the_rate_is_high_is_pointed_out(data, tmp_path, schedule, warned):
    trainer, said = train(data, tmp_path / "run", "pretraining.steps=1000", f"pretraining.schedule={schedule}")
    assert trainer.run(stop_after=0.0) == "time limit"
    assert any("--minutes" in line for line in said) is warned


def test_the_best_score_is_not_compared_with_another_validations(data, tmp_path):
    validation = ("validation.every_steps=2", "validation.num_pictures=1")
    trainer, _ = train(data, tmp_path / "run", *validation, validation=data)
    trainer.run()
    best = trainer.progress.best
    assert best.keys() == {"encoder", "samples"}
    same, said = train(data, tmp_path / "run", "validation.every_steps=3", *validation[1:], validation=data)
    assert same.progress.best == best
    assert not any("best score" in line for line in said)
    for changes, pictures in (
        (["validation.best_temperature=0"], data),
        ([], write_pictures(tmp_path / "others", [(72, 72)])),
    ):
        other, said = train(data, tmp_path / "run", *validation, *changes, validation=pictures)
        assert other.progress.best == {}
        assert any("best score" in line for line in said)
