"""Tests of the linked viewer: in a browser, its pure parts by node, and the messages it gets."""
