"""Tests of the vsock switch. The other sides, QEMU and a guest's driver, are played in Python: see `driver`."""
