"""The parts of the page, one a module: components first, then their events."""
