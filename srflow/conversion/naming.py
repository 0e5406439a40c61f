"""Finds the network among a file's tensors, and renames its tensors to the names of the released files.

It looks at key names only: the style of the released ESRGAN and SRFlow networks (RRDB_trunk, HRconv), that of BasicSR
and Real-ESRGAN (body, conv_body, conv_up1), and the numbered one of the first ESRGAN files (model.1.sub.0), each after
any prefix that a trainer adds (module., netG., generator., model., params_ema., …).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from torch import Tensor

from srflow.contract import CheckpointError

__all__ = ["Network", "pick_network"]

_FLOW = "flowUpsamplerNet."
# The first convolution in each style, and a key that must exist beside it.
_ANCHORS = (
    ("RRDB.conv_first.weight", "RRDB.RRDB_trunk.0.RDB1.conv1.weight"),
    ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"),
    ("conv_first.weight", "body.0.rdb1.conv1.weight"),
    ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"),
)
_RELEASED, _BASICSR, _NUMBERED = "released", "basicsr", "numbered"
_STYLES = (_RELEASED, _RELEASED, _BASICSR, _NUMBERED)
_OTHER_PARTS = re.compile(r"(^|[._])(net_?d|discriminator|disc|d)[._]", re.IGNORECASE)
_AVERAGES = re.compile(r"ema|averaged", re.IGNORECASE)

# Names of other networks, by a key that they have.
_OTHERS = (
    (r"conv1x1\.weight", "ESRGAN+, whose dense blocks have a 1x1 convolution that this encoder lacks"),
    (r"(^|\.)body\.\d+\.weight$", "Real-ESRGAN's compact network (SRVGGNet) or another plain one"),
    (r"residual_group\.blocks", "SwinIR, HAT or another transformer network"),
    (r"relative_position_bias_table|attn\.qkv", "a transformer network"),
    (r"diffusion_model|time_embed|temb", "a diffusion model"),
    (r"(^|\.)fc\.weight$|classifier", "a classifier"),
)


@dataclass(frozen=True)
class Network:
    """A network's tensors, by the names of the released files.

    left_out: parts that belong to something else, with their sizes.
    """

    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]


def pick_network(tensors: dict[str, Tensor], source: str) -> Network:
    """Find the network among a file's tensors.

    source: the file's name, for messages.

    Raises: CheckpointError: there is none, or it is not an RRDB network; the message says what it seems to be.
    """
    found = _candidates(tensors)
    if not found:
        raise CheckpointError(_what_else(tensors, source))
    prefix, style = found[0]
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    rest = [name for name in tensors if not name.startswith(prefix)]
    if prefix == "":
        others = [name for name in own if _OTHER_PARTS.search(name) and not name.startswith(("RRDB", _FLOW))]
        rest += others
        own = {name: tensor for name, tensor in own.items() if name not in others}
    parts = Counter(name.split(".")[0] for name in rest)
    left_out = tuple(f"{part} ({count} tensors)" for part, count in sorted(parts.items()))
    if style == _BASICSR:
        own = {_from_basicsr(name): tensor for name, tensor in own.items()}
    elif style == _NUMBERED:
        own = _from_numbered(own, source)
    if any(re.search(_OTHERS[0][0], name) for name in own) and not any(name.startswith(_FLOW) for name in own):
        raise CheckpointError(f"{source} is {_OTHERS[0][1]}; it cannot be converted.")
    return Network(own, left_out)


def _candidates(tensors: dict[str, Tensor]) -> list[tuple[str, str]]:
    """Return (prefix, style) of the networks in a file: averages first, no discriminators, then the shorter prefix."""
    found: dict[tuple[str, str], None] = {}
    for (anchor, beside), style in zip(_ANCHORS, _STYLES, strict=True):
        for name in tensors:
            prefix = name.removesuffix(anchor)
            if name.endswith(anchor) and (not prefix or prefix.endswith(".")) and prefix + beside in tensors:
                found[(prefix, style)] = None

    def rank(candidate: tuple[str, str]) -> tuple[bool, bool, int]:
        prefix, _ = candidate
        return not _AVERAGES.search(prefix), bool(_OTHER_PARTS.search(prefix)), len(prefix)

    # RRDB.conv_first also ends in conv_first: use the shorter prefix, which includes the flow.
    return sorted(found, key=rank)


def _from_basicsr(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if match := re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)", module):
        return f"RRDB_trunk.{match[1]}.RDB{match[2]}.conv{match[3]}.{kind}"
    if match := re.fullmatch(r"conv_up(\d)", module):
        return f"upconv{match[1]}.{kind}"
    return f"{ {'conv_body': 'trunk_conv', 'conv_hr': 'HRconv'}.get(module, module) }.{kind}"


def _from_numbered(tensors: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Rename numbered keys: model.0 is the first convolution, model.1.sub the trunk with its last convolution, others
    follow.
    """
    numbers = sorted({int(match[1]) for name in tensors if (match := re.fullmatch(r"model\.(\d{1,4})\.weight", name))})
    trunk = {int(match[1]) for name in tensors if (match := re.match(r"model\.1\.sub\.(\d{1,4})\.", name))}
    if len(numbers) < 3 or not trunk:
        raise CheckpointError(f"{source} begins like an early ESRGAN file, but parts of it are missing.")
    names = {0: "conv_first", numbers[-1]: "conv_last", numbers[-2]: "HRconv"}
    names |= {number: f"upconv{place}" for place, number in enumerate(numbers[1:-2], start=1)}
    renamed = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        if match := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0", module):
            own = f"RRDB_trunk.{match[1]}.RDB{match[2]}.conv{match[3]}"
        elif module == f"model.1.sub.{max(trunk)}":
            own = "trunk_conv"
        elif (match := re.fullmatch(r"model\.(\d{1,4})", module)) and int(match[1]) in names:
            own = names[int(match[1])]
        else:
            own = module  # unknown: the conversion reports it
        renamed[f"{own}.{kind}"] = tensor
    return renamed


def _what_else(tensors: dict[str, Tensor], source: str) -> str:
    seems = next((name for pattern, name in _OTHERS if any(re.search(pattern, key) for key in tensors)), None)
    return (
        f"{source} is neither a released SRFlow or SRFlow-DA nor an RRDB network (ESRGAN, Real-ESRGAN, BSRGAN)"
        f"{f'; it looks like {seems}' if seems else ''}. Its first keys are {', '.join(sorted(tensors)[:3])}."
    )
