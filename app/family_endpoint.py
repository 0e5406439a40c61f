"""The endpoint that groups similar versions of a region: /families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from app.endpoint_group import EndpointGroup
from app.gathering import gather
from app.operation_lists import Drawn, give_drawn, list_request, read_operations, read_place, save_variants
from app.panels.picture import PictureInput
from app.records import OpenedPicture
from app.session import Job, Session
from app.settings import Settings
from app.tasks import Update
from srflow.contract import Comparison, ExploreRequest, Variant
from srflow.evaluation.families import NUM_VERSIONS, check_tree_place, named_branches, tree_facts, tree_of
from srflow.operations import Draw, Reroll, to_values

__all__ = ["FamilyEndpoint"]


class FamilyEndpoint(EndpointGroup):
    """The endpoint for families of a region."""

    def families(
        self,
        image: str,
        left: float,
        top: float,
        width: float,
        height: float,
        operations: str = "",
        model: str = "",
        seed: float = 0,
        consistency: bool = True,
        high_resolution_input: bool = False,
    ) -> Iterator[tuple[list[str] | None, dict[str, Any] | None]]:
        """Group 160 versions of a small region of a super-resolution by similarity, as a tree.

        Args:
            image: the picture, in any common format.
            left: left edge of the region, in pixels of the low-resolution picture.
            top: its top edge.
            width: its width, at most 12.
            height: its height, at most 12.
            operations: the picture that contains the region, as for draw_list; empty: the first sample of seed 0.
            model: key of a model; empty: the default one.
            seed: whole number, the seed of the versions.
            consistency: whether the downscaled picture is made to match the input closely.
            high_resolution_input: scale the picture down first (bicubic).

        Returns:
            One PNG file per family: its most central version, with the recipe inside. And a JSON: the picture's
            operations,
            the share of the variance that the families explain, measured on versions that were not used to find them,
            and for
            each family, in the order of the files, its name ("1", "1.1", "1.2", "2", …), its share of the versions,
            their
            numbers, and the operation that leads to the central one. No families: only texture differs in the region.
        """

        def work(session: Session, job: Job, picture: OpenedPicture, settings: Settings) -> Iterator[Update]:
            chosen = read_operations(operations, Draw(0, 0, settings.temperature))
            place = check_tree_place(read_place(left, top, width, height, picture))
            engine, lr = self._engine, picture.lr()
            recipe = engine.recipe(list_request(picture, settings, chosen))
            versions = [Reroll(place, settings.seed, number) for number in range(NUM_VERSIONS)]
            variants = tuple((version,) for version in versions)
            request = ExploreRequest(lr=lr, recipe=recipe, variants=variants, choose=1)
            [comparison] = yield from gather(engine.explore(request, job.cancel), job, Comparison)
            tree = tree_of(comparison)
            nodes = tuple((versions[branch.number],) for _, branch in named_branches(tree))
            request = ExploreRequest(lr=lr, recipe=recipe, variants=((), *nodes))
            found = yield from gather(engine.explore(request, job.cancel), job, Variant)
            state, *middles = sorted(found, key=lambda variant: variant.number)
            names = [f"family-{name}" for name, _ in named_branches(tree)]
            named = dict(zip(names, middles, strict=True))
            files = save_variants(engine, session.download_folder(), job, picture, state.patch, named)
            facts = tree_facts(tree, NUM_VERSIONS, lambda number: versions[number])
            drawn.append(Drawn(files, {"operations": to_values(chosen), **facts}))

        drawn: list[Drawn] = []
        yield from give_drawn(
            self._call((image, model, -1.0, seed, 1, consistency, high_resolution_input), work), drawn
        )

    def _build(self, options: Mapping[str, Any]) -> None:
        """Build the endpoint and its hidden components."""
        with gr.Column(visible=False):
            image = PictureInput(type="filepath", format="png", image_mode=None, label="image")
            left, top, width, height = (gr.Number(label=name) for name in ("left", "top", "width", "height"))
            operations = gr.Textbox("", label="operations")
            model = gr.Textbox("", label="model")
            seed = gr.Number(0, precision=0, label="seed")
            consistency = gr.Checkbox(True, label="consistency")
            is_hr = gr.Checkbox(False, label="high_resolution_input")
            files = gr.File(file_count="multiple", label="families")
            numbers = gr.JSON(label="numbers")
            button = gr.Button()
        inputs = [image, left, top, width, height, operations, model, seed, consistency, is_hr]
        button.click(self.families, inputs, [files, numbers], api_name="families", **options)
