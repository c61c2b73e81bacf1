"""The messages of the vhost-user protocol, and the socket they come over.

Source: QEMU's document "Vhost-user Protocol" (docs/interop/vhost-user.rst); names, numbers and terms are its. The
front-end is QEMU, the back-end is this program. All numbers are in the byte order of the machine.
"""

import array
import os
import socket
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from groundup.vsock.memory import MAX_REGIONS


class Request(IntEnum):
    """Requests of the front-end ("Front-end message types")."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_LOG_BASE = 6
    SET_LOG_FD = 7
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    IOTLB_MSG = 22
    GET_CONFIG = 24
    SET_CONFIG = 25
    CREATE_CRYPTO_SESSION = 26
    POSTCOPY_ADVISE = 28
    POSTCOPY_END = 30
    GET_INFLIGHT_FD = 31
    GET_MAX_MEM_SLOTS = 36
    GET_STATUS = 40


OWN_REPLY: Final = frozenset(
    {
        Request.GET_FEATURES,
        Request.GET_PROTOCOL_FEATURES,
        Request.GET_QUEUE_NUM,
        Request.GET_VRING_BASE,
        Request.GET_CONFIG,
        Request.IOTLB_MSG,
        Request.CREATE_CRYPTO_SESSION,
        Request.POSTCOPY_ADVISE,
        Request.POSTCOPY_END,
        Request.GET_INFLIGHT_FD,
        Request.GET_MAX_MEM_SLOTS,
        Request.GET_STATUS,
    }
)
"""Requests that are answered with a body of their own, so an acknowledgement is no answer to them."""

# Feature bits of the device (virtio 1.2, sections 6 and 5.10.3) and of the protocol ("Protocol features").
F_SEQPACKET: Final = 1 << 1
F_PROTOCOL_FEATURES: Final = 1 << 30
F_VERSION_1: Final = 1 << 32
PROTOCOL_F_MQ: Final = 1 << 0
PROTOCOL_F_REPLY_ACK: Final = 1 << 3
PROTOCOL_F_CONFIG: Final = 1 << 9

VERSION: Final = 1
FLAG_VERSION_MASK: Final = 3
FLAG_REPLY: Final = 1 << 2
FLAG_NEED_REPLY: Final = 1 << 3

VRING_INDEX_MASK: Final = 0xFF
VRING_NO_FD: Final = 1 << 8

HEADER: Final = struct.Struct("@III")
U64: Final = struct.Struct("@Q")
VRING_STATE: Final = struct.Struct("@II")
VRING_ADDRESS: Final = struct.Struct("@IIQQQQ")
MEMORY_TABLE: Final = struct.Struct("@II")
CONFIG: Final = struct.Struct("@III")

MAX_BODY: Final = 512
"""More than any message has that is negotiated here: a table of 8 regions takes 264 bytes, a full config space 268."""


class ProtocolError(Exception):
    """The front-end broke the protocol: the connection cannot go on. The message is one line."""


class RefusedError(Exception):
    """A request cannot be fulfilled; the acknowledgement, if one is wanted, says failure. The message is one line."""


@dataclass(slots=True)
class Message:
    """A request. It owns the descriptors that came with it until they are taken; `close` closes the rest."""

    request: int
    flags: int = 0
    body: bytes = b""
    fds: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The request's name, or its number if it has none here."""
        try:
            return Request(self.request).name
        except ValueError:
            return f"request {self.request}"

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """Read the whole body. Raises ProtocolError where its size is wrong."""
        if len(self.body) != form.size:
            raise ProtocolError(f"{self.name} has {len(self.body)} bytes instead of {form.size}")
        return form.unpack(self.body)

    def u64(self) -> int:
        """Read a body of one 64-bit number."""
        return self.unpack(U64)[0]

    def take_fd(self) -> int:
        """Hand the only descriptor over to the caller. Raises ProtocolError where there is none, or more than one."""
        if len(self.fds) != 1:
            raise ProtocolError(f"{self.name} came with {len(self.fds)} descriptors instead of 1")
        return self.fds.pop()

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        while self.fds:
            os.close(self.fds.pop())


class Channel:
    """The back-end's end of the connection. It owns the socket, which it makes non-blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self._data = b""
        self._size = HEADER.size  # bytes of the message that are known to come
        self._fds: list[int] = []

    def receive(self) -> Message | None:
        """Read on, without blocking. Returns a message once it is whole, else None.

        Never reads past a message's end: descriptors belong to the bytes they came with. Raises ProtocolError for what
        is no message, EOFError at the end of the connection, OSError.
        """
        while len(self._data) < self._size:
            try:
                data = self._read(self._size - len(self._data))
            except BlockingIOError:
                return None
            if not data:
                raise EOFError
            self._data += data
            if len(self._data) == HEADER.size == self._size:
                self._size += self._check_header()
        request, flags, _ = HEADER.unpack_from(self._data)
        message = Message(request, flags, self._data[HEADER.size :], self._fds)
        self._data, self._size, self._fds = b"", HEADER.size, []
        return message

    def _check_header(self) -> int:
        """Return the size of the body that the header announces."""
        request, flags, size = HEADER.unpack(self._data)
        if flags & FLAG_VERSION_MASK != VERSION or flags & FLAG_REPLY:
            raise ProtocolError(f"request {request} has flags {flags:#x}: not a request of version {VERSION}")
        if size > MAX_BODY:
            raise ProtocolError(f"request {request} announces {size} bytes, more than {MAX_BODY}")
        return int(size)

    def _read(self, size: int) -> bytes:
        """Read at most `size` bytes, and keep the descriptors that come with them."""
        room = socket.CMSG_SPACE(MAX_REGIONS * array.array("i").itemsize)
        data, ancillary, flags, _ = self.sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
                self._fds.extend(fds)
        if flags & socket.MSG_CTRUNC or len(self._fds) > MAX_REGIONS:
            raise ProtocolError(f"a message came with more than {MAX_REGIONS} descriptors")
        return data

    def reply(self, request: int, body: bytes) -> None:
        """Answer a request. Raises ProtocolError where the front-end does not read its answers, OSError."""
        data = HEADER.pack(request, VERSION | FLAG_REPLY, len(body)) + body
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            raise ProtocolError("the front-end sends requests but does not read the answers")

    def close(self) -> None:
        """Close the socket, and the descriptors of a message that was never whole. May be called again."""
        while self._fds:
            os.close(self._fds.pop())
        self.sock.close()
