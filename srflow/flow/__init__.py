"""The invertible part of the model, one idea per file. It uses only tensors; it knows no pictures, files or devices."""
