"""The page for exploring super-resolutions."""
