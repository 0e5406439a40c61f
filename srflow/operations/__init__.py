"""Operations as values: a picture is a draw and the operations on it, and the same list draws it again.

    draw      a sample: seed, index, temperature                          (every list begins with one)
    reroll    new noise in a region
    mix       part of the way to another sample or list, everywhere or in a region
    heat      another temperature, everywhere or in a region
    slide     towards a mixture of rolls of a region
    given     latents as numbers: those of a region that was edited, or got other grain

After each of them except `given`, the latents are standard normal before temperature. `field` defines the effect of a
list on the latents, `srflow.sampling.retouching` that on the picture; nothing else here needs torch.
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
