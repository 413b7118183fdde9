"""What both ends share: names of settings, capsules, and lines for the test that started them."""

import json

from aioquic.buffer import Buffer, BufferReadError, encode_uint_var
from aioquic.h3.connection import H3Connection

CLOSE_SESSION = 0x2843
# draft-ietf-webtrans-http3, section "Resetting Data Streams": application codes skip every 31st number.
FIRST_CODE = 0x52E4A40FA8DB


def tell(**fields):
    """One JSON object a line, for the test."""
    print(json.dumps(fields), flush=True)


def to_wire(code):
    return FIRST_CODE + code + code // 0x1E


def from_wire(code):
    shifted = code - FIRST_CODE
    if shifted < 0 or (code - 0x21) % 0x1F == 0:
        return None
    return shifted - shifted // 0x1F


def close_capsule(code, reason):
    value = code.to_bytes(4, "big") + reason.encode()
    return encode_uint_var(CLOSE_SESSION) + encode_uint_var(len(value)) + value


class Capsules:
    """Collects the content of a CONNECT stream and takes whole capsules off it."""

    def __init__(self):
        self.pending = b""

    def feed(self, data):
        self.pending += data
        found = []
        while True:
            buffer = Buffer(data=self.pending)
            try:
                kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
                value = buffer.pull_bytes(length)
            except BufferReadError:
                return found
            self.pending = self.pending[buffer.tell() :]
            found.append((kind, value))


def closed_by(capsules):
    """Code and reason of a close capsule among these."""
    for kind, value in capsules:
        if kind == CLOSE_SESSION:
            return int.from_bytes(value[:4], "big"), value[4:].decode()
    return None


def new_http(quic):
    return H3Connection(quic, enable_webtransport=True)
