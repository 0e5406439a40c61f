"""Check a small picture file, sent by the browser, that shows what a region may contain."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from srflow.contract import InputError
from srflow.errors import brief

__all__ = ["MAX_BYTES", "CandidateFile", "is_file", "parse_file"]

MAX_BYTES = 2 * 2**20
"""Of a file; a place has at most 384 pixels a side. candidatefiles.js says the same."""

_MAX_NAME = 100


@dataclass(frozen=True)
class CandidateFile:
    """name: what the visitor calls it. content: of the file, which nobody has looked into yet."""

    name: str
    content: bytes = field(repr=False)


def is_file(value: Any) -> bool:
    """Whether it is meant to be one."""
    return isinstance(value, dict) and "file" in value


def parse_file(value: Any) -> CandidateFile:
    """Read {"name", "file"}, the file in base64, trusting nothing. Raises: InputError: it is none, or too large."""
    if not isinstance(value, dict) or set(value) != {"name", "file"}:
        raise InputError(f"A file to try is a name and its content; got {brief(value)}.")
    name, text = value["name"], value["file"]
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME:
        raise InputError(f"The name of a file is a text of 1 to {_MAX_NAME} characters; got {brief(name)}.")
    if not isinstance(text, str) or not text:
        raise InputError(f"“{name}” came without its content. Please add it again.")
    if len(text) > -(-MAX_BYTES // 3) * 4:
        raise InputError(f"“{name}” is larger than {MAX_BYTES // 2**20} MB. Crop it to what the region may show.")
    try:
        return CandidateFile(name, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InputError(f"“{name}” did not come in whole. Please add it again.") from error
