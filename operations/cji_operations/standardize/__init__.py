"""`standardize`: values in one form, before they are linked."""
