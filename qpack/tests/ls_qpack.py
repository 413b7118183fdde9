"""Encodes and decodes files of the offline interoperability tests with pylsqpack.

decode FILE.out CAPACITY BLOCKED             writes the .qif to the standard output
encode FILE.qif CAPACITY BLOCKED ACK FILE.out
"""

import struct
import sys

import pylsqpack


def decode(path, capacity, blocked):
    data = open(path, "rb").read()
    decoder = pylsqpack.Decoder(capacity, blocked)
    lists, order, at = {}, [], 0
    while at < len(data):
        stream, length = struct.unpack_from("!QI", data, at)
        at += 12
        record, at = data[at : at + length], at + length
        if stream == 0:
            for free in decoder.feed_encoder(record):
                lists[free] = decoder.resume_header(free)[1]
        else:
            order.append(stream)
            try:
                lists[stream] = decoder.feed_header(stream, record)[1]
            except pylsqpack.StreamBlocked:
                pass
    for stream in order:
        for name, value in lists[stream]:
            sys.stdout.buffer.write(name + b"\t" + value + b"\n")
        sys.stdout.buffer.write(b"\n")


def encode(path, capacity, blocked, acknowledged, out):
    lists = [
        [tuple(line.split(b"\t", 1)) for line in section.split(b"\n") if line and line[:1] != b"#"]
        for section in open(path, "rb").read().split(b"\n\n")
    ]
    encoder, decoder = pylsqpack.Encoder(), pylsqpack.Decoder(capacity, blocked)
    pending = encoder.apply_settings(capacity, blocked)
    with open(out, "wb") as file:
        for stream, lines in enumerate((lines for lines in lists if lines), 1):
            instructions, section = encoder.encode(stream, lines)
            pending += instructions
            if pending:
                file.write(struct.pack("!QI", 0, len(pending)) + pending)
            file.write(struct.pack("!QI", stream, len(section)) + section)
            decoder.feed_encoder(pending)
            answer, _ = decoder.feed_header(stream, section)
            if acknowledged:
                encoder.feed_decoder(answer)
            pending = b""


if sys.argv[1] == "decode":
    decode(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    encode(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1", sys.argv[6])
