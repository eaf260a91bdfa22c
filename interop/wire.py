"""One end of a WebSocket, byte by byte: it sends whatever it is told, right or wrong (RFC 6455, section 5)."""

import base64
import hashlib
import os
import socket
import struct
import threading

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Failed(Exception):
    """The other end did something else than it should."""


def mask(payload, key):
    # As two large numbers: byte by byte would take seconds for 16 MiB.
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class Socket:
    """A TCP connection that gives exactly as many bytes as asked for."""

    def __init__(self, sock, seconds):
        self.sock = sock
        self.sock.settimeout(seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def read(self, count):
        """Exactly so many; None at the end."""
        while len(self.buffer) < count:
            more = self._more(max(count - len(self.buffer), 65536))
            if more is None:
                return None
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_head(self):
        """A head of HTTP; None at the end."""
        while b"\r\n\r\n" not in self.buffer:
            more = self._more(65536)
            if more is None:
                return None
            self.buffer += more
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def _more(self, most):
        parts, size = [], 0
        # What is there already comes in one go: adding it up piece by piece is quadratic.
        while size < most:
            try:
                part = self.sock.recv(1 << 20)
            except ConnectionError:
                return b"".join(parts) or None
            except TimeoutError:
                raise Failed("nothing came in time") from None
            if not part:
                return b"".join(parts) or None
            parts.append(part)
            size += len(part)
            if size < most and most == 65536:
                break
        return b"".join(parts)

    def close(self):
        self.sock.close()


class Peer(Socket):
    """A WebSocket after its handshake. It is the client where `client` is true: then it masks."""

    def __init__(self, sock, client, seconds):
        super().__init__(sock, seconds)
        self.client = client
        self.sending = []

    def frame(self, opcode, payload=b"", fin=True, rsv=0, masked=None, length=None):
        """The bytes of a frame. `length` lies about the payload's."""
        masked = self.client if masked is None else masked
        size = len(payload) if length is None else length
        head = bytes([(fin << 7) | (rsv << 4) | opcode])
        bit = masked << 7
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", size)
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", size)
        if masked:
            key = os.urandom(4)
            return head + key + mask(payload, key)
        return head + payload

    def send(self, data, chop=None):
        """Sends in the background, so that both ends may write at once; in pieces of `chop` bytes."""
        pieces = [data] if not chop else [data[at:at + chop] for at in range(0, len(data), chop)]
        previous = self.sending[-1] if self.sending else None

        def write():
            if previous:
                previous.join()
            try:
                for piece in pieces:
                    self.sock.sendall(piece)
            except OSError:
                pass  # The other end has gone; what was expected of it is told by the reader.

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        self.sending.append(thread)

    def sent(self):
        for thread in self.sending:
            thread.join()
        self.sending = []

    def receive_frame(self):
        """(fin, opcode, payload), None at the end. The other end's frames are checked."""
        head = self.read(2)
        if head is None:
            return None
        fin, rsv, opcode = head[0] >> 7, (head[0] >> 4) & 7, head[0] & 15
        masked, size = head[1] >> 7, head[1] & 127
        if size == 126:
            size = struct.unpack("!H", self._rest(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._rest(8))[0]
        if rsv or opcode not in (CONT, TEXT, BINARY, CLOSE, PING, PONG):
            raise Failed(f"got a frame with the bits {head[0]:#x}")
        if bool(masked) == self.client:
            raise Failed("got a frame that is masked" if masked else "got a frame that is not masked")
        if opcode >= CLOSE and (size > 125 or not fin):
            raise Failed("got a control frame that is too long or in pieces")
        key = self._rest(4) if masked else None
        payload = self._rest(size)
        return bool(fin), opcode, mask(payload, key) if key else payload

    def _rest(self, count):
        data = self.read(count)
        if data is None:
            raise Failed("the connection ended within a frame")
        return data

    def receive(self):
        """(opcode, payload) of a message or a control frame; None at the end."""
        kind, parts = None, []
        while True:
            frame = self.receive_frame()
            if frame is None:
                if kind is not None:
                    raise Failed("the connection ended within a message")
                return None
            fin, opcode, payload = frame
            if opcode >= CLOSE:
                if kind is not None:
                    raise Failed("got a control frame within a message: this peer does not expect it")
                return opcode, payload
            if (opcode == CONT) != (kind is not None):
                raise Failed("got a continuation of nothing, or a message within one")
            kind = opcode if kind is None else kind
            parts.append(payload)
            if fin:
                message = b"".join(parts)
                if kind == TEXT:
                    message.decode("utf-8")
                return kind, message


def request(path="/", **changed):
    """The opening request; `changed` replaces headers, or drops those that are None."""
    headers = {
        "Host": "localhost",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def accept_of(head):
    """The value of Sec-WebSocket-Accept for a request."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            digest = hashlib.sha1(value.strip().encode() + GUID).digest()
            return base64.b64encode(digest).decode()
    raise Failed("the request has no Sec-WebSocket-Key")


def response(head, **changed):
    """The response to a request; `changed` as for a request."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": accept_of(head)}
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode("latin-1")


def connect(address, seconds, path="/"):
    """Connects as a client."""
    host, _, port = address.rpartition(":")
    peer = Peer(socket.create_connection((host, int(port)), seconds), True, seconds)
    peer.sock.sendall(request(path))
    head = peer.read_head()
    if head is None or " 101 " not in head.split("\r\n")[0]:
        raise Failed(f"the handshake failed: {head}")
    return peer
