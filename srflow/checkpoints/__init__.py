"""Checkpoints on disk: our own format (`own`) and the files of the released networks (`released`)."""
