"""The page to explore super-resolutions with."""
