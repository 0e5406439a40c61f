"""Exports a model for use without this package: `condition` and `decode` as programs of `torch.export`.

A program contains the weights and accepts LR pictures of any size whose sides are multiples of
`ModelConfig.lr_multiple`, at least two of them. `torch.export.save` writes it to a file; loading that needs only
PyTorch. A program does not check values; run it under `torch.inference_mode`, or it records gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from srflow.model import Conditioning, SRFlow

__all__ = ["export_condition", "export_decode"]

_EXAMPLE = (6, 10)  # LR sides for tracing, in multiples of `lr_multiple`; the programs accept others
_MAX_SIDE = 1 << 16


def export_condition(model: SRFlow) -> ExportedProgram:
    """Export the program lr → conditioning.

    lr: (1, 3, h, w), float32, in [0, 1]. The result is a tuple of tensors for the program of `export_decode`: those of
    `SRFlow.condition`, as a flat list.
    """
    lr = _example_lr(model)
    shapes = {"lr": _sides(lr)}
    with torch.no_grad():
        return torch.export.export(_Condition(model).eval(), (lr,), dynamic_shapes=shapes, strict=False)


def export_decode(model: SRFlow) -> ExportedProgram:
    """Export the program latents, conditioning → pictures, (N, 3, s h, s w), not clipped, N samples of one LR picture.

    latents: a tuple of tensors, (N, C, H, W), one per level as returned by `SRFlow.draw_latents`, times the
    temperature.
    conditioning: from the program of `export_condition`.
    """
    lr = _example_lr(model)
    with torch.no_grad():
        conditioning = model.condition(lr)
        latents = tuple(model.draw_latents(*lr.shape[-2:], num_samples=2).to(model.device))
        tensors = _contiguous(conditioning)
        shapes = {
            "latents": tuple({0: Dim("num_samples", min=1), **_sides(latent)} for latent in latents),
            "conditioning": tuple(_sides(tensor) for tensor in tensors),
        }
        program = _Decode(model, conditioning).eval()
        return torch.export.export(program, (latents, tensors), dynamic_shapes=shapes, strict=False)


class _Condition(nn.Module):
    def __init__(self, model: SRFlow) -> None:
        super().__init__()
        self.model = model

    def forward(self, lr: Tensor) -> tuple[Tensor, ...]:
        return _contiguous(self.model.condition(lr))


class _Decode(nn.Module):
    """The decoder as a module. Args: like: conditioning of any picture, for its structure; its tensors are not kept."""

    def __init__(self, model: SRFlow, like: Conditioning) -> None:
        super().__init__()
        self.model = model
        self._like = like.map(lambda _: torch.empty(0))

    def forward(self, latents: Sequence[Tensor], conditioning: Sequence[Tensor]) -> Tensor:
        remaining = iter(conditioning)
        first = self.model.config.flow.squeeze_factors[
            0
        ]  # HR pixels (per side) covered by a position of the first latent
        height, width = (side * first // self.model.scale_factor for side in latents[0].shape[-2:])
        whole = replace(self._like.map(lambda _: next(remaining)), height=height, width=width)
        return self.model.decode(latents, whole)


def _contiguous(conditioning: Conditioning) -> tuple[Tensor, ...]:
    """Make the tensors contiguous: views into larger ones would tie the program to their strides."""
    return tuple(tensor.contiguous() for tensor in conditioning.tensors())


def _example_lr(model: SRFlow) -> Tensor:
    height, width = (side * model.config.lr_multiple for side in _EXAMPLE)
    return torch.full((1, 3, height, width), 0.5, dtype=model.dtype, device=model.device)


def _sides(tensor: Tensor) -> dict[int, Dim]:
    """How height and width of a tensor that came from the example follow from those of any LR picture."""
    sides = {}
    for axis, (name, example) in enumerate(zip(("height", "width"), _EXAMPLE, strict=True), start=2):
        unit = Dim(name, min=2, max=_MAX_SIDE)
        factor = tensor.shape[axis] // example
        sides[axis] = unit if factor == 1 else factor * unit
    return sides
