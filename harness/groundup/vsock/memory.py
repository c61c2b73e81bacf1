"""A guest's memory, mapped into this process from the descriptors that vhost-user hands over.

Source: QEMU's vhost-user document, "Memory regions description" and "Memory access". A region has two names for the
same bytes: a guest address, which descriptors use, and a user address, which ring addresses use.

Access goes through the mapping objects themselves, `mapping[a:b]` and `struct` at an offset: a mapping cannot be
unmapped while somebody holds a memoryview of it.

What is not guarded against: a front-end that truncates the file after it was mapped. Touching the missing pages is a
SIGBUS, as for every vhost-user back-end. The guest cannot do it, and QEMU is ours.
"""

import mmap
import os
import stat
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_REGIONS: Final = 8
_ADDRESSES: Final = 1 << 64


class MemoryFaultError(Exception):
    """An address outside of the guest's memory. The message is one line."""


class RegionSpec(NamedTuple):
    """A region as the message describes it: guest address, bytes, user address, and where in the file it begins."""

    guest: int
    size: int
    user: int
    offset: int


REGION: Final = struct.Struct("@QQQQ")


class _Region(NamedTuple):
    guest: int
    user: int
    size: int
    mapping: mmap.mmap
    base: int  # where in the mapping the region begins


class GuestMemory:
    """The mapped regions of one guest. `close` unmaps them."""

    def __init__(self, specs: Sequence[RegionSpec], fds: Sequence[int]) -> None:
        """Map every region from its descriptor, which stays the caller's to close.

        Raises MemoryFaultError where a region makes no sense or cannot be mapped; nothing stays mapped then.
        """
        self._regions: list[_Region] = []
        if len(specs) != len(fds):
            raise MemoryFaultError(f"{len(specs)} memory regions came with {len(fds)} descriptors")
        try:
            for spec, fd in zip(specs, fds, strict=True):
                self._regions.append(_map(spec, fd))
        except MemoryFaultError:
            self.close()
            raise

    def at_guest(self, address: int, length: int) -> tuple[mmap.mmap, int]:
        """Return the mapping and the offset in it of `length` bytes at a guest address; one region must hold them all.

        Raises MemoryFaultError. Python's integers do not wrap, so an address near 2**64 is merely outside.
        """
        for region in self._regions:
            at = address - region.guest
            if at >= 0 and at + length <= region.size:
                return region.mapping, region.base + at
        raise MemoryFaultError(f"address {address:#x} with {length} bytes lies outside of the guest's memory")

    def at_user(self, address: int, length: int) -> tuple[mmap.mmap, int]:
        """Do the same for a user address."""
        for region in self._regions:
            at = address - region.user
            if at >= 0 and at + length <= region.size:
                return region.mapping, region.base + at
        raise MemoryFaultError(f"user address {address:#x} with {length} bytes lies outside of the guest's memory")

    def close(self) -> None:
        """Unmap everything. May be called again."""
        while self._regions:
            self._regions.pop().mapping.close()


def _map(spec: RegionSpec, fd: int) -> _Region:
    """Map one region. mmap(2) wants a page boundary, so the mapping may begin before the region."""
    if spec.size == 0 or max(spec.guest, spec.user, spec.offset) + spec.size > _ADDRESSES:
        raise MemoryFaultError(f"memory region of {spec.size} bytes at {spec.guest:#x} is empty or wraps around")
    base = spec.offset % mmap.ALLOCATIONGRANULARITY
    try:
        status = os.fstat(fd)
        # Only a regular file (memfd, tmpfs, hugetlbfs are such) has a size against which the region can be checked.
        if not stat.S_ISREG(status.st_mode) or spec.offset + spec.size > status.st_size:
            raise MemoryFaultError(f"memory region of {spec.size} bytes at {spec.guest:#x} is larger than its file")
        mapping = mmap.mmap(fd, base + spec.size, offset=spec.offset - base)
    except (OSError, OverflowError, ValueError) as error:
        raise MemoryFaultError(
            f"memory region of {spec.size} bytes at {spec.guest:#x} cannot be mapped: {error}"
        ) from error
    return _Region(spec.guest, spec.user, spec.size, mapping, base)
