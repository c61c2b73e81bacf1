"""A peer on Python's socket module alone: `vsock_peer.py echo-server PORT`, `vsock_peer.py echo-client CID PORT`.

The client sends standard input from a thread of its own, and writes what comes back to standard output.
"""

import shutil
import socket
import sys
import threading


def serve(port: int) -> None:
    """Echo, one peer after another."""
    listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listener.bind((socket.VMADDR_CID_ANY, port))
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)


def ask(cid: int, port: int) -> None:
    """Send standard input, and write what comes back."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as connection:
        connection.connect((cid, port))

        def send() -> None:
            with connection.makefile("wb") as stream:
                shutil.copyfileobj(sys.stdin.buffer, stream)
            connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=send, daemon=True).start()
        while data := connection.recv(65536):
            sys.stdout.buffer.write(data)


if sys.argv[1] == "echo-server":
    serve(int(sys.argv[2]))
else:
    ask(int(sys.argv[2]), int(sys.argv[3]))
