"""Bars about the mean of samples that hold the truth as often as they promise: the mathematics, and the file."""
