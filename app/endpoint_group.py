"""What groups of endpoints share: the engine, how a call is carried out, and that they are built when they are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from srflow.contract import Engine

__all__ = ["EndpointGroup"]


class EndpointGroup(ABC):
    """Endpoints of one subject, as `app.endpoints.Endpoints`, which makes them.

    Args:
        engine: the engine.
        call: carries out a call, see `Endpoints`.
        options: of every endpoint's event.
    """

    def __init__(self, engine: Engine, call: Callable[..., Iterator[Any]], options: Mapping[str, Any]) -> None:
        self._engine, self._call = engine, call
        self._build(options)

    @abstractmethod
    def _build(self, options: Mapping[str, Any]) -> None:
        """Components, which are not shown, and the endpoints."""
