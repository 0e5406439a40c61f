"""Speed and memory, measured against a plain baseline in the same run. Not installed with the package."""
