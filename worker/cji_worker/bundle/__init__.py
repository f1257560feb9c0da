"""A machine takes its configuration: fetch a bundle, measure it, put it in force."""
