import json
import math
import re

import pytest

from srflow.contract import TrainingRecipeError
from srflow.presets import PRESETS
from srflow.training.recipe import PhaseRecipe, TrainingRecipe
from srflow.training.recipe_files import load_recipe, recipe_names


def test_every_preset_has_a_recipe():
    assert set(PRESETS) <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_trains_its_preset_and_survives_json(name):
    recipe, preset = load_recipe(name), name.removesuffix("-finetuned")  # these go on from a preset's trained weights
    assert (recipe.name, recipe.model.preset) == (name, preset)
    assert recipe.model.config() == PRESETS[preset]
    assert bool(recipe.finetuning.steps) == name.endswith("-finetuned")
    assert TrainingRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("variant", ["-da", "-da-r", "-da-s", "-da-d"])
@pytest.mark.parametrize(("scale_factor", "batch_size"), [(4, 12), (8, 16)])
def test_the_papers_numbers(variant, scale_factor, batch_size):
    """Those of the released settings files; what departs from them is what paper.toml's table says."""
    recipe = load_recipe(f"srflow{variant}-x{scale_factor}")
    training = recipe.training
    assert (training.steps, training.join_step, training.patch_size) == (200_000, 100_000, 160)
    assert (training.batch_size, training.warmup_steps) == (batch_size, 0)
    assert (training.optimizer, training.betas) == ("adam", (0.9, 0.999))
    assert training.encoder_output_weight == 0
    assert (recipe.data.noise, recipe.data.noise_scale) == ("gaussian", pytest.approx(4 / math.sqrt(3)))
    assert (recipe.data.flips, recipe.data.rotations) == (True, False)
    assert (recipe.data.reductions, recipe.data.candidates) == ((1,), 1)
    assert recipe.runtime.precision == "float32"
    rates = [training.learning_rate_at(round(f * 200_000)) for f in (0, 0.4999, 0.5, 0.7499, 0.75, 0.9, 0.95, 0.9999)]
    assert rates == pytest.approx([2e-4, 2e-4, 1e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 1.25e-5])
    assert (training.clip_norm, training.ema_decay) == (10, 0.999)  # departures


def test_the_papers_encoder():
    pretraining = load_recipe("srflow-da-r-x4").pretraining
    assert (pretraining.steps, pretraining.batch_size, pretraining.patch_size) == (300_000, 16, 160)
    rates = [pretraining.learning_rate_at(step) for step in (0, 150_000, 300_000)]
    assert rates == pytest.approx([2e-4, 1.0005e-4, 1e-7])


@pytest.mark.parametrize(("name", "rate", "batch_size"), [("srflow-x4", 2.5e-4, 12), ("srflow-x8", 5e-4, 16)])
def test_the_original_srflow_differs_in_noise_and_rate(name, rate, batch_size):
    recipe = load_recipe(name)
    assert (recipe.training.learning_rate, recipe.training.batch_size) == (rate, batch_size)
    assert recipe.data.noise == "uniform"
    assert recipe.data.noise_scale / 255 == pytest.approx(2 / 64)  # ±1/64
    assert not recipe.data.rotations


def test_cosine_and_warmup():
    phase = PhaseRecipe(
        steps=100, schedule="cosine", learning_rate=1.0, final_learning_rate=0.2, warmup_steps=4, milestones=()
    )
    assert phase.learning_rate_at(50) == pytest.approx(0.6)
    assert phase.learning_rate_at(100) == pytest.approx(0.2)
    assert phase.learning_rate_at(0) == pytest.approx(0.25)
    assert phase.learning_rate_at(1) == pytest.approx(0.5, rel=1e-3)


def test_overrides_reach_every_kind_of_value():
    recipe = load_recipe(
        "srflow-da-r-x4-compact",
        [
            "training.steps=7",
            "runtime.precision=float32",
            "runtime.compile=true",
            "training.betas=[0.5, 0.6]",
            "model.flow.hidden_channels=48",
            "training.learning_rate=1",
        ],
    )
    assert (recipe.training.steps, recipe.training.learning_rate) == (7, 1.0)
    assert (recipe.runtime.precision, recipe.runtime.compile) == ("float32", True)
    assert recipe.training.betas == (0.5, 0.6)
    assert recipe.model.config().flow.hidden_channels == 48
    assert recipe.model.config().flow.conv_block == "skip"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.learning_rat=1", ["training.learning_rat", "Did you mean 'training.learning_rate'", "clip_norm"]),
        ("training.learning_rate=3", ["training.learning_rate", "3.0", "at most 1"]),
        ("training.steps=1.5", ["training.steps", "1.5", "whole number"]),
        ("training.steps=true", ["training.steps", "True", "whole number"]),
        ("training.betas=[0.9, 2]", ["training.betas", "2.0", "at most"]),
        ("training.betas=[0.9]", ["training.betas", "[0.9]", "two"]),
        ("training=3", ["training", "3", "table"]),
        ("seed.x=3", ["seed", "whole number"]),
        ("data.noise=salt", ["data.noise", "'salt'", "'gaussian'"]),
        ("data.reductions=[]", ["data.reductions", "[]", "different"]),
        ("data.reductions=[1, 2, 2]", ["data.reductions", "[1, 2, 2]", "different"]),
        ("data.reductions=[1, 0]", ["data.reductions", "0", "at least 1"]),
        ("data.candidates=0", ["data.candidates", "0", "at least 1"]),
        ("training.patch_size=98", ["training.patch_size", "98", "multiple of 4"]),
        ("model.preset=srflow-x5", ["srflow-x5", "srflow-x4"]),
        ("model.flow.hidden=3", ["hidden"]),
        ("model.encoder.num_blocks=2", ["stacked_blocks", "0 to 1"]),
        ("validation.best_temperature=0.7", ["best_temperature", "0.7", "[0.0, 0.5, 0.8, 0.9]"]),
        ("steps", ["'steps'", "key=value"]),
    ],
)
def test_a_bad_override_is_named_with_its_value_and_what_is_allowed(override, words):
    with pytest.raises(TrainingRecipeError) as error:
        load_recipe("srflow-da-r-x4-compact", [override])
    for word in words:
        assert word in str(error.value)


def test_nothing_to_train_is_an_error():
    with pytest.raises(TrainingRecipeError, match="nothing to train"):
        load_recipe("srflow-da-r-x4-compact", ["training.steps=0", "pretraining.steps=0"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "mine", "training": {"steps": 1}}, "model is missing."),
        ({"name": "mine", "model": {}}, "model.preset is missing; name one of "),
        ({"model": {"preset": "srflow-da-r-x4"}}, "name is missing."),
    ],
)
def test_a_setting_without_a_default_must_be_given(values, words):
    with pytest.raises(TrainingRecipeError, match=re.escape(words)):
        TrainingRecipe.from_dict(values)


def test_a_recipe_file_extends_another(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "other.toml"\n[training]\nsteps = 5\n')
    (tmp_path / "other.toml").write_text('extends = "srflow-da-s-x4-compact"\nseed = 3\n[training]\nbatch_size = 2\n')
    recipe = load_recipe(tmp_path / "mine.toml")
    assert (recipe.training.steps, recipe.training.batch_size, recipe.seed) == (5, 2, 3)
    assert recipe.model.preset == "srflow-da-s-x4-compact"
    assert recipe.training.schedule == "cosine"
    assert recipe.name == "mine"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('extends = "mine.toml"', "circle"),
        ("a = ", "cannot be read"),
        ('extends = "nothing"', "'nothing'"),
        ("", "model"),
    ],
)
def test_a_bad_recipe_file_is_named(tmp_path, text, word):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(TrainingRecipeError, match=word):
        load_recipe(tmp_path / "mine.toml")


def test_unknown_recipes_list_the_known_ones():
    with pytest.raises(TrainingRecipeError, match="srflow-da-r-x4-compact"):
        load_recipe("srflow-da-r-x5")


def test_differences_are_named_by_dotted_key():
    first, second = (load_recipe("srflow-da-r-x4", overrides) for overrides in ([], ["training.steps=9", "seed=1"]))
    assert second.differences(first) == {"seed": (1, 0), "training.steps": (9, 200_000)}
