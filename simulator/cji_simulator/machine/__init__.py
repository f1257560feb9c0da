"""The worker's image in QEMU, with the simulation's vTPM: firmware, disks, a running machine, and what it measured.

For `cji-simulator image` and the tests of the image. `units`, `inside`, `worker_inside` and `broker_inside` bring the
simulation into the machine: all but the first are files that Python of the image runs there.
"""
