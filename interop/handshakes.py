"""Opening handshakes, right and wrong (RFC 6455, section 4).

    handshakes.py server path/to/echo_server    against our echo server
    handshakes.py client path/to/echo_client    against our echo client, started for each case
"""

import socket
import subprocess
import sys
import time

import tell
from programs import SECONDS, serve
from wire import CLOSE, TEXT, Failed, Peer, accept_of, close_payload, request, response


def open_socket(address):
    host, _, port = address.rpartition(":")
    return Peer(socket.create_connection((host, int(port)), SECONDS), True, SECONDS)


def fields(head):
    """Status and headers of a response."""
    lines = head.split("\r\n")
    pairs = (line.partition(":")[::2] for line in lines[1:])
    return int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, value in pairs}


def echoes(peer):
    peer.sock.sendall(peer.frame(TEXT, b"hello"))
    if peer.receive() != (TEXT, b"hello"):
        raise Failed("no echo")


def accepted(sent, chop=None, headers=None, with_frame=False):
    def run(address):
        peer = open_socket(address)
        try:
            data = sent + (peer.frame(TEXT, b"at once") if with_frame else b"")
            for at in range(0, len(data), chop or len(data)):
                peer.sock.sendall(data[at:at + (chop or len(data))])
            status, got = fields(peer.read_head())
            if status != 101 or got["sec-websocket-accept"] != accept_of(sent.decode("latin-1")):
                raise Failed(f"got {status} {got}")
            for name, value in (headers or {}).items():
                if got.get(name) != value:
                    raise Failed(f"expected {name}: {value}, got {got.get(name)}")
            if with_frame and peer.receive() != (TEXT, b"at once"):
                raise Failed("no echo of what came with the request")
            echoes(peer)
        finally:
            peer.close()
    return run


def refused(sent, wanted, **headers):
    def run(address):
        peer = open_socket(address)
        try:
            peer.sock.sendall(sent)
            head = peer.read_head()
            if head is None:
                raise Failed("closed without an answer")
            status, got = fields(head)
            if status != wanted:
                raise Failed(f"expected {wanted}, got {status}")
            for name, value in headers.items():
                if got.get(name.replace("_", "-")) != value:
                    raise Failed(f"expected {name}: {value}, got {got}")
            # Some text for people, then the end.
            peer.read(1 << 30)
        finally:
            peer.close()
    return run


KEY = "dGhlIHNhbXBsZSBub25jZQ=="
plain = request(Sec_WebSocket_Key=KEY)
SERVER = [
    ("a plain request", accepted(plain)),
    ("byte by byte", accepted(plain, chop=1)),
    ("a frame in the same packet", accepted(plain, with_frame=True)),
    ("any path", accepted(request("/some/path?with=query&more", Sec_WebSocket_Key=KEY))),
    ("names in lower case", accepted(plain.replace(b"Sec-WebSocket-", b"sec-websocket-").replace(b"Host", b"host"))),
    ("values in another case", accepted(request(Connection="keep-alive, uPGRADE", Upgrade="WebSocket"))),
    ("an extension that is not spoken", accepted(
        request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"),
        headers={"sec-websocket-extensions": None})),
    ("subprotocols", accepted(request(Sec_WebSocket_Protocol="other, moorline.v1.json, moorline.v1.bin"),
                              headers={"sec-websocket-protocol": "moorline.v1.json"})),
    ("an unknown subprotocol", accepted(request(Sec_WebSocket_Protocol="other"),
                                        headers={"sec-websocket-protocol": None})),
    ("the server's own origin", accepted(request(Origin="http://localhost"))),
    ("a foreign origin", refused(request(Origin="http://evil.example"), 403)),
    ("the origin null", refused(request(Origin="null"), 403)),
    ("no upgrade", refused(request(Upgrade=None), 426, upgrade="websocket")),
    ("another upgrade", refused(request(Upgrade="h2c"), 426)),
    ("Connection without an upgrade", refused(request(Connection="keep-alive"), 426)),
    ("version 12", refused(request(Sec_WebSocket_Version="12"), 426, sec_websocket_version="13")),
    ("no version", refused(request(Sec_WebSocket_Version=None), 426)),
    ("no key", refused(request(Sec_WebSocket_Key=None), 400)),
    ("a short key", refused(request(Sec_WebSocket_Key="dGhl"), 400)),
    ("two keys", refused(plain.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n"), 400)),
    ("no host", refused(request(Host=None), 400)),
    ("HTTP/1.0", refused(plain.replace(b"HTTP/1.1", b"HTTP/1.0"), 400)),
    ("POST", refused(plain.replace(b"GET", b"POST"), 405, allow="GET")),
    ("no HTTP", refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello \r\n\r\n", 400)),
    ("a header of 64 KiB", refused(request(Cookie="x" * 65536), 431)),
    ("1000 headers", refused(request(**{f"X-{at}": "1" for at in range(1000)}), 431)),
]


def against_client(program, answer, wanted, code):
    """Starts the client. `answer` gets its socket and request; `wanted` is in what it says at its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        arguments = [program, f"ws://127.0.0.1:{listener.getsockname()[1]}/there", "--codec", "raw"]
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            sock, _ = listener.accept()
            peer = Peer(sock, False, SECONDS)
            try:
                answer(peer, peer.read_head())
                said, _ = child.communicate(timeout=SECONDS)
            finally:
                peer.close()
            listener.settimeout(0.05)
            try:
                listener.accept()
                raise Failed("it came again")
            except TimeoutError:
                pass
        finally:
            child.kill()
            child.communicate()
    if child.returncode != code or wanted not in said or "panicked" in said:
        raise Failed(f"expected {code} and {wanted!r}, got {child.returncode}: {said.strip()[:300]}")


def sends(make):
    def answer(peer, head):
        try:
            peer.sock.sendall(make(head))
        except ConnectionError:
            pass  # It need not read to the end what it refuses.
    return answer


def status(line, **headers):
    rest = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return sends(lambda _: f"HTTP/1.1 {line}\r\n{rest}Content-Length: 0\r\n\r\n".encode())


def talks(chop=None, **changed):
    """A handshake that is right, a message, a close."""
    def answer(peer, head):
        data = response(head, **changed) + peer.frame(TEXT, b"at once")
        for at in range(0, len(data), chop or len(data)):
            peer.sock.sendall(data[at:at + (chop or len(data))])
        if peer.receive() != (TEXT, b"at once"):
            raise Failed("no echo")
        peer.sock.sendall(peer.frame(CLOSE, close_payload(1000)))
        if peer.receive() != (CLOSE, close_payload(1000)):
            raise Failed("the close was not answered")
    return answer


def hangs_up(peer, head):
    peer.sock.sendall(b"HTTP/1.1 101 Switch")
    time.sleep(0.05)
    peer.close()


def changed(**headers):
    return sends(lambda head: response(head, **headers))


CLIENT = [
    ("right", talks(), "1000", 0),
    ("byte by byte", talks(chop=1), "1000", 0),
    ("values in another case", talks(Connection="UPGRADE", Upgrade="WebSocket"), "1000", 0),
    ("a wrong accept key", changed(Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="), "Accept", 1),
    ("no accept key", changed(Sec_WebSocket_Accept=None), "Accept", 1),
    ("no upgrade", changed(Upgrade=None), "upgrade", 1),
    ("another upgrade", changed(Upgrade="h2c"), "upgrade", 1),
    ("Connection without an upgrade", changed(Connection="keep-alive"), "upgrade", 1),
    ("a subprotocol nobody offered", changed(Sec_WebSocket_Protocol="other"), "subprotocol", 1),
    ("an extension nobody offered", changed(Sec_WebSocket_Extensions="permessage-deflate"), "extension", 1),
    ("a redirect, 301", status("301 Moved Permanently", Location="ws://127.0.0.1:9/"), "301", 1),
    ("a redirect, 302", status("302 Found", Location="/elsewhere"), "302", 1),
    ("a redirect, 307", status("307 Temporary Redirect", Location="http://127.0.0.1:9/"), "307", 1),
    ("a redirect, 308", status("308 Permanent Redirect", Location="/elsewhere"), "308", 1),
    ("200", status("200 OK"), "200", 1),
    ("401", status("401 Unauthorized"), "401", 1),
    ("404", status("404 Not Found"), "404", 1),
    ("503", status("503 Service Unavailable", **{"Retry-After": "1"}), "503", 1),
    ("a header of 1 MiB", changed(X_Filler="x" * (1 << 20)), "too large", 1),
    ("1 MiB of headers", changed(**{f"X-{at}": "x" * 1000 for at in range(1000)}), "too large", 1),
    ("1 MiB without an end", sends(lambda _: b"x" * (1 << 20)), "too large", 1),
    ("no HTTP", sends(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "HTTP", 1),
    ("an end within the handshake", hangs_up, "handshake", 1),
    ("an end before the handshake", lambda peer, _: peer.close(), "handshake", 1),
]


def main():
    role, program = sys.argv[1:]
    if role == "server":
        with serve(program, "--codec", "raw") as address:
            for name, run in SERVER:
                tell.case(name, run, address)
    else:
        for name, answer, wanted, code in CLIENT:
            tell.case(name, against_client, program, answer, wanted, code)
    tell.end()


main()
