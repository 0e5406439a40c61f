"""Calibrated bars about the mean of samples, which contain the truth as often as promised: the mathematics, and the
file.
"""
