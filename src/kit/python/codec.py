"""Given: the header (proto.md §I.3) and the integers (§I.2). You need not change this file."""
import struct
import zlib
from dataclasses import dataclass

MAGIC, VERSION = 0x4347, 1
FROM_SERVER, ACK = 1, 2  # flags
MAX_DATAGRAM = 1200
FIELDS = struct.Struct(">HBBIQIIQIHH")


@dataclass
class Header:
    """The fields of the header that have no constant value."""
    flags: int = 0
    session: int = 0
    sequence: int = 0
    acknowledgment: int = 0
    ack_bitmap: int = 0
    timestamp: int = 0
    ack_delay: int = 0
    window: int = 0


def checksum(data):
    """The checksum of a datagram: the CRC-32 of all bytes but those of the checksum itself."""
    return zlib.crc32(data[:4] + data[8:])


def encode(header, frames=b""):
    """The datagram with this header and these frames."""
    data = FIELDS.pack(MAGIC, VERSION, header.flags, 0, header.session, header.sequence,
                       header.acknowledgment, header.ack_bitmap, header.timestamp,
                       header.ack_delay, header.window) + frames
    return data[:4] + checksum(data).to_bytes(4, "big") + data[8:]


def decode(data):
    """The header and the bytes of the frames; ValueError: drop the datagram."""
    if not FIELDS.size <= len(data) <= MAX_DATAGRAM:
        raise ValueError("too short or too long")
    magic, version, flags, found, *fields = FIELDS.unpack(data[:FIELDS.size])
    if (magic, version, found) != (MAGIC, VERSION, checksum(data)):
        raise ValueError("damaged, or of another version")
    if flags & ~(FROM_SERVER | ACK):
        raise ValueError("an unknown flag")
    return Header(flags, *fields), data[FIELDS.size:]


def put_integer(value):
    """The value in its shortest form."""
    if value <= 250:
        return bytes([value])
    size, mark = (2, 251) if value < 2**16 else (4, 252) if value < 2**32 else (8, 253)
    return bytes([mark]) + value.to_bytes(size, "big")


def take_integer(data):
    """The integer at the beginning of the bytes, and the rest; ValueError: there is none."""
    size = {b"\xfb": 2, b"\xfc": 4, b"\xfd": 8}.get(data[:1], 0)
    value = int.from_bytes(data[1:1 + size] if size else data[:1], "big")
    if put_integer(value) != data[:1 + size]:
        raise ValueError("cut, or not in the shortest form")
    return value, data[1 + size:]
