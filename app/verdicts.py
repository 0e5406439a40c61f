"""What is said of a picture that somebody steered to: how far it goes, whether it fits the input, how usual it is."""

from __future__ import annotations

from app.records import WishScale
from srflow.contract import Variant

__all__ = ["wish_verdict"]

_FAR = 2.0  # standard deviations


def wish_verdict(scale: WishScale, variant: Variant) -> str:
    """What is said of a picture that a wish led to: how far it goes, whether it fits the input, how usual it is."""
    less, more = scale.wish.words
    parts = []
    if variant.measured is not None:
        reached = scale.aim.deviations(variant.measured)
        beyond = ", beyond what is likely" if abs(reached) > _FAR else ""
        parts.append(f"{abs(reached):.1f} sd {more if reached > 0 else less} than usual here{beyond}")
    parts.append(f"fits the input ({variant.lr_psnr:.0f} dB)")
    if variant.log_prob is not None:
        share = scale.aim.plausibility(variant.log_prob)
        count = len(scale.aim.log_probs)
        parts.append(
            f"{share * 100:.0f} % of {count} versions are as unusual"
            if share
            else f"more unusual than all of {count} versions"
        )
    text = "; ".join(parts)
    return text[0].upper() + text[1:]
