"""The weights of red, green and blue in brightness, for all measurements of it."""

from __future__ import annotations

import numpy as np

__all__ = ["LUMA"]

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""
