"""Encodes super-resolutions of one picture as latents, for export."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from srflow.contract import Encoded, InputError, MemoryBudgetError, Progress
from srflow.images import to_tensor
from srflow.model import Conditioning, SRFlow, pad_to_multiple
from srflow.sampling.turn import Turn
from srflow.sampling.worker import OutOfMemory

__all__ = ["encode_pictures"]

_MAX_PIXELS = 4_000_000
"""Maximum number of pixels of one picture, because encoding needs all of it at once."""


def encode_pictures(
    turn: Turn, find: Callable[[], SRFlow], lr: np.ndarray, pictures: Sequence[np.ndarray], scale: int, multiple: int
) -> Encoded:
    """Encode pictures; see `srflow.contract.Engine.encode`.

    Args:
        turn: the request's turn at the device; it reports progress before each picture.
        find: returns the model in float32, on the device; a piece of work.
        scale, multiple: its scale factor, and the number of which LR sides must be multiples.
    """
    height, width = lr.shape[0] * scale, lr.shape[1] * scale
    if not pictures:
        raise InputError("There is no picture to encode. Draw some first.")
    for picture in pictures:
        if picture.dtype not in (np.uint8, np.uint16) or picture.shape != (height, width, 3):
            raise InputError(
                f"Pictures to encode must have 8 or 16 bits and {width}x{height} pixels for this LR picture; got "
                f"{picture.dtype} {picture.shape}."
            )
    if height * width > _MAX_PIXELS:
        raise MemoryBudgetError(
            f"Latents of {width}x{height} pixels do not fit into memory at once; the maximum is "
            f"{_MAX_PIXELS // 1_000_000} megapixels. Use a smaller region."
        )
    padded = pad_to_multiple(to_tensor(lr), multiple)
    size = padded.shape[-2] * scale - height, padded.shape[-1] * scale - width
    try:
        model = turn.run(find)
        conditioning = turn.run(lambda: model.condition(padded.to(model.device), turn.stop))
        found = []
        for number, picture in enumerate(pictures):
            text = f"Encoding picture {number + 1} of {len(pictures)}"
            turn.tell(Progress(stage="sampling", fraction=number / len(pictures), text=text))
            found.append(_encode(turn, model, _floats(picture, size), conditioning))
    except OutOfMemory as error:
        raise MemoryBudgetError(
            "The device does not have enough memory to encode this. Use a smaller region."
        ) from error
    levels = tuple(np.concatenate(level) for level in zip(*(levels for levels, _ in found), strict=True))
    return Encoded(levels=levels, log_probs=np.array([log_prob for _, log_prob in found]))


def _encode(turn: Turn, model: SRFlow, picture: Tensor, conditioning: Conditioning) -> tuple[list[np.ndarray], float]:
    def work() -> tuple[list[np.ndarray], float]:
        latents, log_prob = model.encode(picture.to(model.device), conditioning)
        return [level.cpu().numpy() for level in latents], log_prob.item()

    return turn.run(work)


def _floats(picture: np.ndarray, missing: tuple[int, int]) -> Tensor:
    """Convert to (1, 3, H, W) in [0, 1]; at the right and bottom, edge pixels are repeated as padding."""
    whole = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return torch.from_numpy(whole.transpose(2, 0, 1).astype(np.float32) / np.iinfo(picture.dtype).max)[None]
