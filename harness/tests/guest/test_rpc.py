import os
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from groundup_guest import rpc
from groundup_guest.rpc import CallTimeoutError, Channel, ChannelClosedError, Decoder, ProtocolError, RpcError, encode


def test_messages_come_out_as_they_went_in_however_they_are_cut() -> None:
    sent = [({"id": 1, "method": "a", "params": {"text": "ä\n"}}, b""), ({"id": 2}, b"\n{}\x00raw"), ({"id": 3}, b"")]
    stream = b"".join(encode(body, payload) for body, payload in sent) + b"\n"
    for size in (1, 2, 7, len(stream)):
        decoder = Decoder()
        messages = [message for at in range(0, len(stream), size) for message in decoder.feed(stream[at : at + size])]
        assert [message.payload for message in messages] == [payload for _, payload in sent]
        assert [message.body["id"] for message in messages] == [1, 2, 3]
        assert messages[1].body["bytes"] == 7


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"nonsense\n", "not JSON"),
        (b"[1]\n", "not an object"),
        (b'{"bytes":-1}\n', "payload's size is -1"),
        (b'{"bytes":true}\n', "payload's size is True"),
        (b'{"bytes":1e9}\n', "payload's size"),
        (b'{"bytes":101}\n', "from 0 to 100"),
        (b"[" * 300, "longer than 200 bytes"),
        (b"{" + b" " * 300 + b"}\n", "longer than 200 bytes"),
        (b'{"a":' * 38 + b"\n", "not JSON"),
        (b'"\xff"\n', "not JSON"),
    ],
)
def test_what_is_not_the_protocol_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Decoder(max_line=200, max_payload=100).feed(data)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with Channel(ours.detach()) as channel, theirs:
        yield channel, theirs


def test_a_call_finds_its_answer_among_others(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(
        encode({"id": 99, "result": {}}) + encode({"method": "note"}) + encode({"id": 1, "result": 5}, b"pay")
    )
    answer = channel.call("m", {"x": 1}, b"load", timeout=1)
    assert (answer.body["result"], answer.payload) == (5, b"pay")
    (sent,) = Decoder().feed(other.recv(4096))
    assert (sent.body["method"], sent.body["params"], sent.payload) == ("m", {"x": 1}, b"load")


def test_an_error_answer_is_raised(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(encode(rpc.failure(1, "two\nlines", -5)))
    with pytest.raises(RpcError, match="two lines") as caught:
        channel.call("m", {}, timeout=1)
    assert caught.value.code == -5


def test_a_call_without_an_answer_times_out_and_the_late_answer_is_dropped(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, other = ends
    with pytest.raises(CallTimeoutError, match="m: no answer"):
        channel.call("m", {}, timeout=0.01)
    other.sendall(encode({"id": 1, "result": "late"}) + encode({"id": 2, "result": "now"}))
    assert channel.call("m", {}, timeout=1).body["result"] == "now"


def test_a_closed_channel_is_said(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(encode({"id": 7}))
    other.close()
    assert channel.receive().body == {"id": 7}
    with pytest.raises(ChannelClosedError):
        channel.receive()


def test_what_is_larger_than_the_socket_buffer_goes_through(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    payload = os.urandom(1 << 21)
    thread = threading.Thread(target=channel.send, args=({"id": 1}, payload))
    thread.start()
    decoder = Decoder()
    messages: list[rpc.Message] = []
    while not messages:
        messages += decoder.feed(other.recv(1 << 16))
    thread.join()
    assert messages[0].payload == payload


def test_a_port_whose_host_has_gone_is_waited_on_without_spinning() -> None:
    """Such a socket reads as end-of-file at once, as a virtio-serial port without a host does."""
    ours, theirs = socket.socketpair()
    theirs.shutdown(socket.SHUT_WR)  # ours now reads as end-of-file, for ever
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with Channel(ours.detach(), reconnects=True) as channel, theirs:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            channel.receive(began + 0.2)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 0.1


def test_a_port_is_found_by_its_name(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(FileNotFoundError, match="no virtio-serial port is named x"):
        rpc.open_port("x", root=os.fspath(tmp_path))
    with pytest.raises(FileNotFoundError, match="no virtio-serial port"):
        rpc.open_port("x", root="/nonexistent")
