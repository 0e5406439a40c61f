"""Verdicts on a steered picture: how far it goes, whether it matches the input, and how unusual it is."""

from __future__ import annotations

from app.records import WishScale
from srflow.contract import Variant, Verdict

__all__ = ["edit_verdict", "wish_verdict"]

_FAR = 2.0  # standard deviations
_NOTHING = 0.03  # of an edit: too little to be seen


def wish_verdict(scale: WishScale, variant: Variant) -> str:
    """Say how far a picture goes towards a wish, whether it matches the input, and how unusual it is."""
    less, more = scale.wish.words
    parts = []
    if variant.measured is not None:
        reached = scale.aim.deviations(variant.measured)
        beyond = ", beyond what is likely" if abs(reached) > _FAR else ""
        parts.append(f"{abs(reached):.1f} sd {more if reached > 0 else less} than usual here{beyond}")
    parts.append(f"matches the input ({variant.lr_psnr:.0f} dB)")
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


def edit_verdict(verdict: Verdict, what: str) -> str:
    """Say how much of an "edit", or of "grain", matches the input, and how much of it is as likely as samples are."""
    consistent, natural = (f"{max(0.0, kept) * 100:.0f} %" for kept in verdict.kept)
    deviations = verdict.deviations
    if max(verdict.kept) < _NOTHING:
        return f"The input rules this {what} out: {consistent} of it remains. ← and → compare, Enter keeps one."
    parts = [f"{consistent} of the {what} matches the input, {_likelihood(deviations[0])}"]
    parts.append(f"made natural, {natural} remains, {_likelihood(deviations[1])}")
    return f"{'; '.join(parts)}. ← and → compare, Enter keeps one."


def _likelihood(deviation: float) -> str:
    if abs(deviation) <= _FAR:
        return "as likely as samples"
    if deviation > 0:
        return f"flatter than samples (+{deviation:.0f} sd)"
    return f"far less likely than samples (\N{MINUS SIGN}{-deviation:.0f} sd)"
