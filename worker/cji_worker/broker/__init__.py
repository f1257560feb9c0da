"""The broker: the one process of a machine that reaches Azure's metadata service, and gives each other its own."""
