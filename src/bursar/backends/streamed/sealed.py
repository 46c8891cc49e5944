"""Layers that are encrypted until they are used: what a trusted world reads from open storage.

The keystream is HMAC-SHA256 in counter mode, taken from `hashlib.pbkdf2_hmac` with one iteration,
which computes exactly that in one call and without the interpreter's lock: another thread computes
meanwhile. It shows what decryption costs; it is not authenticated, and no substitute for a
cryptographic library.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from bursar.backends.streamed.decoder import MATRICES, Matrices


@dataclass(frozen=True, slots=True)
class Sealed:
    """One layer's matrices, float32, one after the other, encrypted."""

    content: bytes
    shapes: tuple[tuple[int, ...], ...]
    nonce: bytes
    """Never used twice with a key."""


def seal(layer: Matrices, key: bytes, nonce: bytes) -> Sealed:
    """Encrypt a layer's matrices."""
    plain = b"".join(np.ascontiguousarray(layer[name]).tobytes() for name in MATRICES)
    content = _xor(plain, key, nonce).tobytes()
    return Sealed(content, tuple(layer[name].shape for name in MATRICES), nonce)


def unseal(sealed: Sealed, key: bytes) -> Matrices:
    """The layer's matrices. A wrong key gives noise, not an error."""
    plain = _xor(sealed.content, key, sealed.nonce).view(np.float32)
    ends = np.cumsum([int(np.prod(shape)) for shape in sealed.shapes])
    parts = np.split(plain, ends[:-1])
    return {
        name: part.reshape(shape)
        for name, part, shape in zip(MATRICES, parts, sealed.shapes, strict=True)
    }


def _xor(content: bytes, key: bytes, nonce: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    stream = hashlib.pbkdf2_hmac("sha256", key, nonce, 1, dklen=len(content))
    return np.frombuffer(content, np.uint8) ^ np.frombuffer(stream, np.uint8)
