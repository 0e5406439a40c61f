"""Steering a picture: wishes for a region, edits and their verdicts, and candidates for what a region shows."""
