"""One folder for each operation; they do not import each other."""
