"""A machine in QEMU that boots the worker's image: what starts it, what is added to it, what runs inside."""
