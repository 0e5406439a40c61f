"""`srflow replay`: draws the picture of a recipe again, including all its operations."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from srflow.contract import SampleRecipe
    from srflow.sampling.engine import SamplingEngine

__all__ = ["HELP", "add_arguments", "run"]

HELP = "draw a picture again from its recipe, a JSON file or a PNG that carries it"

_MAX_RECIPE_BYTES = 16_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = (
        "Draws the picture of a recipe again: the same model, sample and operations, on the same LR picture, in "
        "the same precision and tiles. On the machine that made it, the pixels are identical to the last bit; if the "
        "recipe comes in a PNG, both are compared."
    )
    parser.add_argument("recipe", type=Path, help="a recipe as JSON, or a PNG made by this program")
    parser.add_argument(
        "--describe", action="store_true", help="describe the operations of the recipe in words; draw nothing"
    )
    parser.add_argument("--lr", type=Path, metavar="FILE", help="the LR picture; default: the one inside the PNG")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the PNG to write; default: NAME-replayed.png")
    parser.add_argument("--model", help="the checkpoint, if it is not a shipped one: a folder or a Hub id")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")


def run(arguments: argparse.Namespace) -> int:
    """Write one PNG. Returns 0; or 1 if the recipe came in a PNG whose pixels differ from the new ones."""
    from dataclasses import replace

    import numpy as np

    from srflow.contract import LR_KEY, RECIPE_KEY, InputError
    from srflow.operations import describe_list
    from srflow.sampling.engine import SamplingEngine

    recipe, text = _read(arguments.recipe)
    if arguments.describe:
        print(f"{recipe.model}: {describe_list(recipe.whole_list)}.")
        return 0
    output = arguments.output or arguments.recipe.with_name(f"{arguments.recipe.stem}-replayed.png")
    model = arguments.model or _shipped(recipe)
    engine = SamplingEngine(arguments.device, recipe.precision, checkpoints=[model], spill_folder=output.parent)
    recipe = replace(
        recipe, model=engine.info().default_model
    )  # a folder may have another name; only its weights matter
    lr = _find_lr(engine, recipe, text, arguments)
    with _drawn(engine, recipe, lr) as picture:
        carried = {LR_KEY: text[LR_KEY]} if LR_KEY in text else {}
        original = engine.read_picture(arguments.recipe) if text else None
        kept = original if original is not None and original.pixels.shape == picture.shape else None
        engine.save_png(
            output,
            picture,
            {RECIPE_KEY: recipe.to_json(), **carried},
            alpha=None if kept is None else kept.alpha,
            metadata=None if kept is None else kept.metadata,
        )
        print(f"Written to {output}.")
        if original is None:
            return 0
        if kept is None:
            raise InputError(f"{arguments.recipe} does not have the size in its recipe: the file was changed.")
        difference = np.abs(original.pixels.astype(np.int16) - picture).max(2)
        different, largest = np.count_nonzero(difference), int(difference.max())
    if different:
        print(
            f"{different} of {difference.size} pixels differ from {arguments.recipe}, by {largest} at most: it was "
            "made on another machine or device, or was changed.",
            file=sys.stderr,
        )
        return 1
    print("The pixels are identical to those of the PNG.")
    return 0


def _read(path: Path) -> tuple[SampleRecipe, dict[str, str]]:
    """Read the recipe and, for a PNG, its text."""
    from srflow.contract import RECIPE_KEY, InputError, SampleRecipe
    from srflow.pictures import read_png_text

    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    with path.open("rb") as file:
        is_png = file.read(8) == b"\x89PNG\r\n\x1a\n"
    if is_png:
        text = read_png_text(path)
        if RECIPE_KEY not in text:
            raise InputError(
                f"{path}: this PNG has no recipe; it was not made by this program, or was saved again by another one."
            )
        return SampleRecipe.from_json(text[RECIPE_KEY]), text
    if path.stat().st_size > _MAX_RECIPE_BYTES:
        raise InputError(f"{path} is too large for a recipe.")
    try:
        return SampleRecipe.from_json(path.read_text(encoding="utf-8")), {}
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is neither a recipe in JSON nor a PNG.") from error


def _shipped(recipe: SampleRecipe) -> str:
    """Return the recipe's model if it is a shipped one: an untrusted recipe must not decide what is loaded."""
    from srflow.checkpoints.shipped import shipped_checkpoints
    from srflow.contract import InputError

    names = [folder.name for folder in shipped_checkpoints()]
    if recipe.model not in names:
        raise InputError(
            f"The recipe's model {recipe.model!r} does not come with this program; name its folder (--model FOLDER)."
        )
    return recipe.model


def _find_lr(
    engine: SamplingEngine, recipe: SampleRecipe, text: dict[str, str], arguments: argparse.Namespace
) -> np.ndarray:
    from srflow.contract import InputError, carried_lr

    if arguments.lr is not None:
        return engine.read_picture(arguments.lr).pixels
    lr = carried_lr(text, recipe, engine.open_picture)
    if lr is None:
        raise InputError(
            f"{arguments.recipe} contains no LR picture; name the one of {recipe.lr_width}x{recipe.lr_height} from "
            "which it was made: --lr FILE."
        )
    return lr


@contextmanager
def _drawn(engine: SamplingEngine, recipe: SampleRecipe, lr: np.ndarray) -> Iterator[np.ndarray]:
    """Draw the picture; if it does not fit into memory, it is in a file that is deleted at the end."""
    import numpy as np

    from srflow.contract import Notice, SampleRequest, SampleResult

    with closing(engine.sample(SampleRequest.from_recipe(recipe, lr, summaries=False))) as events:
        for event in events:
            if isinstance(event, Notice):
                print(event.text, file=sys.stderr)
            elif isinstance(event, SampleResult):
                for flag in event.flags:
                    print(flag, file=sys.stderr)
                yield np.load(str(event.path), mmap_mode="r") if event.picture is None else event.picture
