"""The server machine's devices: a test may take them away for a while, to see what a program makes of it."""

import fcntl
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from groundup_guest.programs import ProgramError

INTERFACES = ("eth0", "eth1", "lo")
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
IFREQ = struct.Struct("16sH14x")  # struct ifreq: name, flags

VSOCK = Path("/dev/vsock")
VSOCK_DRIVER = Path("/sys/bus/virtio/drivers/vmw_vsock_virtio_transport")
VSOCK_ID = "0x0013"  # virtio 1.2, section 5.10.1: device ID 19
WAIT_SECONDS = 5.0


class Devices:
    """Methods of the protocol; see the agent."""

    def network(self, *, present: bool) -> dict[str, Any]:
        """Take every network interface down, or up again; their addresses stay."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for name in INTERFACES:
                # Without this an interface that goes down forgets its IPv6 addresses.
                Path(f"/proc/sys/net/ipv6/conf/{name}/keep_addr_on_down").write_text("1")
                request = IFREQ.pack(name.encode(), 0)
                _, flags = IFREQ.unpack(fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
                flags = flags | IFF_UP if present else flags & ~IFF_UP
                fcntl.ioctl(any_socket, SIOCSIFFLAGS, IFREQ.pack(name.encode(), flags))
        return {}

    def vsock_device(self, *, present: bool) -> dict[str, Any]:
        """Take the vsock device from its driver, or give it back. Connections over it end with a reset."""
        device = self._find()
        bound = (VSOCK_DRIVER / device).exists()
        if bound != present:
            (VSOCK_DRIVER / ("bind" if present else "unbind")).write_text(device)
        return {}

    def _find(self) -> str:
        """Return the name of the vsock device. It was plugged in a moment ago: the kernel may still look at it."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            for device in Path("/sys/bus/virtio/devices").iterdir():
                if (device / "device").read_text().strip() == VSOCK_ID:
                    return device.name
            if time.monotonic() > until:
                raise ProgramError("this machine has no vsock device")
            time.sleep(0.01)


def open_to_all() -> None:
    """Let every user open /dev/vsock, as udev does where there is one (its rule says mode 0666)."""
    if VSOCK.exists():
        os.chmod(VSOCK, 0o666)  # noqa: PTH101
