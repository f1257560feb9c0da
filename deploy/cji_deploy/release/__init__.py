"""A software release: the files beside its packages and its image, and the statement about all of them for the log."""
