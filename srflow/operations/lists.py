"""Lists of operations: the registry of all kinds, JSON in both directions, a short form for links, and limits."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from srflow.errors import OperationError, brief
from srflow.operations.base import Operation
from srflow.operations.draw import Draw
from srflow.operations.given import MAX_GIVEN, Given
from srflow.operations.heat import Heat
from srflow.operations.masks import MAX_RUNS
from srflow.operations.mix import Mix
from srflow.operations.reroll import Reroll
from srflow.operations.slide import Slide

__all__ = [
    "MAX_DEPTH",
    "MAX_NOISES",
    "MAX_OPERATIONS",
    "MAX_TEXT",
    "VERSION",
    "check_operations",
    "count_whole",
    "from_address",
    "from_json",
    "from_values",
    "to_address",
    "to_json",
    "to_values",
]

_KINDS: dict[str, type[Operation]] = {kind.name: kind for kind in (Draw, Reroll, Mix, Heat, Slide, Given)}

VERSION = 1

MAX_OPERATIONS = 256
"""Maximum number of operations in one list, including those of inner lists."""

MAX_NOISES = 2048
"""Maximum number of noises drawn for one list, including those of inner lists."""

MAX_DEPTH = 4
"""Maximum nesting of lists; the outermost is 1."""

MAX_TEXT = 4_000_000
"""Maximum length of the JSON, in characters."""

_MAX_ADDRESS = 1_000_000


def to_values(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return values for JSON: {"version": 1, "operations": [{"type": "draw", "seed": 0, …}, …]}."""
    return {"version": VERSION, "operations": [operation.to_values() for operation in operations]}


def from_values(values: object, *, complete: bool = True) -> tuple[Operation, ...]:
    """Read a list from the values of `to_values`, which may come from anywhere.

    Args: complete: whether the list begins with a draw; otherwise it is the part after one.
    Raises: OperationError: it is anything else, of another version, too long, or an operation is out of range.
    """
    if not isinstance(values, Mapping) or set(values) != {"version", "operations"}:
        raise OperationError('A list of operations must be {"version": 1, "operations": [ … ]} and nothing else.')
    version = values["version"]
    if type(version) is not int or version != VERSION:
        raise OperationError(f"The operations are of version {brief(version)}; this program reads {VERSION}.")
    left = MAX_OPERATIONS

    def read_list(entries: object, depth: int) -> tuple[Operation, ...]:
        nonlocal left
        if not isinstance(entries, list):
            raise OperationError(f"Operations must be a JSON list; got {type(entries).__name__}.")
        left -= len(entries)
        _check_bounds(left, depth)
        return tuple(_read(entry, lambda inner: read_list(inner, depth + 1)) for entry in entries)

    operations = read_list(values["operations"], 1)
    check_operations(operations, complete=complete)
    return operations


def _read(values: object, read_list: Any) -> Operation:
    name = values.get("type") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not isinstance(name, str) or name not in _KINDS:
        raise OperationError(
            f'An operation must be a JSON object whose "type" is one of {", ".join(_KINDS)}; got {brief(name)}.'
        )
    return _KINDS[name].from_values(values, read_list)


def check_operations(
    operations: Sequence[Operation], *, complete: bool = True, size: tuple[int, int] | None = None
) -> None:
    """Check whether a list can be carried out.

    Args:
        complete: as in `from_values`.
        size: height and width of the LR picture, which masks must have.

    Raises: OperationError: it cannot.
    """
    left, runs, noises, latents = MAX_OPERATIONS, MAX_RUNS, MAX_NOISES, MAX_GIVEN

    def check(entries: Sequence[Operation], complete: bool, depth: int) -> None:
        nonlocal left, runs, noises, latents
        left -= len(entries)
        _check_bounds(left, depth)
        for number, operation in enumerate(entries):
            if type(operation) not in _KINDS.values():
                raise OperationError(f"Operations must be values of srflow.operations; got {type(operation).__name__}.")
            if isinstance(operation, Draw) != (complete and number == 0):
                raise OperationError(
                    "A list of operations must begin with its only draw."
                    if complete
                    else (
                        "Operations after a draw must not contain another one. To start from another sample, "
                        "change seed or index."
                    )
                )
            mask = operation.place
            if size is not None and mask is not None and (mask.height, mask.width) != size:
                raise OperationError(
                    f"The mask of a {operation.name} is for a picture of {mask.width}x{mask.height}, but the LR "
                    f"picture is {size[1]}x{size[0]}."
                )
            runs -= 0 if mask is None else len(mask.runs) // 2
            if runs < 0:  # or their JSON could be too long to be read again
                raise OperationError(f"The masks have more than {MAX_RUNS} runs in total. Simplify them.")
            noises -= operation.num_noises
            if noises < 0:
                raise OperationError(
                    f"The operations mix more than {MAX_NOISES} noises in total. Remove some, or draw a new sample."
                )
            latents -= operation.num_latents
            if latents < 0:
                raise OperationError(
                    f"The operations contain more than {MAX_GIVEN} latents in total. Edit smaller regions, or fewer."
                )
            if operation.inner is not None:
                check(operation.inner, True, depth + 1)
        if complete and not entries:
            raise OperationError("There are no operations; a list must begin with a draw.")

    check(operations, complete, 1)


def _check_bounds(left: int, depth: int) -> None:
    if left < 0:
        raise OperationError(f"There are more than {MAX_OPERATIONS} operations. Remove some, or draw a new sample.")
    if depth > MAX_DEPTH:
        raise OperationError(f"Lists of operations are nested more than {MAX_DEPTH} levels deep. Simplify them.")


def count_whole(operations: Sequence[Operation]) -> int:
    """Return the number of operations up to the last one on the whole picture; those after it act on regions."""
    return max((number for number, operation in enumerate(operations, 1) if operation.place is None), default=0)


def to_json(operations: Sequence[Operation]) -> str:
    """Return the list as one line of JSON."""
    return json.dumps(to_values(operations), separators=(",", ":"))


def from_json(text: str, *, complete: bool = True) -> tuple[Operation, ...]:
    """Read a list from JSON. Raises: OperationError: see `from_values`; or it is not JSON, or too long."""
    if len(text) > MAX_TEXT:
        raise OperationError(f"The operations have {len(text)} characters; the maximum is {MAX_TEXT}.")
    try:
        values = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, OperationError):
            raise
        raise OperationError(f"The operations are not valid JSON ({error}).") from error
    return from_values(values, complete=complete)


def _refuse_constant(name: str) -> None:
    raise OperationError(f"The operations contain {name}, which is not a number.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise OperationError("A JSON object of the operations names a field twice.")
    return values


def to_address(operations: Sequence[Operation]) -> str:
    """Return a short form for links, with letters, digits, - and _ only: zlib of the JSON, in base64url."""
    packed = zlib.compress(to_json(operations).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_address(text: str, *, complete: bool = True) -> tuple[Operation, ...]:
    """Read a list from the short form. Raises: OperationError: see `from_json`; or the text is damaged or too long."""
    if len(text) > _MAX_ADDRESS:
        raise OperationError(
            f"The address of the operations has {len(text)} characters; the maximum is {_MAX_ADDRESS}."
        )
    try:
        packed = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(packed, MAX_TEXT + 1)
        if len(unpacked) <= MAX_TEXT and not unpacker.eof:
            raise OperationError("The address of the operations is cut off. Copy the whole address.")
        json_text = unpacked.decode()
    except (binascii.Error, zlib.error, UnicodeError) as error:
        raise OperationError("The address of the operations is damaged. Copy the whole address.") from error
    return from_json(json_text, complete=complete)
