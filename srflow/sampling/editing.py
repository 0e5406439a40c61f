"""Brings edited pictures back to those that match the LR picture and look natural.

An edited picture is changed in two steps. Made consistent: back-projection removes what contradicts the LR picture.
Made
natural: where the latents of the result are larger than those of samples, they are scaled back to the usual size; then
they are mixed with the latents before the edit, so far that the region is as likely as usual samples. The latents of
both forms are put into the list of operations (`Given`), and drawn from there as any other operation is, so that the
picture shown is the one that the recipe draws again. Both are compared with samples of the region that went through the
same
steps: decoded, laid in, made consistent, rounded to 8 bits, encoded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.consistency import back_project
from srflow.contract import EditRequest, InputError, MemoryBudgetError, Progress, Verdict
from srflow.evaluation.metrics import capped_psnr
from srflow.images import to_tensor
from srflow.model import Conditioning
from srflow.operations import Box, Given, Mask, Operation, Reroll, changed_place, check_operations
from srflow.operations.field import Field, Place
from srflow.operations.given import MAX_GIVEN, Origin
from srflow.sampling.exploring import Exploration
from srflow.sampling.finishing import squared_lr_error
from srflow.sampling.regions import DRAFT_MARGIN, Region, scaled
from srflow.sampling.states import State
from srflow.sampling.task import Task
from srflow.sampling.turn import Turn
from srflow.sampling.weighing import Scales, Weighed, Yardstick, Yardsticks

__all__ = ["NOT_EDITED", "NUM_SAMPLES", "Editing", "find_mask", "to_usual"]

NOT_EDITED = "The edited picture is identical to the previous one. Change something, or choose another file."
"""The message for an edit that changes nothing."""

NUM_SAMPLES = 16
"""Number of samples of the region with which an edit is compared."""

_ROUNDS = 8  # of back-projection: after 5, lines that were drawn still show in the LR picture
_WINDOW = 5  # LR pixels a side of the squares in which the size of latents is shown
_TAMING = 3  # and of those in which it is scaled back
_SHARES = (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.1)  # of the way from the picture before the edit
_USUAL = 2.0  # standard deviations of the samples' log-likelihood from their mean
_MAX_WEIGHED = 400_000  # latents: a region of 91x91 LR pixels at x4
_MIN_TEMPERATURE = 0.05
_LOSSY = 12  # 8-bit units: changes by lossy file formats stay below this
_SEED = 0


class Editing:
    """Carries out one `EditRequest`. `Graining` overrides its attributes and methods where grain differs.

    Args:
        request: the edit.  task: of the picture before the edit.
        exploration: draws its states.  yardsticks: of earlier edits.
        scales: creates the `Scales` of a region, with its conditioning, if that is known.
        padded: the LR picture as the model takes it, (1, 3, h, w), on the CPU.
        turn: the request's turn at the device.
    """

    origins: ClassVar[tuple[Origin, Origin]] = ("edit", "natural edit")
    """Origins of the latents of the consistent form, and of the natural form."""

    def __init__(
        self,
        request: EditRequest,
        task: Task,
        exploration: Exploration,
        yardsticks: Yardsticks,
        scales: Callable[[Region, Conditioning | None], Scales],
        padded: Tensor,
        turn: Turn,
    ) -> None:
        self._request, self._task, self._exploration = request, task, exploration
        self._yardsticks, self._scales = yardsticks, scales
        self._padded, self._turn = padded, turn
        height, width = padded.shape[-2:]
        self._shapes = tuple(task.loaded.model.latent_shapes(height, width))

    def run(self) -> None:
        """Send both variants and the verdict."""
        self._tell("Drawing the picture", 0.0)
        before = self._exploration.state(self._request.recipe.operations)
        mask = self._place(before)
        # The edit and the samples that it is compared with are weighed alike, so a narrow margin is enough: on three
        # edits, deviations changed by .1 at most.
        region = Region.around(mask, self._task.loaded.info.lr_multiple, DRAFT_MARGIN)
        self._check(region)
        key = self._request.recipe, mask
        known = self._yardsticks.get(key)
        scales = self._scales(region, None if known is None else known.conditioning)
        edited = self._edited(before, mask)
        self._tell(f"Making the {self.origins[0]} consistent with the input", 0.1)
        [consistent] = scales.weigh([self._made_consistent(scales.crop_of(edited), scales.crop_of(before), region)])
        field = self._field(region)
        # The temperature may be lower around the region, which is not judged.
        temperatures = [torch.as_tensor(each).clamp_min(_MIN_TEMPERATURE) for each in field.temperatures()]
        drawn = [level / t for level, t in zip(consistent.latents, temperatures, strict=True)]
        first = self._draw(0, self._given(mask, region, drawn, self.origins[0]))

        self._tell("Comparing it with samples", 0.3)
        if known is None:
            rolls = [Reroll(mask, _SEED, roll) for roll in range(NUM_SAMPLES)]
            weighed_rolls = scales.weigh([scales.crop_of(state) for state in self._states(rolls, draft=True)])
            known = Yardstick(scales.conditioning, weighed_rolls)
            self._yardsticks.put(key, known)
        samples = known.samples
        latents = [[level / t for level, t in zip(one.latents, temperatures, strict=True)] for one in samples]

        self._tell("Looking for the natural form", 0.7)
        ways = [
            self._given(mask, region, levels, self.origins[1])
            for levels in self._natural(field.levels, drawn, latents, region)
        ]
        on_the_way: list[Weighed] = []

        def weigh_each() -> Iterator[float]:
            for state in self._states(ways):
                on_the_way.extend(scales.weigh([scales.crop_of(state)]))
                yield on_the_way[-1].log_prob

        number = _first_usual(weigh_each(), [each.log_prob for each in samples])
        second = self._draw(1, ways[number])
        weighed = [*scales.weigh([scales.crop_of(first)]), on_the_way[number]]
        unusual = _unusual(drawn, latents, region, mask)
        self._turn.send(self._verdict(mask, before, edited, (first, second), weighed, samples, unusual))

    def _natural(
        self,
        before: Sequence[Tensor],
        drawn: Sequence[Tensor],
        samples: Sequence[Sequence[Tensor]],
        region: Region,
    ) -> list[list[Tensor]]:
        """Yield candidates for natural latents, (C, h, w) of every level, those closest to the edit first.

        They lie between the latents before the edit and those of the edit, which are scaled back where they are larger
        than samples'.
        """
        factors = to_usual(drawn, samples, region)
        ends = [level * factor.clamp_max(1.0) for level, factor in zip(drawn, factors, strict=True)]
        return [[z + share * (end - z) for z, end in zip(before, ends, strict=True)] for share in _SHARES]

    def _states(self, ways: Sequence[Operation], *, draft: bool = False) -> Iterator[State]:
        """Return states of the picture before the edit with one more operation each, all on one region."""
        operations = self._request.recipe.operations
        return self._exploration.states([(*operations, way) for way in ways], draft=draft)

    def _place(self, before: State) -> Mask:
        """Return a mask that fully selects what was edited: the picture itself decides how softly it was painted.

        Raises: InputError: nothing was edited.
        """
        scale, picture = self._task.scale, self._request.picture
        mask = self._request.mask or find_mask(before.whole(), picture, scale)
        box = scaled(mask.support, scale)
        if np.array_equal(before.crop(*box), picture[box]):
            raise InputError(NOT_EDITED)
        return Mask.from_array(np.where(mask.array() > 0, 255, 0).astype(np.uint8))

    def _check(self, region: Region) -> None:
        """Check the size.

        Raises:
            InputError: the edit is too large for a recipe.
            MemoryBudgetError: too large to evaluate.
        """
        left, top, right, bottom = self._box(region)
        height, width = self._padded.shape[-2:]
        count = sum(map(math.prod, self._shapes)) * (right - left) * (bottom - top) // (height * width)
        room = MAX_GIVEN - sum(operation.num_latents for operation in self._request.recipe.operations)
        if count > room:
            side = math.isqrt(max(0, room) * (right - left) * (bottom - top) // count)
            raise InputError(
                f"The region spans {right - left}x{bottom - top} LR pixels; the maximum is about {side}x{side}. "
                "Select a smaller region, and edit the rest afterwards."
            )
        if count > _MAX_WEIGHED:
            raise MemoryBudgetError(
                f"Evaluating a region of {right - left}x{bottom - top} LR pixels takes too much time and memory. "
                "Select a smaller region, and edit the rest afterwards."
            )

    def _box(self, region: Region) -> Box:
        """Return the LR pixels whose latents an edit stores: the selected ones, extended to whole multiples, including
        padding.
        """
        multiple = self._task.loaded.info.lr_multiple
        left, top, right, bottom = region.chosen
        return left, top, -(-right // multiple) * multiple, -(-bottom // multiple) * multiple

    def _edited(self, before: State, mask: Mask) -> State:
        """Return the edit inside the mask's box, on the picture before it."""
        scale = self._task.scale
        box = scaled(mask.support, scale)
        picture = before.whole()
        chosen = mask.weights(scale)[..., None] > 0
        picture[box] = np.where(chosen, self._request.picture[box], picture[box])
        error = squared_lr_error(picture, self._request.lr, scale, self._turn.run)
        return State(picture, error, ())

    def _made_consistent(self, edited: np.ndarray, before: np.ndarray, region: Region) -> np.ndarray:
        """Return `Region.decoded` without what contradicts the LR picture, float32, (3, h, w)."""
        lr_rows, lr_columns = scaled(region.decoded, 1)
        lr = self._padded[..., lr_rows, lr_columns]
        projected = self._exploration.on_device(
            lambda: back_project(to_tensor(edited), lr, self._task.scale, _ROUNDS, self._turn.stop)
        )
        rows, columns = scaled(region.patch, self._task.scale, region.decoded)
        result = to_tensor(before)
        result[..., rows, columns] = projected[..., rows, columns]
        return result[0].numpy()

    def _field(self, region: Region) -> Field:
        """Return the latents before the edit."""
        height, width = self._padded.shape[-2:]
        place = Place(self._shapes, height, width, region.decoded)
        field = Field.evaluate(self._request.recipe.whole_list, place)
        own = Field.evaluate(
            self._request.recipe.whole_list, Place(self._shapes, height, width, self._box(region))
        ).temperatures()
        if any(torch.as_tensor(each).min() < _MIN_TEMPERATURE for each in own):
            raise InputError(
                f"The temperature here is below {_MIN_TEMPERATURE}, where all samples are the same: there is "
                "nothing to compare with. Raise the temperature of the region first."
            )
        return field

    def _given(self, mask: Mask, region: Region, levels: Sequence[Tensor], origin: Origin) -> Given:
        """Return latents inside the region's selected box."""
        box = self._box(region)
        rows, columns = scaled(box, 1, region.decoded)
        height, width = region.decoded[3] - region.decoded[1], region.decoded[2] - region.decoded[0]
        cut = []
        for level in levels:
            down, across = level.shape[-2:]
            cut.append(
                level[
                    :,
                    rows.start * down // height : rows.stop * down // height,
                    columns.start * across // width : columns.stop * across // width,
                ].numpy()
            )
        given = Given.of(mask, box, cut, origin)
        size = self._request.lr.shape[0], self._request.lr.shape[1]
        check_operations((*self._request.recipe.whole_list, given), size=size)
        return given

    def _draw(self, number: int, operation: Operation) -> State:
        operations = (*self._request.recipe.operations, operation)
        started = time.perf_counter()
        state = self._exploration.state(operations)
        self._turn.send(self._exploration.variant(number, operations, state, time.perf_counter() - started))
        return state

    def _verdict(
        self,
        mask: Mask,
        before: State,
        edited: State,
        states: Sequence[State],
        weighed: Sequence[Weighed],
        samples: Sequence[Weighed],
        unusual: np.ndarray,
    ) -> Verdict:
        box = scaled(mask.support, self._task.scale)
        old = before.crop(*box).astype(np.float64)
        change = edited.crop(*box) - old
        kept = [
            float(((state.crop(*box) - old) * change).sum() / max(np.square(change).sum(), 1.0)) for state in states
        ]
        log_probs = np.array([sample.log_prob for sample in samples])
        deviations = [(each.log_prob - log_probs.mean()) / max(log_probs.std(ddof=1), 1e-9) for each in weighed]
        middle = np.median(log_probs)
        shares = [float((np.abs(log_probs - middle) >= abs(each.log_prob - middle)).mean()) for each in weighed]
        return Verdict(
            mask=mask,
            drawn_lr_psnr=capped_psnr(edited.squared_error / self._request.lr.size),
            kept=(kept[0], kept[1]),
            deviations=(float(deviations[0]), float(deviations[1])),
            plausibility=(shares[0], shares[1]),
            num_samples=len(samples),
            unusual=unusual,
        )

    def _tell(self, text: str, fraction: float) -> None:
        self._turn.tell(Progress(stage="sampling", fraction=fraction, text=text))


def find_mask(before: np.ndarray, after: np.ndarray, scale: int) -> Mask:
    """Find the LR pixels in which two pictures, uint8 (s h, s w, 3), differ.

    If everything differs slightly, as after lossy compression, differences of up to 12 levels count as no change.
    Raises: InputError: they do not differ.
    """
    difference = np.abs(before.astype(np.int16) - after).max(-1)
    mask = changed_place(before, after, scale, _LOSSY if np.median(difference) > 0 else 0)
    if mask is None:
        raise InputError(NOT_EDITED)
    return mask


def to_usual(drawn: Sequence[Tensor], samples: Sequence[Sequence[Tensor]], region: Region) -> list[Tensor]:
    """Return the factors, (h, w), that bring latents, (C, h, w) of every level, to the size of those of samples."""
    width = region.decoded[2] - region.decoded[0]
    result = []
    for number, level in enumerate(drawn):
        window = max(1, round(_TAMING * level.shape[-1] / width)) // 2 * 2 + 1
        usual = torch.stack([_size(sample[number], window) for sample in samples]).mean(0)
        result.append(usual / _size(level, window).clamp_min(1e-6))
    return result


def _unusual(drawn: Sequence[Tensor], samples: Sequence[Sequence[Tensor]], region: Region, mask: Mask) -> np.ndarray:
    """Return the map of `Verdict.unusual`."""
    own = _size_of_all(drawn, region)
    sizes = torch.stack([_size_of_all(sample, region) for sample in samples])
    # The samples' spread is nearly the same everywhere, and so few samples say too little about it at one position.
    spread = float(sizes.var(0).mean().sqrt())
    rows, columns = scaled(mask.support, 1, region.decoded)
    return ((own - sizes.mean(0)) / max(spread, 1e-9))[rows, columns].float().numpy()


def _first_usual(log_probs: Iterable[float], samples: Sequence[float]) -> int:
    """Return the first candidate that is as likely as usual samples, neither less nor more; otherwise the nearest to
    it.

    Later candidates are not evaluated.
    """
    spread, mean = max(float(np.std(samples, ddof=1)), 1e-9), float(np.mean(samples))
    distances: list[float] = []
    for number, log_prob in enumerate(log_probs):
        distances.append(abs(log_prob - mean) / spread)
        if distances[-1] <= _USUAL:
            return number
    return int(np.argmin(distances))


def _size(level: Tensor, window: int) -> Tensor:
    """Return the root mean square of latents, (C, h, w), over channels and a square around every position, (h, w)."""
    squares = level.square().mean(0)[None, None]
    return F.avg_pool2d(squares, window, 1, window // 2, count_include_pad=False)[0, 0].sqrt()


def _size_of_all(levels: Sequence[Tensor], region: Region) -> Tensor:
    """Return the same over all levels, around every LR pixel of `Region.decoded`, (h, w)."""
    height, width = region.decoded[3] - region.decoded[1], region.decoded[2] - region.decoded[0]
    total, count = torch.zeros(1, 1, height, width), 0.0
    for level in levels:
        share = (level.shape[-1] / width) ** 2  # positions of an LR pixel
        total += F.interpolate(level.square().sum(0)[None, None], size=(height, width), mode="area") * share
        count += level.shape[0] * share
    window = F.avg_pool2d(total / count, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
    return window[0, 0].sqrt()
