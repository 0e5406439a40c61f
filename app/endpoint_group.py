"""A base class for groups of endpoints: it holds the engine, runs a call, and builds the endpoints when created."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from srflow.contract import Engine

__all__ = ["EndpointGroup"]


class EndpointGroup(ABC):
    """Endpoints of one subject, created by `app.endpoints.Endpoints`.

    Args:
        engine: the engine.
        call: runs a call, see `Endpoints`.
        options: for every endpoint's event.
    """

    def __init__(self, engine: Engine, call: Callable[..., Iterator[Any]], options: Mapping[str, Any]) -> None:
        self._engine, self._call = engine, call
        self._build(options)

    @abstractmethod
    def _build(self, options: Mapping[str, Any]) -> None:
        """Build the endpoints and their hidden components."""
