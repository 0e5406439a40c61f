"""Scores of super-resolutions: metrics, the protocol of the NTIRE challenges, and tables of results."""
