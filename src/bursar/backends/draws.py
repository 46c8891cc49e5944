"""Random draws fixed by their names, so that a sample is the same whatever else is in its batch."""

import hashlib
import struct

_UNIT = 2.0**-64


def uniforms(*names: object) -> tuple[float, float, float, float]:
    """Four independent draws from (0, 1), the same for the same `names` on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, names)).encode(), digest_size=32).digest()
    a, b, c, d = struct.unpack("<4Q", digest)
    return (a + 0.5) * _UNIT, (b + 0.5) * _UNIT, (c + 0.5) * _UNIT, (d + 0.5) * _UNIT


def whole_number(*names: object) -> int:
    """A 63-bit draw, for a generator's seed or a server's `seed` field."""
    digest = hashlib.blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
