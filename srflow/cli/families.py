"""`srflow families`: groups similar versions of a small region in a tree, with the share of each group."""

from __future__ import annotations

import argparse
from pathlib import Path

from srflow.cli.places import add_region_argument, read_region

__all__ = ["HELP", "add_arguments", "run"]

HELP = "group similar versions of a small region"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = (
        "Draws 160 versions of a small region of a sample, with everything else unchanged, and groups similar "
        "ones: at most three families with at most three subfamilies each. Writes a PNG of the most central version "
        "of each family, which carries its recipe, and families.json. If families would explain less than 10 % of "
        "the variance (measured on versions that were not used to find them), only texture differs, and the command "
        "says so instead."
    )
    parser.add_argument("input", type=Path, help="a low-resolution picture")
    parser.add_argument("output", type=Path, help="the folder to write to")
    add_region_argument(parser, "the region, in pixels of the input; at most 12 a side", required=True)
    parser.add_argument("--index", type=int, default=0, help="number of the sample (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample, and of the versions (default: 0)")
    parser.add_argument("--temperature", type=float, help="0 to 2; default: the checkpoint's")
    parser.add_argument(
        "--consistency-rounds", type=int, default=5, metavar="N", help="rounds of back-projection; 0: none (default: 5)"
    )
    parser.add_argument("--model", help="a shipped checkpoint, a folder or a Hub id; default: the shipped one")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16"),
        help="data type of the convolutions; default: the fastest",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the tree, and write its pictures. Returns 0, even if there are no families, which is a valid result."""
    import json

    from tqdm import tqdm

    from srflow.checkpoints.shipped import resolve_checkpoint
    from srflow.contract import RECIPE_KEY, Comparison, ExploreRequest, SampleRequest, Variant
    from srflow.evaluation.families import NUM_VERSIONS, check_tree_place, named_branches, tree_facts, tree_of
    from srflow.files import atomic_write, check_writable
    from srflow.operations import Reroll
    from srflow.pictures import read_picture
    from srflow.sampling.engine import SamplingEngine

    lr = read_picture(arguments.input).pixels
    mask = check_tree_place(read_region(arguments.region, lr))
    check_writable(arguments.output)
    engine = SamplingEngine(arguments.device, arguments.precision, checkpoints=[resolve_checkpoint(arguments.model)])
    request = SampleRequest(
        lr=lr,
        num_samples=1,
        first_index=arguments.index,
        seed=arguments.seed,
        temperature=arguments.temperature,
        consistency_rounds=arguments.consistency_rounds,
        summaries=False,
    )
    recipe = engine.recipe(request)
    versions = [Reroll(mask, arguments.seed, number) for number in range(NUM_VERSIONS)]
    comparison = None
    variants = tuple((version,) for version in versions)
    with tqdm(total=NUM_VERSIONS, unit="version") as bar:
        for event in engine.explore(ExploreRequest(lr=lr, recipe=recipe, variants=variants, choose=1)):
            if isinstance(event, Variant):
                bar.update()
            elif isinstance(event, Comparison):
                comparison = event
    assert comparison is not None
    tree = tree_of(comparison)
    facts = tree_facts(tree, NUM_VERSIONS, lambda number: versions[number])
    facts["recipe"] = json.loads(recipe.to_json())
    percent = f"{100 * tree.explained:.0f} %"
    if tree.branches:
        print(f"{len(tree.branches)} families explain {percent} of the variance here:")
    else:
        print(f"No families here: they would explain only {percent} of the variance. Only texture differs.")
    nodes = named_branches(tree)
    ways = tuple((versions[branch.number],) for _, branch in nodes)
    state = None
    for event in engine.explore(ExploreRequest(lr=lr, recipe=recipe, variants=((), *ways))) if nodes else ():
        if isinstance(event, Variant) and event.number == 0:
            state = event.patch
        elif isinstance(event, Variant):
            assert state is not None
            name, branch = nodes[event.number - 1]
            path = arguments.output / f"family-{name}.png"
            engine.save_png(path, event.laid_into(state), {RECIPE_KEY: event.recipe.to_json()})
            indent = "  " * (1 + name.count("."))
            print(f"{indent}{name}: {100 * len(branch.members) / NUM_VERSIONS:.0f} %, {path}")
    with atomic_write(arguments.output / "families.json", "w") as file:
        file.write(json.dumps(facts, indent=1) + "\n")
    return 0
