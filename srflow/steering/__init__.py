"""Steering a picture: wishes about a place, edits and what becomes of them, candidates that may or may not be there."""
