"""Picture files as people have them: reading any kind as sRGB, writing PNGs, and what lies in a folder.

Nothing here imports torch. `reading` is the one door in, `writing` the one door out, `folders` says which files of a
folder are meant.
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
