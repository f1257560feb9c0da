"""The worker's image: how it is built, and what a machine measures that boots it. docs/image.md explains it."""
