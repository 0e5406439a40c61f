"""What commands share that take a picture or a folder of them: which files, and what the exit status tells."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["Inputs", "Outcome", "add_folder_arguments", "find_inputs", "print_line", "without_name"]


class Inputs:
    """The pictures that a command was given: `paths`, below `root`; `is_folder`: not a single file."""

    def __init__(self, paths: list[Path], root: Path, is_folder: bool) -> None:
        self.paths, self.root, self.is_folder = paths, root, is_folder


class Outcome:
    """Counts what worked. Exit status: 0, all; 1, some, or with something else than was asked for; 2, none."""

    def __init__(self) -> None:
        self.done = self.failed = self.doubtful = 0

    @property
    def status(self) -> int:
        """The exit status."""
        if self.failed and not self.done:
            return 2
        return 1 if self.failed or self.doubtful else 0

    def describe(self) -> str | None:
        """A closing line where not all went well; None: there is nothing to say."""
        if not self.failed:
            return None
        return f"{self.failed} of {self.failed + self.done} pictures failed; they are named above."


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --no-recursive."""
    parser.add_argument(
        "--no-recursive", action="store_true", help="of a folder: leave out the pictures in folders inside it"
    )


def find_inputs(
    given: Path,
    arguments: argparse.Namespace,
    exclude: Collection[Path] = (),
    say: Callable[[str], None] | None = None,
) -> Inputs:
    """The pictures of a folder, or the one file. What is left out of a folder is said in one line.

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
    """On stderr, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def without_name(error: Exception, path: Path) -> str:
    """An error's text, named once: messages on a file begin with its name as a rule."""
    text = str(error)
    return text if text.startswith((f"{path.name}:", f"{path}:", f"{path} ")) else f"{path.name}: {text}"
