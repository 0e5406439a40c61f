"""Features of a frozen, pretrained network, and the distance between pictures by them.

They give a second perceptual distance beside LPIPS, from another network (EfficientNet-lite0), and features for
training, so that LPIPS remains an independent measurement. The structure comes from `timm`, an optional dependency
(VGG19's from torchvision), the weights from a file; nothing is downloaded.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from srflow.contract import CheckpointError, InputError, SRFlowError
from srflow.empty import without_weights
from srflow.evaluation.perceptual import check_pictures
from srflow.images import to_tensor
from srflow.shipped_files import shipped_folder

__all__ = [
    "BACKBONES",
    "DEFAULT_BACKBONE",
    "DISTANCE_EPS",
    "MIN_SIDE",
    "Backbone",
    "FeatureDistance",
    "FeatureNetwork",
    "MissingPackageError",
    "feature_distance",
    "feature_scales",
    "find_weights",
]

DEFAULT_BACKBONE = "efficientnet-lite0"

MIN_SIDE = 32
"""Side in pixels of the smallest picture that every backbone accepts."""

DISTANCE_EPS = 1e-3
"""The eps of `feature_distance`, relative to a feature's usual length: far below it, the distance is smooth."""

_MIN_SCALE = 1e-6  # prevents a division by zero for features that are zero everywhere
_COUNTER = "num_batches_tracked"  # of batch normalisation: weights files may lack it, and frozen networks ignore it


class MissingPackageError(SRFlowError, ImportError):
    """An optional package is not installed; the message names it, and says how to install it."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A pretrained network that provides features.

    build: creates the network, whose forward returns the features; its parameters are named as in the weights file.
    strides: HR pixels between neighbouring positions of a feature.
    channels: of each feature.
    mean, std: the network takes (x - mean) / std of RGB in [0, 1].
    weights_variable: environment variable that may name the weights file.
    weights_file: its path in the shipped assets; None: users provide their own.
    ignored: prefixes of the names of tensors that a complete weights file has but the network does not need.
    """

    build: Callable[[], nn.Module]
    strides: tuple[int, ...]
    channels: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights_variable: str
    weights_file: Path | None = None
    ignored: tuple[str, ...] = ()


class FeatureNetwork(nn.Module):
    """A frozen backbone: always in eval mode, no gradients to its weights, gradients to its input.

    It may run under autocast and in channels_last. It does not change after construction, so threads may share it.

    Args:
        name: of the backbone, one of `BACKBONES`.
        weights: the file of its weights; None looks for it, see `find_weights`.

    Raises:
        InputError: there is no such backbone.
        MissingPackageError: the package that builds the network is not installed.
        CheckpointError: the file is missing, truncated, or has other tensors.
    """

    def __init__(self, name: str = DEFAULT_BACKBONE, weights: str | Path | None = None) -> None:
        super().__init__()
        self.name = name
        self.backbone = _backbone(name)
        path = find_weights(name, weights)
        # On the meta device no random numbers are drawn. The caller's generator must not change, or a resumed training
        # run would differ from an uninterrupted one.
        with without_weights():
            self._network = self.backbone.build()
        self._network.load_state_dict(_read(path, self._network, self.backbone), assign=True)
        for label in ("mean", "std"):
            value = torch.tensor(getattr(self.backbone, label)).view(1, 3, 1, 1)
            self.register_buffer(f"_{label}", value, persistent=False)
        self.eval().requires_grad_(False)

    @property
    def strides(self) -> tuple[int, ...]:
        """HR pixels between neighbouring positions, for each feature."""
        return self.backbone.strides

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each feature."""
        return self.backbone.channels

    def train(self, mode: bool = True) -> FeatureNetwork:  # noqa: ARG002 - the interface of nn.Module
        """Stay in eval mode, even as a part of a module that is trained: the statistics are frozen."""
        return super().train(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the features of a batch of pictures, the finest first.

        Args: x: RGB, floats, nominally in [0, 1], (B, 3, H, W), at least `MIN_SIDE` pixels a side.
        Returns: one tensor per entry of `strides`, (B, C, ceil(H / stride), ceil(W / stride)); EfficientNet rounds up
            sides that are not multiples of the stride, VGG19 rounds them down.
        Raises: InputError: x is anything else.
        """
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point():
            raise InputError(f"Features are of float tensors (B, 3, H, W); got {x.dtype} of {tuple(x.shape)}.")
        if min(x.shape[-2:]) < MIN_SIDE:
            raise InputError(f"Features need {MIN_SIDE} pixels a side; the pictures are {x.shape[-1]}x{x.shape[-2]}.")
        return self._network((x - self._mean) / self._std)

    forward = features


class FeatureDistance:
    """The distance `feature_distance` of 8-bit pictures, each scaled by the features of its ground truth.

    Args:
        device: where the network runs.
        network: an existing one, moved to `device`; None builds the default one.

    Raises: as `FeatureNetwork`.
    """

    def __init__(self, device: str | torch.device = "cpu", network: FeatureNetwork | None = None) -> None:
        self.device = torch.device(device)
        self._network = (network or FeatureNetwork()).to(self.device)
        self.name = self._network.name

    def distance(self, picture: np.ndarray, truth: np.ndarray) -> float:
        """Return the distance of a picture from the ground truth; 0 for equal ones.

        Args: picture, truth: uint8, (H, W, 3), of one size, at least `MIN_SIDE` pixels a side.
        Raises: InputError: they are anything else.
        """
        return self.distance_to(truth)(picture)

    @torch.no_grad()
    def distance_to(self, truth: np.ndarray) -> Callable[[np.ndarray], float]:
        """Return `distance` with a fixed ground truth, whose features are computed here, once.

        Args: truth: uint8, (H, W, 3), at least `MIN_SIDE` pixels a side.
        Returns: a function of the picture, uint8, (H, W, 3).
        Raises: InputError: the ground truth, or later a picture, is anything else; or they differ in size.
        """
        check_pictures(truth, truth, "The feature distance", MIN_SIDE)
        true = self._network.features(to_tensor(truth).to(self.device))
        scales = feature_scales(true)

        @torch.no_grad()
        def distance_of(picture: np.ndarray) -> float:
            check_pictures(picture, truth, "The feature distance", MIN_SIDE)
            features = self._network.features(to_tensor(picture).to(self.device))
            return feature_distance(features, true, scales).item()

        return distance_of


def feature_scales(truth: Sequence[Tensor], *, shared: bool = False) -> list[Tensor]:
    """Return the root mean square length of the ground truth's features, the divisor of `feature_distance`.

        s_l = sqrt(mean over positions p of |y_lp|²)

    With one scale per picture, every picture has the same weight. In a loss that is to be a proper scoring rule (the
    energy score) the scales must not depend on the picture that is scored, because outcomes with short features would
    get more weight than others. For such a loss use `shared=True`: one scale for the whole batch, which varies little.

    Args:
        truth: features of the ground truth, (B, C, H, W) each.
        shared: mean over the batch, too.

    Returns: for each feature, (B,), or (1,) if shared; float32 or wider, detached, above 0.
    """
    scales = []
    for features in truth:
        lengths = _wide(features.detach()).square().sum(dim=1)  # (B, H, W)
        means = lengths.mean(dim=(0, 1, 2)).view(1) if shared else lengths.mean(dim=(1, 2))
        scales.append(means.sqrt().clamp_min(_MIN_SCALE))
    return scales


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
    """Return the mean over layers and positions of the Euclidean distance between features; differentiable.

        d = 1/L sum over layers l of mean over positions p of ( sqrt(|a_lp - b_lp|² / s_l² + eps²) - eps )

    Features are not normalised per position, so contrast counts. eps = `DISTANCE_EPS` is inside the root so that the
    gradient at equal features is 0 instead of NaN; it is subtracted so that equal features have distance 0. Like the
    Euclidean distance itself, d is of negative type, as the energy score requires.

    Args:
        a, b: features of the two batches, (B, C, H, W) each.
        scales: s, (B,) or (1,) each; see `feature_scales`.
    Returns: (B,), float32 or wider, even under autocast.
    """
    layers = []
    for x, y, scale in zip(a, b, scales, strict=True):
        squared = (_wide(x) - _wide(y)).square().sum(dim=1)  # (B, H, W)
        scaled = squared / scale.square().view(-1, 1, 1)
        layers.append(((scaled + DISTANCE_EPS**2).sqrt() - DISTANCE_EPS).mean(dim=(1, 2)))
    return torch.stack(layers).mean(dim=0)


def find_weights(name: str = DEFAULT_BACKBONE, weights: str | Path | None = None) -> Path:
    """Return the file of a backbone's weights.

    It is `weights` if given; otherwise the file named by the backbone's environment variable; otherwise the one in the
    shipped assets.

    Raises: InputError: there is no such backbone. CheckpointError: the file does not exist; the message says where it
        was expected.
    """
    backbone = _backbone(name)
    given = weights or os.environ.get(backbone.weights_variable)
    own = None if backbone.weights_file is None else shipped_folder("assets") / backbone.weights_file
    path = Path(given) if given else own
    if path is None:
        raise CheckpointError(
            f"No weights for {name} come with the repository. Set {backbone.weights_variable} to a file with them. "
            "Nothing is downloaded."
        )
    if not path.is_file():
        file = backbone.weights_file
        kept = "" if file is None else f"Take assets/{file.as_posix()} from the repository, "
        raise CheckpointError(
            f"There is no file {path} with the weights of {name}. {kept}{'or s' if kept else 'S'}et "
            f"{backbone.weights_variable} to its path. Nothing is downloaded."
        )
    return path


class _EfficientNetLite0(nn.Module):
    """The stem and the first five of seven stages."""

    def __init__(self) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise MissingPackageError(
                f"EfficientNet-lite0's features need the package timm ({error}); pip install timm."
            ) from error
        whole = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.conv_stem = whole.conv_stem
        self.bn1 = whole.bn1  # with the activation
        self.blocks = whole.blocks[:5]

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = [self.bn1(self.conv_stem(x))]
        for stage in self.blocks:
            outputs.append(stage(outputs[-1]))
        return outputs


class _VGG19(nn.Module):
    """VGG19 up to the output of layer 5_4, before its activation: the features of ESRGAN and HCFlow++."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from torchvision.models import vgg19
        except ImportError as error:
            raise MissingPackageError(
                f"VGG19's features need the package torchvision ({error}); pip install torchvision."
            ) from error
        self.features = vgg19(weights=None, init_weights=False).features[:35]

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.features(x)]


BACKBONES = {
    "efficientnet-lite0": Backbone(
        build=_EfficientNetLite0,
        strides=(2, 2, 4, 8, 16, 16),
        channels=(32, 16, 24, 40, 80, 112),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        weights_variable="SRFLOW_EFFICIENTNET_WEIGHTS",
        weights_file=Path("efficientnet_lite0", "efficientnet_lite0_features.safetensors"),
        ignored=("blocks.5.", "blocks.6.", "conv_head.", "bn2.", "classifier."),
    ),
    "vgg19": Backbone(
        build=_VGG19,
        strides=(16,),
        channels=(512,),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        weights_variable="SRFLOW_VGG19_WEIGHTS",
        ignored=("classifier.",),
    ),
}
"""The backbones by name. VGG19's weights are torchvision's (`vgg19-dcbb9e9d.pth`, or the same as safetensors)."""


def _backbone(name: str) -> Backbone:
    if name not in BACKBONES:
        raise InputError(f"There is no feature network {name!r}; choose one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def _read(path: Path, network: nn.Module, backbone: Backbone) -> dict[str, Tensor]:
    """Read the network's tensors from the file, and check each of them."""
    try:
        if path.suffix == ".safetensors":
            tensors = safetensors.torch.load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is truncated or is not a file of weights ({error}); get it again.") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path} does not contain tensors by name; it is another file.")
    expected = network.state_dict()
    counters = {name: torch.tensor(0) for name in expected if name.endswith(_COUNTER)}
    tensors = counters | {name: tensor for name, tensor in tensors.items() if not name.startswith(backbone.ignored)}
    wrong = sorted(
        name
        for name in expected.keys() | tensors.keys()
        if name not in expected or name not in tensors or expected[name].shape != tensors[name].shape
    )
    if wrong:
        some = ", ".join(wrong[:6]) + (f" and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise CheckpointError(
            f"{path} does not contain the tensors of this network; missing, unexpected or of another shape: {some}."
        )
    tensors = {name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()}
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(f"{path} contains values that are not finite, in {broken[0]}; get it again.")
    return tensors


def _wide(x: Tensor) -> Tensor:
    """Convert to float32 if narrower: the half precision of autocast is too coarse for small differences."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
