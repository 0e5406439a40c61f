"""The invertible part: one idea a file. It knows tensors alone; no pictures, files or devices."""
