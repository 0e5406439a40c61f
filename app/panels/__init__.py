"""The panels of the page, one per module: components first, then their events."""
