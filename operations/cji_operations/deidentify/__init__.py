"""`deidentify`: one transform for each column, small classes, the token map."""
