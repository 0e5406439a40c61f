"""How good a set of super-resolutions is: metrics, the protocol of the NTIRE challenges, and tables of results."""
