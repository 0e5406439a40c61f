"""Operations as values: a sample is a draw and what was done to it, and the same list draws it again.

    draw      a sample: seed, index, temperature                          (every list begins with one)
    reroll    new noise at a place
    mix       on the way to another sample or list, everywhere or at a place
    heat      another temperature, everywhere or at a place
    slide     towards a mixture of rolls of a place
    given     latents as numbers: those of a place that was edited, or got other grain

After every one but the last the latents are standard normal before temperature. What a list means to the latents is in
`field`, to the picture in `srflow.sampling.retouching`; nothing else here needs torch.
"""

from srflow.operations.base import RIGHT_ANGLE, Operation
from srflow.operations.draw import Draw
from srflow.operations.given import Given
from srflow.operations.heat import Heat
from srflow.operations.lists import (
    check_operations,
    count_whole,
    from_address,
    from_json,
    from_values,
    to_address,
    to_json,
    to_values,
)
from srflow.operations.masks import Box, Mask
from srflow.operations.mix import Mix, Sample
from srflow.operations.places import changed_place, flat_areas, uncertain_areas
from srflow.operations.reroll import Reroll
from srflow.operations.slide import Slide
from srflow.operations.words import brief_words, describe_difference, describe_list, place_words

__all__ = [
    "RIGHT_ANGLE",
    "Box",
    "Draw",
    "Given",
    "Heat",
    "Mask",
    "Mix",
    "Operation",
    "Reroll",
    "Sample",
    "Slide",
    "brief_words",
    "changed_place",
    "check_operations",
    "count_whole",
    "describe_difference",
    "describe_list",
    "flat_areas",
    "from_address",
    "from_json",
    "from_values",
    "place_words",
    "to_address",
    "to_json",
    "to_values",
    "uncertain_areas",
]
