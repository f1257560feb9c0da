"""`redact`: free text without names, dates, numbers and addresses of persons."""
