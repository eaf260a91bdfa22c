"""Python's `websockets` as client against our echo server: python_client.py path/to/echo_server"""

import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import tell
from programs import SECONDS, serve

SIZES = [0, 125, 126, 65535, 65536, 1 << 20]


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: expected {str(wanted)[:60]!r}, got {str(got)[:60]!r}")


def closed_with(code, send, url):
    """Is closed by the server."""
    with connect(url) as socket:
        try:
            send(socket)
            socket.recv(SECONDS)
        except ConnectionClosed as closed:
            equal(closed.rcvd.code, code, "the close code")
        else:
            raise AssertionError("it was not closed")


def main():
    program = sys.argv[1]
    with serve(program, "--codec", "raw") as address:
        run(f"ws://{address}/any/path")
    with serve(program, "--codec", "raw", "--max-message", "1000") as address:
        tell.case("a message above the limit", closed_with, 1009, lambda socket: socket.send("x" * 1001), f"ws://{address}")
    tell.end()


def run(url):
    def opened(**options):
        return connect(url, max_size=1 << 21, open_timeout=SECONDS, close_timeout=SECONDS, **options)

    def echoes(data):
        with opened() as socket:
            socket.send(data)
            equal(socket.recv(SECONDS), data, "the echo")
        equal(socket.close_code, 1000, "the close code")

    for size in SIZES:
        tell.case(f"text of {size} bytes", echoes, "x" * size)
        tell.case(f"binary of {size} bytes", echoes, b"\xfe" * size)
    tell.case("text of all planes", echoes, "".join(chr(plane << 16 | 0xFFF0) for plane in range(17)))

    def fragments(parts):
        with opened() as socket:
            socket.send(iter(parts))
            equal(socket.recv(SECONDS), parts[0][:0].join(parts), "the echo")
        equal(socket.close_code, 1000, "the close code")

    tell.case("text in 100 fragments", fragments, ["für immer "] * 100)
    tell.case("binary in 100 fragments", fragments, [b"\x00\xff"] * 100)
    tell.case("an empty fragment at each end", fragments, ["", "middle", ""])
    tell.case("1 MiB in fragments of 16 KiB", fragments, [b"x" * 16384] * 64)

    def pings_between():
        with opened() as socket:
            pongs = []

            def parts():
                for at in range(10):
                    yield f"part {at} "
                    pongs.append(socket.ping(f"ping {at}"))

            socket.send(parts())
            equal(socket.recv(SECONDS), "".join(f"part {at} " for at in range(10)), "the echo")
            for at, pong in enumerate(pongs):
                equal(pong.wait(SECONDS), True, f"the pong of ping {at}")

    tell.case("pings between fragments", pings_between)

    def many():
        with opened() as socket:
            for at in range(2000):
                socket.send(f"message {at}")
            for at in range(2000):
                equal(socket.recv(SECONDS), f"message {at}", "the echo")

    tell.case("2000 messages at once, in order", many)

    def closes(code, reason):
        socket = opened()
        socket.close(code, reason)
        equal(socket.protocol.close_rcvd.code, code, "the close code in answer")
        equal(socket.protocol.close_rcvd_then_sent, False, "who closed first")

    for code in [1000, 1001, 1002, 1007, 1008, 1011, 3000, 4000, 4999]:
        tell.case(f"it closes with {code}", closes, code, "bye, für immer")

    base = url.removesuffix("/any/path")
    for code in [4000, 4001, 4999]:
        tell.case(f"the server disconnects with {code}", closed_with, code, lambda _: None, f"{base}/close/{code}")
    wrong = lambda socket: socket.send(b"a\xff", text=True)
    tell.case("text that is not UTF-8", closed_with, 1007, wrong, url)
    split = lambda socket: socket.send(iter([b"a\xf4", b"\x90\x80\x80"]), text=True)
    tell.case("text that is not UTF-8, split across fragments", closed_with, 1007, split, url)

    def compression():
        with opened(compression="deflate") as socket:
            equal(socket.protocol.extensions, [], "the extensions")
            socket.send("x" * 5000)
            equal(socket.recv(SECONDS), "x" * 5000, "the echo")

    tell.case("compression is offered and not taken", compression)

    def subprotocol():
        with opened(subprotocols=["other", "moorline.v1.json"]) as socket:
            equal(socket.subprotocol, "moorline.v1.json", "the subprotocol")

    tell.case("a subprotocol is chosen", subprotocol)

    def foreign():
        try:
            opened(origin="http://evil.example")
        except InvalidStatus as error:
            equal(error.response.status_code, 403, "the status")
        else:
            raise AssertionError("it was let in")

    tell.case("a foreign origin gets 403", foreign)


main()
