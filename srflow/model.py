"""The whole model: an encoder that reads the LR picture, and a flow between pictures and latents conditioned on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import ModelHubMixin
from torch import Tensor, nn

from srflow.checkpoints import own
from srflow.checkpoints.metadata import Metadata
from srflow.checkpoints.shipped import resolve_checkpoint
from srflow.contract import InputError
from srflow.distribution import SuperResolutions
from srflow.empty import without_weights
from srflow.encoder import RRDBEncoder
from srflow.errors import check_options
from srflow.flow.actnorm import ActNorm
from srflow.flow.conv_blocks import ZeroConv2d
from srflow.flow.network import ConditionalFlow, PreparedLevel, PreparedStep
from srflow.images import bicubic_upscale
from srflow.latents import Latents, Temperature, draw
from srflow.likelihood import log_likelihood, log_likelihood_map
from srflow.presets import FlowConfig, ModelConfig, get_preset
from srflow.work import OnStep

__all__ = ["Conditioning", "SRFlow", "pad_to_multiple"]


@dataclass(frozen=True)
class Conditioning:
    """Everything that a flow needs of one LR picture (or a batch of them), for any number of samples.

    levels: per level, the data for its steps.
    height, width: of the LR picture.
    base: its bicubic upscaling, (B, 3, s h, s w), for flows that model only the difference from it; otherwise None.
    """

    levels: list[PreparedLevel] = field(repr=False)
    height: int
    width: int
    base: Tensor | None = field(repr=False)

    @property
    def batch_size(self) -> int:
        """Number of LR pictures."""
        return self.levels[0][0].coupling.shape[0]

    def num_bytes(self) -> int:
        """Memory held, in bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())

    def tensors(self) -> list[Tensor]:
        """All of its tensors, in the order in which `map` visits them."""
        tensors = [tensor for level in self.levels for step in level for tensor in (*step.injector, step.coupling)]
        return tensors if self.base is None else [*tensors, self.base]

    def map(self, function: Callable[[Tensor], Tensor]) -> Conditioning:
        """Apply `function` to every tensor, e.g. a move to another device or a crop of the batch."""
        levels = [
            tuple(
                PreparedStep(type(step.injector)(*map(function, step.injector)), function(step.coupling))
                for step in level
            )
            for level in self.levels
        ]
        return replace(self, levels=levels, base=None if self.base is None else function(self.base))


class SRFlow(nn.Module, ModelHubMixin):
    """SRFlow-DA, one of its variants, or the original SRFlow; `config` says which.

    Pictures are (B, 3, H, W) floats in [0, 1], RGB. The flow's `forward` goes from picture to latents.

    Args:
        config: see `srflow.presets`.
        metadata: licence and origin of the weights, stored with them.
    """

    def __init__(self, config: ModelConfig, metadata: Metadata | None = None) -> None:
        super().__init__()
        self.config = config
        self.metadata = metadata or Metadata()
        self._conv_dtype: torch.dtype | None = None  # see `set_conv_dtype`
        self.encoder = RRDBEncoder(config.encoder, config.scale_factor, _level_strides(config.flow))
        self.flow = ConditionalFlow(config.flow, config.encoder.conditioning_channels)

    @classmethod
    def from_preset(cls, name: str) -> SRFlow:
        """Create a model with random weights. Raises InputError: there is no preset of that name."""
        return cls(get_preset(name))

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | Path, **hub_options: Any) -> SRFlow:  # type: ignore[override]
        """Load a checkpoint of our own format: a folder, a shipped one by its name, or one of the Hub.

        Args: hub_options: revision, cache_dir, token, local_files_only, force_download.
        Returns: the model, on the CPU, in eval mode.
        Raises: CheckpointError: there is none, or it does not fit. InputError: an unknown option.
        """
        check_options("from_pretrained", hub_options, own.HUB_OPTIONS)
        is_folder = Path(folder_or_hub_id).is_dir()
        source = folder_or_hub_id if is_folder else resolve_checkpoint(folder_or_hub_id)
        found = own.read(source, **hub_options)
        with without_weights():
            model = cls(found.config, found.metadata)
        own.load_tensors_strictly(model, found.tensors, str(source))
        return model.eval()

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        config: None = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_options: Any,
    ) -> str | None:
        """Write config.json, model.safetensors and, if the folder has none yet, README.md (the model card).

        Args:
            config: None; it exists only because the Hub's mixin passes it. A model has its own configuration.
            repo_id, push_to_hub: whether to upload the folder's model to the Hub, too, and its name there; None: a
                repository with the folder's name.
            model_card_kwargs: `details`, additional text (Markdown) for the card.
            push_options: of `push_to_hub`: commit_message, private, token, branch, create_pr, …
        Returns: the address of the commit on the Hub; None if nothing was uploaded.
        Raises: InputError: an unknown option, or one for uploading without `push_to_hub`.
        """
        card_options = model_card_kwargs or {}
        check_options("save_pretrained's model_card_kwargs", card_options, ("details",))
        check_options("save_pretrained", push_options, own.PUSH_OPTIONS if push_to_hub else ())
        if config is not None:
            raise InputError("save_pretrained writes the model's own configuration; it accepts no other `config`.")
        if repo_id is not None and not push_to_hub:
            raise InputError(f"repo_id is {repo_id!r}, but nothing is uploaded without push_to_hub=True; add it.")
        if self._conv_dtype is not None:
            raise InputError(
                f"The convolutions of this model were changed for sampling in {self._conv_dtype} (set_conv_dtype), "
                "so it would be saved as a different model. Load the model again, and save it unchanged."
            )
        checkpoint = own.Checkpoint(self.config, self.metadata, self.state_dict())
        self.metadata = own.write(save_directory, checkpoint, **card_options)
        if not push_to_hub:
            return None
        name = Path(save_directory).name if repo_id is None else repo_id
        return self.push_to_hub(name, model_card_kwargs=model_card_kwargs, **push_options)

    @property
    def scale_factor(self) -> int:
        """4 or 8."""
        return self.config.scale_factor

    @property
    def dtype(self) -> torch.dtype:
        """The data type of latents and log-determinants (the conv nets may use another, see `set_conv_dtype`)."""
        return self.flow.levels[0].transitions.layers[0].layers[1].weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def is_initialized(self) -> bool:
        """Whether every actnorm has been initialised, as in all trained models."""
        return all(layer.is_initialized for layer in self.flow.modules() if isinstance(layer, ActNorm))

    def forward(self, lr: Tensor) -> SuperResolutions:
        """Return the distribution p(hr | lr) over the super-resolutions of each LR picture; nothing is computed yet.

        Training does not use this method, but `log_prob` and similar ones: a module that is wrapped by
        `DistributedDataParallel` or `torch.compile` must return tensors. That module is each stage's objective (see
        `srflow.training.objectives`), which contains the model.

        Args: lr: (B, 3, h, w), in [0, 1], any h, w >= 1.
        Raises: InputError: wrong shape, not floats, NaN, or values outside [0, 1].
        """
        return SuperResolutions(self, self._checked_lr(lr))

    def log_prob(self, hr: Tensor, lr: Tensor) -> Tensor:
        """Return log p(hr | lr), (B,), in nats: the training objective, negated. Values are not checked.

        Args:
            hr: (B, 3, s h, s w).
            lr: (B, 3, h, w).
        """
        latents, log_dets = self._encode(hr, self._condition(lr, None))
        return log_likelihood(latents, log_dets)

    def log_prob_and_encoder_output(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return `log_prob`, and the encoder's own super-resolution, (B, 3, s h, s w), from the same features.

        Gradients of the latter reach only the encoder's super-resolution tail.
        """
        log_prob, _, encoder_output = self.log_prob_and_samples(hr, lr, ())
        return log_prob, encoder_output

    def log_prob_and_samples(
        self, hr: Tensor, lr: Tensor, latent_sets: Sequence[Sequence[Tensor]]
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return the inputs of all losses on samples, from one pass of the encoder; values are not checked.

        Args:
            hr: (B, 3, s h, s w).
            lr: (B, 3, h, w).
            latent_sets: for each sample of the batch its latents, at its temperature: per level (B, C, H, W).

        Returns: log p(hr | lr), (B,), in nats; for each set its pictures, (B, 3, s h, s w), not clipped; and the
            encoder's own super-resolution, (B, 3, s h, s w), whose gradients reach only the super-resolution tail.
        """
        features, stacked = self.encoder.features(lr)  # not padded: a picture of another size has no likelihood
        conditioning = self._prepare(features, stacked, lr, lr, None)
        latents, log_dets = self._encode(hr, conditioning)
        pictures = [self._decode(latent_set, conditioning, None)[0] for latent_set in latent_sets]
        return log_likelihood(latents, log_dets), pictures, self.encoder.super_resolve_from_finest(features, lr)

    def condition(self, lr: Tensor, on_step: OnStep | None = None) -> Conditioning:
        """Compute everything that does not depend on the sample, once.

        Args:
            lr: (B, 3, h, w), in [0, 1], any h, w >= 1; B is 1 or the number of samples decoded together later.
            on_step: called between blocks and steps; it may raise an exception to cancel the work.
        Raises: InputError: wrong shape, not floats, NaN, or values outside [0, 1].
        """
        return self._condition(self._checked_lr(lr), on_step)

    def draw_latents(
        self, height: int, width: int, *, num_samples: int = 1, seed: int = 0, first_sample: int = 0
    ) -> Latents:
        """Draw standard-normal latents for an LR picture of that size, before temperature, on the CPU.

        Sample i of a seed depends only on seed, i and the size.

        Args: first_sample: index i of the first one drawn.
        """
        return draw(self.latent_shapes(height, width), num_samples, seed, first_sample=first_sample)

    def latent_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Return (C, H, W) of every latent for an LR picture of that size."""
        if height < 1 or width < 1:
            raise InputError(f"An LR picture of {height}x{width} is empty; both sides must be at least 1.")
        return self.flow.latent_shapes(*(side * self.scale_factor for side in self._padded_size(height, width)))

    def decode(
        self, latents: Latents | Sequence[Tensor], conditioning: Conditioning, on_step: OnStep | None = None
    ) -> Tensor:
        """Map latents (times temperature) to pictures, (num_samples, 3, s h, s w), not clipped.

        Args:
            latents: as returned by `draw_latents` or `encode`.
            conditioning: of one picture, or of as many as there are samples.
            on_step: called between steps; it may raise.
        Raises: InputError: the latents' sizes do not fit the picture.
        """
        return self.decode_with_log_prob(latents, conditioning, on_step)[0]

    def decode_with_log_prob(
        self, latents: Latents | Sequence[Tensor], conditioning: Conditioning, on_step: OnStep | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode, and return log p(sr | lr) of each picture, (num_samples,), in nats, at no extra cost.

        The value is exact, except if the LR picture had to be padded (`check_has_density` tells): then it is that of
        the padded super-resolution, of which the picture is a part; the part alone has no density.
        """
        tensors = [latent.to(self.device, self.dtype) for latent in latents]
        self._check_latents(tensors, conditioning)
        x, log_dets = self._decode(tensors, conditioning, on_step)
        log_prob = log_likelihood(tensors, [-log_det for log_det in log_dets])
        s = self.scale_factor
        return x[..., : conditioning.height * s, : conditioning.width * s], log_prob

    def encode(self, hr: Tensor, conditioning: Conditioning) -> tuple[Latents, Tensor]:
        """Map pictures to their latents and log p(hr | lr), (B,), in nats.

        The density is over [0, 1] (not 0 … 255) and no noise is added; `likelihood.bits_per_dimension` converts it.

        Args: hr: (B, 3, s h, s w), nominally in [0, 1]; noise and samples may exceed it.
        Raises: InputError: wrong shape, not floats, NaN, or a size that does not fit the conditioning.
        """
        latents, log_dets = self._checked_encode(hr, conditioning)
        return Latents(latents), log_likelihood(latents, log_dets)

    def log_prob_map(self, hr: Tensor, conditioning: Conditioning) -> Tensor:
        """Return a map of log p(hr | lr), (B, s h, s w), in nats per pixel: its sum is the log_prob of `encode`."""
        return self.encode_by_place(hr, conditioning)[1]

    def encode_by_place(self, hr: Tensor, conditioning: Conditioning) -> tuple[Latents, Tensor]:
        """Do the same as `encode`, with the map of the log-likelihood as returned by `log_prob_map`."""
        latents, log_dets = self._checked_encode(hr, conditioning)
        return Latents(latents), log_likelihood_map(latents, log_dets, *hr.shape[-2:])

    def sample(
        self,
        lr: Tensor,
        *,
        num_samples: int = 1,
        temperature: Temperature | None = None,
        seed: int = 0,
        consistency_rounds: int = 0,
        batch_size: int = 4,
    ) -> Tensor:
        """Draw super-resolutions of one LR picture: by default those of seed 0, the same in every call.

        For a batch of LR pictures, and new samples in every call, see `forward`.

        Args:
            lr: (1, 3, h, w), in [0, 1].
            temperature: a number, one per latent, or a map; None takes the checkpoint's default.
            consistency_rounds: of back-projection onto the LR picture; 0: none. The command and `srflow.load` do 5.
            batch_size: number of samples that are decoded together; it affects only memory and speed.
        Returns: (num_samples, 3, s h, s w), not clipped, unless there are rounds of back-projection.
        """
        if lr.ndim != 4 or lr.shape[0] != 1:
            raise InputError(
                f"sample takes one picture, (1, 3, h, w); got shape {tuple(lr.shape)}. For a batch, use "
                "model(lr).sample((num_samples,))."
            )
        if num_samples < 1 or batch_size < 1:
            raise InputError(f"num_samples is {num_samples} and batch_size {batch_size}; both must be at least 1.")
        samples = self(lr).sample(
            (num_samples,),
            temperature=self.config.default_temperature if temperature is None else temperature,
            seed=seed,
            consistency_rounds=consistency_rounds,
            batch_size=batch_size,
        )
        return samples[:, 0]

    def set_conv_dtype(self, dtype: torch.dtype) -> SRFlow:
        """Convert the conv nets to `dtype`, channels last, for sampling; everything else stays in float32.

        The log factors of the last convolutions are folded into their weights before the cast. The result cannot be
        trained (use `torch.autocast`, which keeps float32 weights), reverted or saved. Returns self.
        """
        self._conv_dtype = dtype
        for module in self.modules():
            if isinstance(module, ZeroConv2d):
                module.fold_log_factors()
            if isinstance(module, nn.Conv2d):
                module.to(dtype=dtype, memory_format=torch.channels_last)
        return self

    def check_has_density(self, height: int, width: int) -> None:
        """Check the size. Raises InputError: an LR picture of that size must be padded, so that its HR pictures have no
        density.
        """
        if self._padded_size(height, width) != (height, width):
            multiple = self.config.lr_multiple
            raise InputError(
                f"{self.config.name} can compute likelihoods only if both LR sides are multiples of {multiple}; "
                f"this LR picture is {height}x{width}. Crop hr to multiples of {self.scale_factor * multiple}."
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SRFlow:
        """Convert all tensors, for `to`, `half` and the like. Raises InputError: latents cannot have that dtype."""
        dtype = fn(self.flow.levels[0].transitions.layers[0].layers[1].weight.detach().new_empty(0)).dtype
        if dtype not in (torch.float32, torch.float64):
            raise InputError(
                f"The model cannot be {dtype}: latents and log-determinants need float32 or float64. Use "
                f"`set_conv_dtype({dtype})` to run only the convolutions in it, or torch.autocast for training."
            )
        return super()._apply(fn, recurse)

    def _checked_lr(self, lr: Tensor) -> Tensor:
        """Return lr with the model's dtype and on its device, checked."""
        _check_picture(lr, "lr", 0.0, 1.0)
        return lr.to(self.device, self.dtype)

    def _condition(self, lr: Tensor, on_step: OnStep | None) -> Conditioning:
        padded = pad_to_multiple(lr, self.config.lr_multiple)
        return self._prepare(*self.encoder.features(padded, on_step), lr, padded, on_step)

    def _prepare(
        self, features: list[Tensor], stacked: list[Tensor], lr: Tensor, padded: Tensor, on_step: OnStep | None
    ) -> Conditioning:
        levels = self.flow.prepare(features, on_step, torch.cat(stacked, 1) if stacked else None)
        base = bicubic_upscale(padded, self.scale_factor) if self.config.flow.residual else None
        return Conditioning(levels=levels, height=lr.shape[-2], width=lr.shape[-1], base=base)

    def _encode(self, hr: Tensor, conditioning: Conditioning) -> tuple[list[Tensor], list[Tensor]]:
        return self.flow(hr if conditioning.base is None else hr - conditioning.base, conditioning.levels)

    def _decode(
        self, latents: Sequence[Tensor], conditioning: Conditioning, on_step: OnStep | None
    ) -> tuple[Tensor, list[Tensor]]:
        x, log_dets = self.flow.inverse(latents, conditioning.levels, on_step)
        return x if conditioning.base is None else x + conditioning.base, log_dets

    def _checked_encode(self, hr: Tensor, conditioning: Conditioning) -> tuple[list[Tensor], list[Tensor]]:
        _check_picture(hr, "hr", -_HR_MARGIN, 1 + _HR_MARGIN)
        s = self.scale_factor
        expected = (conditioning.height * s, conditioning.width * s)
        if tuple(hr.shape[-2:]) != expected:
            raise InputError(
                f"hr is {hr.shape[-2]}x{hr.shape[-1]}, but LR of {conditioning.height}x{conditioning.width} "
                f"at x{s} needs {expected[0]}x{expected[1]}; crop it (see images.crop_to_multiple) or use its own LR."
            )
        self.check_has_density(conditioning.height, conditioning.width)
        if conditioning.batch_size not in (1, hr.shape[0]):
            raise InputError(f"Got {hr.shape[0]} hr pictures and a conditioning of {conditioning.batch_size}.")
        return self._encode(hr.to(self.device, self.dtype), conditioning)

    def _padded_size(self, height: int, width: int) -> tuple[int, int]:
        multiple = self.config.lr_multiple
        return -(-height // multiple) * multiple, -(-width // multiple) * multiple

    def _check_latents(self, latents: Sequence[Tensor], conditioning: Conditioning) -> None:
        expected = self.latent_shapes(conditioning.height, conditioning.width)
        actual = [tuple(latent.shape[1:]) for latent in latents]
        if actual != expected:
            raise InputError(
                f"Latents have shapes {actual}, but an LR picture of {conditioning.height}x{conditioning.width} needs "
                f"{expected} (without the batch); draw them with draw_latents of that size."
            )
        counts = [latent.shape[0] for latent in latents]  # not a set: sizes have no hash while a program is exported
        if any(count != counts[0] for count in counts) or conditioning.batch_size not in (1, counts[0]):
            raise InputError(
                f"Got latents of {counts} samples for {conditioning.batch_size} LR pictures; "
                "use one picture, or as many as there are samples."
            )


_HR_MARGIN = 2.0  # samples may overshoot and noise is added; beyond it the caller has probably passed 0 … 255


def _check_picture(picture: Tensor, name: str, low: float, high: float) -> None:
    if picture.ndim != 4 or picture.shape[1] != 3:
        raise InputError(f"{name} has shape {tuple(picture.shape)}; it must be (B, 3, height, width), RGB.")
    if 0 in picture.shape:
        raise InputError(f"{name} has shape {tuple(picture.shape)}: it is empty; every side must be at least 1.")
    if not picture.is_floating_point():
        raise InputError(f"{name} is {picture.dtype}; it must be floats in [0, 1] (images.to_tensor converts 8-bit).")
    if torch.compiler.is_compiling():  # or it is being exported: values are not known then
        return
    smallest, largest = (value.item() for value in torch.aminmax(picture.detach()))
    if not (smallest >= low and largest <= high):  # false for NaN, too
        raise InputError(
            f"{name} contains values from {smallest:.4g} to {largest:.4g}; they must be finite and lie in [0, 1]. "
            "Divide 8-bit values by 255."
        )


def _level_strides(config: FlowConfig) -> tuple[int, ...]:
    strides, stride = [], 1
    for factor in config.squeeze_factors:
        stride *= factor
        strides.append(stride)
    return tuple(strides)


def pad_to_multiple(picture: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) at the right and the bottom to multiples, by reflection; a side of one pixel is repeated."""
    for dim in (2, 3):
        missing = -picture.shape[dim] % multiple
        if missing:
            mode = "reflect" if picture.shape[dim] > missing else "replicate"
            padding = (0, 0, 0, missing) if dim == 2 else (0, missing, 0, 0)
            picture = F.pad(picture, padding, mode=mode)
    return picture
