"""Facts about a model's weights besides their values."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Metadata"]


@dataclass(frozen=True)
class Metadata:
    """Licence, origin and identity of a model's weights, stored with them.

    license: an SPDX identifier in lower case, as on the Hub.
    provenance: where they come from, as text for people.
    weights_sha256: of the weights file last loaded or saved, so that a picture can name its weights; None for weights
        that were never saved.
    """

    license: str = "apache-2.0"
    provenance: str = "Randomly initialised; not trained."
    weights_sha256: str | None = None
