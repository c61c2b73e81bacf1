"""The used index as another process sees it, which is how a guest's processor does."""

import mmap
import os
import struct
import subprocess
import sys

from groundup.vsock.memory import GuestMemory, RegionSpec
from groundup.vsock.ring import Ring, RingAddresses

SIZE = 8
USED_INDEX = 1024 + 2
SEEN, STOP = 4096, 4100  # how many values the watcher has seen, and what tells it to end
ENOUGH = 30_000

WATCHER = """
import mmap, struct, sys
memory = mmap.mmap(int(sys.argv[1]), 8192)
index, seen_at, stop = map(int, sys.argv[2:])
read = struct.Struct("@H").unpack_from
last = seen = zeros = 0
while not memory[stop]:
    now = read(memory, index)[0]
    if now != last:
        last = now
        seen += 1
        zeros += now == 0
        memory[seen_at : seen_at + 4] = seen.to_bytes(4, "little")
print(zeros)
"""


def test_the_used_index_is_stored_in_one_piece():
    """`struct.pack_into` zeroes the place before it writes there: a driver that looked just then would see a zero."""
    fd = os.memfd_create("ring")
    os.ftruncate(fd, 8192)
    memory = GuestMemory([RegionSpec(0, 8192, 0, 0)], [fd])
    ring = Ring(memory, SIZE, RingAddresses(0, 1024, 2048), 0)
    argv = [sys.executable, "-c", WATCHER, *map(str, (fd, USED_INDEX, SEEN, STOP))]
    with mmap.mmap(fd, 8192) as own:
        watcher = subprocess.Popen(argv, pass_fds=[fd], stdout=subprocess.PIPE, text=True)
        while struct.unpack_from("<I", own, SEEN)[0] < ENOUGH and watcher.poll() is None:
            ring.give_back(0, 0)
            if ring._next_used == 0xFFFF:
                ring._next_used = 0  # go on with 1: a zero is never stored
        own[STOP] = 1
        assert watcher.communicate()[0] == "0\n"
    ring.close()
    memory.close()
    os.close(fd)
