"""The common part of commands that take a picture or a folder of pictures: which files, and the exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["Inputs", "Outcome", "add_folder_arguments", "find_inputs", "print_line", "without_name"]


class Inputs:
    """The pictures that a command was given. paths: below `root`. is_folder: whether it is not a single file."""

    def __init__(self, paths: list[Path], root: Path, is_folder: bool) -> None:
        self.paths, self.root, self.is_folder = paths, root, is_folder


class Outcome:
    """Counts successes and failures. Exit status: 0, all; 1, some, or with another result than requested; 2, none."""

    def __init__(self) -> None:
        self.done = self.failed = self.doubtful = 0

    @property
    def status(self) -> int:
        """The exit status."""
        if self.failed and not self.done:
            return 2
        return 1 if self.failed or self.doubtful else 0

    def describe(self) -> str | None:
        """Return a closing line if not everything succeeded; None: there is nothing to say."""
        if not self.failed:
            return None
        return f"{self.failed} of {self.failed + self.done} pictures failed; they are named above."


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --no-recursive."""
    parser.add_argument("--no-recursive", action="store_true", help="leave out pictures in subfolders")


def find_inputs(
    given: Path,
    arguments: argparse.Namespace,
    exclude: Collection[Path] = (),
    say: Callable[[str], None] | None = None,
) -> Inputs:
    """Return the pictures of a folder, or the one file. Files that are left out of a folder are reported in one line.

    Raises: DatasetError: there is no picture in the folder.
    """
    from srflow.pictures import find_pictures

    if not given.is_dir():
        return Inputs([given], given.parent, False)
    listing = find_pictures(given, recursive=not arguments.no_recursive, exclude=exclude)
    line = listing.describe_left_out()
    if line is not None:
        (say or print_line)(line)
    return Inputs(list(listing.pictures), given, True)


def print_line(text: str) -> None:
    """Print on stderr, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def without_name(error: Exception, path: Path) -> str:
    """Return an error's text without the file name at its beginning, which the caller adds itself."""
    text = str(error)
    return text if text.startswith((f"{path.name}:", f"{path}:", f"{path} ")) else f"{path.name}: {text}"
