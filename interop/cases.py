"""The cases of Autobahn's groups 1–7, 9 and 10, spoken over a bare socket.

    cases.py server path/to/echo_server    against our echo server, which takes messages of 16 MiB
    cases.py client path/to/echo_client    against our echo client, started for each case

Each case has Autobahn's number. One is strict where everything came that should; where only an echo is missing that was
overtaken by the failure, it is told as "not strict", as Autobahn does.
"""

import socket
import subprocess
import sys
import time

import tell
from programs import SECONDS, serve
from utf8 import KOSME, texts
from wire import (BINARY, CLOSE, CONT, PING, PONG, TEXT, Failed, Peer, close_payload, connect, response)

PROTOCOL, NOT_UTF8 = 1002, 1007
KIB, MIB = 1 << 10, 1 << 20


def expect(peer, *wanted):
    """Exactly these messages and control frames, in this order."""
    for want in wanted:
        got = peer.receive()
        if got != want:
            raise Failed(f"expected {short(want)}, got {short(got)}")


def short(item):
    if item is None:
        return "the end"
    opcode, payload = item
    more = f"… {len(payload)} bytes" if len(payload) > 40 else ""
    return f"{opcode}:{payload[:40]!r}{more}"


def leaves(peer, code=1000, reason=b"", answer=None):
    """Closes, is answered, and sees the connection end."""
    peer.send(peer.frame(CLOSE, close_payload(code, reason)))
    got = peer.receive()
    if got is None or got[0] != CLOSE:
        raise Failed(f"expected the answer to a close, got {short(got)}")
    if got[1][:2] != close_payload(answer or code):
        raise Failed(f"expected a close with {answer or code}, got {short(got)}")
    ends(peer)


def ends(peer):
    """A server ends the connection first; a client may wait for that."""
    peer.sent()
    if not peer.client:
        try:
            peer.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    if peer.receive_frame() is not None:
        raise Failed("something came after the close")


def fails(peer, code, *may):
    """Is failed with this code; before that the echoes that `may` be overtaken by it."""
    missed = 0
    got = peer.receive()
    for want in may:
        if got == want:
            got = peer.receive()
        else:
            missed += 1
    if got is None or got[0] != CLOSE or got[1][:2] != close_payload(code):
        raise Failed(f"expected a close with {code}, got {short(got)}")
    got[1][2:].decode("utf-8")
    peer.send(peer.frame(CLOSE, got[1]))
    ends(peer)
    return "not strict" if missed else None


# Each case: (name, function of a peer, the close code that a client under test sees).
CASES = []


def case(name, run, code=1000):
    CASES.append((name, run, code))


def echoes(kind, payload, chop=None):
    def run(peer):
        peer.send(peer.frame(kind, payload), chop)
        expect(peer, (kind, payload))
        leaves(peer)
    return run


def fragments(kind, payload, size, chop=None):
    def run(peer):
        parts = [payload[at:at + size] for at in range(0, len(payload), size)]
        last = len(parts) - 1
        frames = [peer.frame(CONT if at else kind, part, fin=at == last) for at, part in enumerate(parts)]
        peer.send(b"".join(frames), chop)
        expect(peer, (kind, payload))
        leaves(peer)
    return run


def answers(*frames, wanted=(), chop=None, framewise=False):
    """Frames that are right, and what must come back."""
    def run(peer):
        data = [peer.frame(*frame[:2], **(frame[2] if len(frame) > 2 else {})) for frame in frames]
        for piece in data if framewise else [b"".join(data)]:
            peer.send(piece, chop)
            if framewise:
                time.sleep(0.01)
        expect(peer, *wanted)
        leaves(peer)
    return run


def refused(*frames, code=PROTOCOL, may=(), chop=None):
    """Frames of which one is wrong."""
    def run(peer):
        data = [peer.frame(*frame[:2], **(frame[2] if len(frame) > 2 else {})) for frame in frames]
        peer.send(b"".join(data), chop)
        return fails(peer, code, *may)
    return run


# 1: framing.
for group, kind, byte in [("1.1", TEXT, b"*"), ("1.2", BINARY, b"\xfe")]:
    sizes = [0, 125, 126, 127, 128, 65535, 65536]
    for at, size in enumerate(sizes, 1):
        case(f"{group}.{at}", echoes(kind, byte * size))
    case(f"{group}.8", echoes(kind, byte * 65536, chop=997))

# 2: pings and pongs.
ten = [(PING, f"payload-{at}".encode()) for at in range(10)]
ten_answers = [(PONG, payload) for _, payload in ten]
for name, payload in [("2.1", b""), ("2.2", b"Hello, world!"), ("2.3", bytes.fromhex("00fffefdfcfb00ff")),
                      ("2.4", b"\xfe" * 125)]:
    case(name, answers((PING, payload), wanted=[(PONG, payload)]))
case("2.5", refused((PING, b"\xfe" * 126)), PROTOCOL)
case("2.6", answers((PING, b"\xfe" * 125), wanted=[(PONG, b"\xfe" * 125)], chop=1))
case("2.7", answers((PONG, b"")))
case("2.8", answers((PONG, b"unsolicited pong payload")))
case("2.9", answers((PONG, b"unsolicited"), (PING, b"ping"), wanted=[(PONG, b"ping")]))
case("2.10", answers(*ten, wanted=ten_answers))
case("2.11", answers(*ten, wanted=ten_answers, chop=1))

# 3: reserved bits.
hello, hello_echo = (TEXT, b"Hello, world!"), (TEXT, b"Hello, world!")
case("3.1", refused((TEXT, b"", {"rsv": 1})), PROTOCOL)
for name, rsv, chop in [("3.2", 2, None), ("3.3", 3, None), ("3.4", 4, 1)]:
    frames = [hello, (TEXT, b"Hello, world!", {"rsv": rsv}), (PING, b"")]
    case(name, refused(*frames, may=[hello_echo], chop=chop), PROTOCOL)
case("3.5", refused((BINARY, b"\x00\xff\xfe", {"rsv": 5})), PROTOCOL)
case("3.6", refused((PING, b"Hello, world!", {"rsv": 6})), PROTOCOL)
case("3.7", refused((CLOSE, close_payload(1000), {"rsv": 7})), PROTOCOL)

# 4: reserved opcodes.
for group, first in [("4.1", 3), ("4.2", 11)]:
    case(f"{group}.1", refused((first, b"")), PROTOCOL)
    case(f"{group}.2", refused((first + 1, b"reserved opcode payload")), PROTOCOL)
    for at, payload, chop in [(3, b"", None), (4, b"reserved opcode payload", None), (5, b"", 1)]:
        frames = [hello, (first + at - 1, payload), (PING, b"")]
        case(f"{group}.{at}", refused(*frames, may=[hello_echo], chop=chop), PROTOCOL)

# 5: fragments.
first, last = b"fragment1", b"fragment2"
two = [(TEXT, first, {"fin": False}), (CONT, last)]
two_echo = (TEXT, first + last)
part = {"fin": False}
case("5.1", refused((PING, first, part), (CONT, last)), PROTOCOL)
case("5.2", refused((PONG, first, part), (CONT, last)), PROTOCOL)
for at, (framewise, chop) in enumerate([(False, None), (True, None), (False, 1)]):
    case(f"5.{3 + at}", answers(*two, wanted=[two_echo], framewise=framewise, chop=chop))
    pinged = [two[0], (PING, b"ping payload"), two[1]]
    wanted = [(PONG, b"ping payload"), two_echo]
    case(f"5.{6 + at}", answers(*pinged, wanted=wanted, framewise=framewise, chop=chop))
    for base, fin in [(9, True), (12, False)]:
        frames = [(CONT, b"non-continuation payload", {"fin": fin}), hello]
        case(f"5.{base + at}", refused(*frames, chop=chop), PROTOCOL)
case("5.15", refused(*two, (CONT, b"fragment3", part), (TEXT, b"fragment4"), may=[two_echo]), PROTOCOL)
for name, fin in [("5.16", False), ("5.17", True)]:
    again = [(CONT, b"fragment1", {"fin": fin}), (TEXT, b"fragment2", part), (CONT, b"fragment3")] * 2
    case(name, refused(*again), PROTOCOL)
case("5.18", refused((TEXT, first, part), (TEXT, last)), PROTOCOL)
five = [(TEXT, b"fragment1", part), (CONT, b"fragment2", part), (PING, b"pongme 1!"), (CONT, b"fragment3", part),
        (CONT, b"fragment4", part), (PING, b"pongme 2!"), (CONT, b"fragment5")]
wanted = [(PONG, b"pongme 1!"), (PONG, b"pongme 2!"), (TEXT, b"fragment1fragment2fragment3fragment4fragment5")]
case("5.19", answers(*five, wanted=wanted))
case("5.20", answers(*five, wanted=wanted, framewise=True))

# 6: UTF-8.
long_text = "Hello-µ@ßöäüàá-UTF-8!!".encode()
wrong = KOSME + b"\xed\xa0\x80" + b"edited"
case("6.1.1", echoes(TEXT, b""))
case("6.1.2", answers((TEXT, b"", part), (CONT, b"", part), (CONT, b""), wanted=[(TEXT, b"")]))
case("6.1.3", answers((TEXT, b"", part), (CONT, b"middle", part), (CONT, b""), wanted=[(TEXT, b"middle")]))
case("6.2.1", echoes(TEXT, long_text))
case("6.2.2", answers((TEXT, long_text[:12], part), (CONT, long_text[12:]), wanted=[(TEXT, long_text)]))
case("6.2.3", fragments(TEXT, long_text, 1))
case("6.2.4", fragments(TEXT, KOSME, 1))
case("6.3.1", refused((TEXT, wrong), code=NOT_UTF8), NOT_UTF8)
single = [(CONT if at else TEXT, wrong[at:at + 1], {"fin": at == len(wrong) - 1}) for at in range(len(wrong))]
case("6.3.2", refused(*single, code=NOT_UTF8), NOT_UTF8)


def fails_fast(pieces, framed):
    """Wrong text whose end never comes: it must be refused where it gets wrong."""
    def run(peer):
        if framed:
            data = [peer.frame(CONT if at else TEXT, piece, fin=False) for at, piece in enumerate(pieces)]
        else:
            whole = peer.frame(TEXT, b"".join(pieces) + b"\x80\x80edited")
            cut = len(whole) - len(b"\x80\x80edited") - len(pieces[1])
            data = [whole[:cut], whole[cut:cut + len(pieces[1])]]
        for piece in data:
            peer.send(piece)
            time.sleep(0.2)
        return fails(peer, NOT_UTF8)
    return run


for base, framed in [(1, True), (3, False)]:
    case(f"6.4.{base}", fails_fast([KOSME, b"\xf4\x90\x80\x80"], framed), NOT_UTF8)
    case(f"6.4.{base + 1}", fails_fast([KOSME + b"\xf4", b"\x90"], framed), NOT_UTF8)
for name, text, right in texts():
    if right:
        case(name, echoes(TEXT, text))
    else:
        case(name, refused((TEXT, text), code=NOT_UTF8), NOT_UTF8)


# 7: closing.
def closes_twice(*later):
    """What comes after a close is ignored."""
    def run(peer):
        frames = [(CLOSE, close_payload(1000)), *later]
        peer.send(b"".join(peer.frame(*frame) for frame in frames))
        expect(peer, (CLOSE, close_payload(1000)))
        ends(peer)
    return run


def says_and_closes(text):
    """Back to back. Whether the echo still comes is not said by RFC 6455, and Autobahn takes both."""
    def run(peer):
        peer.send(peer.frame(TEXT, text) + peer.frame(CLOSE, close_payload(1000)) + peer.frame(PING))
        got = peer.receive()
        remark = "the close was faster than the echo"
        if got == (TEXT, text):
            got, remark = peer.receive(), None
        if got != (CLOSE, close_payload(1000)):
            raise Failed(f"expected a close, got {short(got)}")
        ends(peer)
        return remark
    return run


def closes_within_a_message(peer):
    peer.send(peer.frame(TEXT, first, fin=False) + peer.frame(CLOSE, close_payload(1000)) + peer.frame(CONT, last))
    expect(peer, (CLOSE, close_payload(1000)))
    ends(peer)


def closes(payload, *answers):
    def run(peer):
        peer.send(peer.frame(CLOSE, payload))
        got = peer.receive()
        if got is None or got[0] != CLOSE or got[1] not in answers:
            raise Failed(f"expected a close, got {short(got)}")
        ends(peer)
    return run


case("7.1.1", echoes(*hello))
case("7.1.2", closes_twice((CLOSE, close_payload(1000))))
case("7.1.3", closes_twice((PING, b"")))
case("7.1.4", closes_twice(hello))
case("7.1.5", closes_within_a_message)
case("7.1.6", says_and_closes(b"BAsd7&jh23" * 26214))
case("7.3.1", closes(b"", b"", close_payload(1000)), 1005)
case("7.3.2", refused((CLOSE, b"a")), PROTOCOL)
case("7.3.3", lambda peer: leaves(peer))
case("7.3.4", lambda peer: leaves(peer, reason=b"Hello World!"))
case("7.3.5", lambda peer: leaves(peer, reason=b"*" * 123))
case("7.3.6", refused((CLOSE, close_payload(1000, b"*" * 124))), PROTOCOL)
case("7.5.1", refused((CLOSE, close_payload(1000, wrong)), code=NOT_UTF8), NOT_UTF8)
for at, code in enumerate([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999], 1):
    case(f"7.7.{at} ({code})", lambda peer, code=code: leaves(peer, code), code)
for at, code in enumerate([0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999], 1):
    case(f"7.9.{at} ({code})", refused((CLOSE, close_payload(code))), PROTOCOL)
for at, code in enumerate([5000, 65535], 1):
    case(f"7.13.{at} ({code})", refused((CLOSE, close_payload(code))), PROTOCOL)

# 9: size and speed.
for group, kind in [("9.1", TEXT), ("9.2", BINARY)]:
    for at, size in enumerate([64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB], 1):
        case(f"{group}.{at} ({size >> 10} KiB)", echoes(kind, b"*" * size))
for group, kind in [("9.3", TEXT), ("9.4", BINARY)]:
    for at, size in enumerate([64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB], 1):
        case(f"{group}.{at} (4 MiB in {size} B)", fragments(kind, b"*" * (4 * MIB), size))
for group, kind in [("9.5", TEXT), ("9.6", BINARY)]:
    for at, chop in enumerate([64, 128, 256, 512, KIB, 2 * KIB], 1):
        case(f"{group}.{at} (1 MiB, {chop} B a write)", echoes(kind, b"*" * MIB, chop=chop))


def many(kind, size):
    def run(peer):
        for _ in range(1000):
            peer.send(peer.frame(kind, b"*" * size))
            expect(peer, (kind, b"*" * size))
        leaves(peer)
    return run


for group, kind in [("9.7", TEXT), ("9.8", BINARY)]:
    for at, size in enumerate([0, 16, 64, 256, KIB, 4 * KIB], 1):
        case(f"{group}.{at} (1000 × {size} B)", many(kind, size))

# 10: other.
case("10.1.1", fragments(TEXT, b"*" * 65536, 1300))


# Not Autobahn's.
def wrongly_masked(peer):
    """A client must mask, a server must not (RFC 6455, section 5.1)."""
    peer.send(peer.frame(*hello, masked=not peer.client))
    return fails(peer, PROTOCOL)


def too_long(peer):
    """2 ** 63 - 1 bytes are announced."""
    peer.send(peer.frame(BINARY, b"", length=2 ** 63 - 1))
    return fails(peer, 1009)


def most_significant_bit(peer):
    """A length may not have its highest bit (RFC 6455, section 5.2)."""
    peer.send(peer.frame(BINARY, b"", length=2 ** 63))
    got = peer.receive()
    if got is None or got[0] != CLOSE or got[1][:2] not in (close_payload(1002), close_payload(1009)):
        raise Failed(f"expected a close with 1002 or 1009, got {short(got)}")
    ends(peer)


case("7.1.6, little", says_and_closes(b"Hello, world!"))
case("masking", wrongly_masked, PROTOCOL)
case("length 2^63 - 1", too_long, 1009)
case("length 2^63", most_significant_bit, 1009)


def against_server(address, run):
    peer = connect(address, SECONDS)
    try:
        return run(peer)
    finally:
        peer.close()


def against_client(program, run, code):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        arguments = [program, url, "--codec", "raw", "--max-message", str(16 * MIB)]
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            sock, _ = listener.accept()
            peer = Peer(sock, False, SECONDS)
            try:
                head = peer.read_head()
                sock.sendall(response(head))
                remark = run(peer)
            finally:
                peer.close()
            said, _ = child.communicate(timeout=SECONDS)
        finally:
            child.kill()
            child.communicate()
    normally = code in (1000, 1001, 1005)
    if child.returncode != (0 if normally else 1) or "panicked" in said:
        raise Failed(f"the client ended with {child.returncode}: {said.strip()}")
    return remark


def main():
    role, program, *only = sys.argv[1:]
    cases = [case for case in CASES if not only or any(case[0].startswith(prefix) for prefix in only)]
    if role == "server":
        with serve(program, "--codec", "raw", "--max-message", str(16 * MIB)) as address:
            for name, run, _ in cases:
                tell.case(name, against_server, address, run)
    else:
        for name, run, code in cases:
            tell.case(name, against_client, program, run, code)
    tell.end()


main()
