"""The command line: `python -m srflow COMMAND`. Each command is a module; this one calls it and formats its errors."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from srflow import __version__
from srflow.contract import SRFlowError
from srflow.extras import describe_missing

__all__ = ["main"]

_COMMANDS = ("info", "sample", "measure", "families", "replay", "encode", "convert", "train", "evaluate", "calibrate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, or 2 for an error that the caller can fix (one line on stderr)."""
    parser = argparse.ArgumentParser(prog="srflow", description="Look into the space of super-resolutions.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {name: importlib.import_module(f"srflow.cli.{name}") for name in _COMMANDS}
    for name, module in modules.items():
        module.add_arguments(subparsers.add_parser(name, help=module.HELP, description=module.HELP))
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsed, rest = parser.parse_known_args(words)
    parsed.words = words
    if hasattr(parsed, "overrides") and not any(word.startswith("-") for word in rest):
        parsed.overrides += rest  # argparse accepts overrides directly after the recipe, but not after options
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return modules[parsed.command].run(parsed)
    except SRFlowError as error:
        print(f"srflow {parsed.command}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (missing := describe_missing(error)) is None:
            raise
        print(f"srflow {parsed.command}: {missing}", file=sys.stderr)
        return 2
    except OSError as error:  # of a disk or a folder; errors of a picture or a checkpoint have names
        place = f"{error.filename}: " if error.filename else ""
        print(f"srflow {parsed.command}: {place}{error.strerror or error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
