"""The model card of a checkpoint: Hugging Face's front matter and a summary for people."""

from __future__ import annotations

from collections.abc import Mapping

from huggingface_hub import ModelCardData

from srflow.checkpoints.metadata import Metadata
from srflow.presets import ModelConfig

__all__ = ["model_card"]

_TAGS = ["image-super-resolution", "normalizing-flow", "super-resolution", "srflow"]

_TEMPLATE = """---
{front_matter}
---

# {name}

A conditional normalizing flow for x{scale_factor} super-resolution (SRFlow-DA, Jo, Yang and Kim, CVPRW 2021, and
relatives). It draws many high-resolution pictures for one low-resolution picture, and gives each its exact likelihood.

| | |
|---|---|
| scale factor | {scale_factor} |
| parameters | {flow_parameters:,} (flow) + {encoder_parameters:,} (encoder) |
| levels × steps | {num_levels} × {steps_per_level}, conv block "{conv_block}", hidden width {hidden_channels} |
| default temperature | {temperature} |
| licence of the weights | {license} |
| origin of the weights | {provenance} |

```python
import srflow

samples = srflow.load("path/to/this/folder")("lr.png", num_samples=8)
samples.images[0].save("sr.png")
```

The model has seen low-resolution pictures made by bicubic reduction only. On others (camera blur, noise, JPEG) its
pictures are not to be trusted. Fine detail is drawn, not measured: compare several samples before you believe any.
{details}"""


def model_card(config: ModelConfig, metadata: Metadata, sizes: Mapping[str, int], details: str | None = None) -> str:
    """Return the text of the card.

    Args:
        sizes: number of values of each of the model's parameters, by its name.
        details: Markdown added at the end: data, training, evaluation, limits.
    """
    data = ModelCardData(
        library_name="srflow", pipeline_tag="image-to-image", license=metadata.license, tags=list(_TAGS)
    )
    return _TEMPLATE.format(
        front_matter=data.to_yaml(),
        name=config.name,
        scale_factor=config.scale_factor,
        flow_parameters=sum(size for name, size in sizes.items() if name.startswith("flow.")),
        encoder_parameters=sum(size for name, size in sizes.items() if name.startswith("encoder.")),
        num_levels=config.flow.num_levels,
        steps_per_level=config.flow.steps_per_level,
        conv_block=config.flow.conv_block,
        hidden_channels=config.flow.hidden_channels,
        temperature=config.default_temperature,
        license=metadata.license,
        provenance=metadata.provenance,
        details=f"\n{details.strip()}\n" if details else "",
    )
