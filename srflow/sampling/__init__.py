"""Sampling with a trained model: everything between a picture and its super-resolutions."""
