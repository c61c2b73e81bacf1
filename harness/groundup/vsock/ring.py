"""The device's side of a split virtqueue. Source: virtio 1.2, section 2.7.

The driver side is a guest, and the guest may be hostile: root in the server machine belongs to the student. So every
number read from shared memory is read once, into a Python integer, and checked before it is used; what breaks the rules
raises RingError, upon which the caller stops this guest's device and nothing else.

Memory order. Each location has one writer: the driver writes descriptors and the available ring, we write the used
ring. An x86-64 host keeps loads in order with loads and stores with stores, and CPython executes accesses to a mapping
as they are written down; so "entry, then index" when giving back and "index, then entry" when taking need no barrier.
An index must be stored in one piece, though, and `struct.pack_into` does not do that: it zeroes the place first, which
a driver on another processor does get to see. A memoryview of 16-bit items does: two aligned bytes, one move (`_Word`).
The one thing x86 does reorder is a store with a later load, and there is one place where that matters: the used index
is stored, then the driver's wish for interrupts is loaded (`wants_interrupt`). A driver that goes to sleep does the
opposite, and each could miss what the other stored. There a lock is taken: CPython does that with an atomic
read-modify-write, which on x86 is a full fence. (A weakly ordered host would need fences that Python does not have.)
"""

import mmap
import struct
import threading
from typing import Final, NamedTuple

from groundup.vsock.memory import GuestMemory, MemoryFaultError

MAX_SIZE: Final = 1024
"""The largest queue: what QEMU allows (VIRTQUEUE_MAX_SIZE); it also bounds the work that one chain can cause."""

_NEXT, _WRITE, _INDIRECT = 1, 2, 4  # section 2.7.5, flags of a descriptor
_NO_INTERRUPT = 1  # section 2.7.6, flag of the available ring
_U16: Final = struct.Struct("@H")
_DESCRIPTOR: Final = struct.Struct("<QIHH")
_USED: Final = struct.Struct("@II")
_WRAP: Final = 0xFFFF
_FENCE: Final = threading.Lock()


class RingError(Exception):
    """The driver broke the rules of the ring. The message is one line."""


class Span(NamedTuple):
    """A buffer in guest memory: `length` bytes at `offset` of `mapping`, checked to lie inside."""

    mapping: mmap.mmap
    offset: int
    length: int


class _Word:
    """Two bytes of shared memory that are stored at once."""

    def __init__(self, mapping: mmap.mmap, offset: int) -> None:
        whole = memoryview(mapping)
        part = whole[offset : offset + 2]
        self._word = part.cast("H")
        self._views = (self._word, part, whole)

    def store(self, value: int) -> None:
        self._word[0] = value

    def release(self) -> None:
        """Let go of the mapping, which cannot be closed before. May be called again."""
        for view in self._views:
            view.release()


class RingAddresses(NamedTuple):
    """Where the three parts of a ring are, as user addresses (vhost-user, "A vring address description")."""

    descriptors: int
    used: int
    available: int


class Ring:
    """One ring in guest memory, as the device sees it. `close` it before the memory."""

    def __init__(self, memory: GuestMemory, size: int, addresses: RingAddresses, base: int) -> None:
        """Find the ring in `memory`. `base` is the available index to go on from.

        Raises RingError where a part lies outside of memory or is not aligned (section 2.7: 16, 2 and 4 bytes).
        """
        if not 0 < size <= MAX_SIZE or size & (size - 1):
            raise RingError(f"queue size {size} is not a power of two up to {MAX_SIZE}")
        self.size = size
        self.next_available = base
        self._memory = memory
        self._table, self._table_at = _part(memory, "descriptor table", addresses.descriptors, 16 * size, 16)
        self._available, self._available_at = _part(memory, "available ring", addresses.available, 4 + 2 * size, 2)
        self._used, self._used_at = _part(memory, "used ring", addresses.used, 4 + 8 * size, 4)
        # Kept by ourselves from here on: what the guest writes into our index does not matter.
        self._next_used: int = _U16.unpack_from(self._used, self._used_at + 2)[0]
        self._used_index = _Word(self._used, self._used_at + 2)

    def waiting(self) -> int:
        """Return how many chains the driver has made available. Raises RingError for more than there can be."""
        index: int = _U16.unpack_from(self._available, self._available_at + 2)[0]
        count = (index - self.next_available) & _WRAP
        if count > self.size:
            raise RingError(f"available index {index} is {count} ahead, more than the queue's {self.size}")
        return count

    def take(self, *, writable: bool) -> tuple[int, list[Span]]:
        """Take the next available chain, all of whose buffers must be for the device to write, or all to read.

        Call only after `waiting` said that there is one. Returns the chain's head, to be given back by `give_back`,
        and its buffers. Raises RingError.
        """
        slot = self._available_at + 4 + 2 * (self.next_available & (self.size - 1))
        head: int = _U16.unpack_from(self._available, slot)[0]
        self.next_available = (self.next_available + 1) & _WRAP
        spans: list[Span] = []
        index = head
        while True:
            if index >= self.size:
                raise RingError(f"descriptor {index} is outside of a table of {self.size}")
            if len(spans) == self.size:
                raise RingError(f"chain from descriptor {head} has a loop")
            address, length, flags, following = _DESCRIPTOR.unpack_from(self._table, self._table_at + 16 * index)
            if flags & _INDIRECT:
                raise RingError(f"descriptor {index} is indirect, which was not negotiated")
            if bool(flags & _WRITE) is not writable:
                wrong = "read, in a queue to write to" if writable else "write, in a queue to read from"
                raise RingError(f"descriptor {index} is for the device to {wrong}")
            if length == 0:
                raise RingError(f"descriptor {index} has no bytes")
            try:
                mapping, offset = self._memory.at_guest(address, length)
            except MemoryFaultError as error:
                raise RingError(f"descriptor {index}: {error}") from error
            spans.append(Span(mapping, offset, length))
            if not flags & _NEXT:
                return head, spans
            index = following

    def give_back(self, head: int, written: int) -> None:
        """Return a chain to the driver, with the number of bytes written to it (section 2.7.8)."""
        slot = self._used_at + 4 + 8 * (self._next_used & (self.size - 1))
        _USED.pack_into(self._used, slot, head, written)
        self._next_used = (self._next_used + 1) & _WRAP
        self._used_index.store(self._next_used)

    def wants_interrupt(self) -> bool:
        """Say whether the driver asks to be told of what was given back (section 2.7.7)."""
        with _FENCE:  # our index must be visible before the wish is read: see the module's text
            pass
        return not _U16.unpack_from(self._available, self._available_at)[0] & _NO_INTERRUPT

    def close(self) -> None:
        """Let go of the memory. May be called again."""
        self._used_index.release()


def _part(memory: GuestMemory, name: str, address: int, length: int, alignment: int) -> tuple[mmap.mmap, int]:
    """Find one part of a ring."""
    try:
        mapping, offset = memory.at_user(address, length)
    except MemoryFaultError as error:
        raise RingError(f"{name}: {error}") from error
    if offset % alignment:  # a mapping begins on a page, so its offsets are aligned as the addresses are
        raise RingError(f"{name} at {address:#x} is not aligned to {alignment} bytes")
    return mapping, offset


def gather(spans: list[Span], limit: int) -> bytes:
    """Copy at most `limit` bytes of what is in a chain; it may name the same memory many times over."""
    pieces: list[bytes] = []
    for mapping, offset, length in spans:
        piece = mapping[offset : offset + min(length, limit)]
        pieces.append(piece)
        limit -= len(piece)
        if limit == 0:
            break
    return b"".join(pieces)


def scatter(spans: list[Span], data: bytes) -> None:
    """Copy `data` into a chain. The caller has seen to it that there is room."""
    at = 0
    for mapping, offset, length in spans:
        piece = data[at : at + length]
        mapping[offset : offset + len(piece)] = piece
        at += length
        if at >= len(data):
            return
