"""Picture files: reading any common kind as sRGB, writing PNGs, and finding pictures in a folder.

Nothing here imports torch. All reading goes through `reading`, all writing through `writing`; `folders` decides which
files of a folder are used.
"""

from srflow.contract import Metadata, Picture
from srflow.pictures.folders import Listing, find_pictures, list_images
from srflow.pictures.kinds import SUFFIXES
from srflow.pictures.png import png_bits
from srflow.pictures.reading import MAX_PIXELS, load_image, read_picture, read_png_text
from srflow.pictures.writing import save_png

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Listing",
    "Metadata",
    "Picture",
    "find_pictures",
    "list_images",
    "load_image",
    "png_bits",
    "read_picture",
    "read_png_text",
    "save_png",
]
