"""The adversarial loss: discriminators on features and on pixels, with their own optimiser.

Heads on the frozen features of several strides judge structure ("projected" discriminators, Sauer et al. 2021). A small
patch network judges pixels; it also sees the difference of a picture from bicubic upscaling, which the flow adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["Adversary", "Discriminator", "Views", "relativistic_loss"]

_BETAS = (0.0, 0.99)  # no momentum: it would point at where the generator was some steps ago
_SLOPE = 0.2


class Views(NamedTuple):
    """The discriminators' view of N pictures.

    features: of the frozen network, per stride (N, C, h, w).
    pixels: (N, 6, H, W), the picture and its difference from bicubic upscaling.
    """

    features: list[Tensor]
    pixels: Tensor

    def detached(self) -> Views:
        """Return the same views without gradients, in float32."""
        return Views([feature.detach().float() for feature in self.features], self.pixels.detach().float())


class Discriminator(nn.Module):
    """One head for each feature and one patch network; spectral normalisation keeps all of them 1-Lipschitz.

    Args:
        channels: of each feature.
        width: channels inside.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(number, width) for number in channels)
        self.patch = _stack(
            [
                nn.Conv2d(6, width // 2, 4, stride=2, padding=1),
                nn.Conv2d(width // 2, width, 4, stride=2, padding=1),
                nn.Conv2d(width, width, 3, padding=1),
                nn.Conv2d(width, 1, 3, padding=1),
            ]
        )

    def forward(self, views: Views) -> list[Tensor]:
        """Return logits, (N, 1, h, w) for every head and the patch network: higher values are more like a photograph.

        They are computed in float32 even under autocast, because spectral normalisation estimates singular values.
        """
        with torch.autocast(views.pixels.device.type, enabled=False):
            logits = [head(feature.float()) for head, feature in zip(self.heads, views.features, strict=True)]
            return [*logits, self.patch(views.pixels.float())]


class Adversary:
    """A discriminator, its optimiser, and the losses of both sides.

    It is not a module, so that it enters neither the model's checkpoints nor its average, and no loss scaler affects
    it.

    Args:
        channels: of each feature that the discriminator sees.
        width: channels inside the discriminator.
        learning_rate: of its Adam.
        device: where it runs.
        reduce: averages a tensor over the processes; the default is for one process.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        learning_rate: float,
        device: torch.device,
        reduce: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> None:
        self.discriminator = Discriminator(channels, width).to(device)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=learning_rate, betas=_BETAS)
        self._reduce = reduce

    def generator_loss(self, real: Views, fake: Views) -> Tensor:
        """Return the generator's loss, a scalar: low if samples pass for photographs.

        The discriminator gets no gradient.
        """
        self.discriminator.eval().requires_grad_(False)  # eval mode: only `update` refines the singular vectors
        return relativistic_loss(self.discriminator(fake), self.discriminator(real))

    def update(self, real: Views, fake: Views) -> float:
        """Make one step of the discriminator; return its loss. If something is not finite, nothing changes."""
        self.discriminator.train().requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        # Photographs and samples go through in one pass, so that both are judged with the same singular vectors.
        logits = self.discriminator(_joined(real, fake))
        count = real.pixels.shape[0]
        loss = relativistic_loss([x[:count] for x in logits], [x[count:] for x in logits])
        loss.backward()
        gradients = [parameter.grad for parameter in self.discriminator.parameters()]
        for gradient in gradients:
            gradient.copy_(self._reduce(gradient))
        if all(torch.isfinite(gradient).all() for gradient in gradients):
            self.optimizer.step()
        return loss.item()

    def state_dict(self) -> dict[str, Any]:
        """Return weights and optimiser state, for a checkpoint of the run."""
        return {"discriminator": self.discriminator.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from `state_dict`."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])


def relativistic_loss(favoured: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Return the relativistic average loss (Jolicoeur-Martineau 2018), the mean over heads: a scalar.

        ½ E[softplus(-(f - mean o))] + ½ E[softplus(o - mean f)]

    It decreases as the logits `favoured` rise above the mean of `other`. The discriminator favours photographs, the
    generator samples. Means are taken over one process's share of a batch.
    """
    losses = [
        0.5 * F.softplus(other_head.mean() - head).mean() + 0.5 * F.softplus(other_head - head.mean()).mean()
        for head, other_head in zip(favoured, other, strict=True)
    ]
    return torch.stack(losses).mean()


def _joined(a: Views, b: Views) -> Views:
    features = [torch.cat(pair) for pair in zip(a.features, b.features, strict=True)]
    return Views(features, torch.cat([a.pixels, b.pixels]))


def _head(channels: int, width: int) -> nn.Sequential:
    return _stack(
        [nn.Conv2d(channels, width, 1), nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)]
    )


def _stack(convolutions: list[nn.Conv2d]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for convolution in convolutions:
        layers += [spectral_norm(convolution), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers[:-1])
