"""What a key looks like: "sk-bursar-", 256 random bits, a checksum. Only its digest is ever stored.

The checksum tells mistyped keys, and text that only resembles a key, without asking anyone.
"""

from __future__ import annotations

import hashlib
import string
import zlib
from collections.abc import Callable

PREFIX = "sk-bursar-"
_DIGITS = string.digits + string.ascii_letters
_BODY, _CHECK = 43, 6  # digits of base 62 that hold 256 and 32 bits
LENGTH = len(PREFIX) + _BODY + _CHECK


def new_key(random_bytes: Callable[[int], bytes]) -> str:
    """A key from 32 of `random_bytes` (`secrets.token_bytes`)."""
    body = _base62(int.from_bytes(random_bytes(32)), _BODY)
    return PREFIX + body + _checksum(body)


def well_formed(text: str) -> bool:
    """Whether `text` is a key that someone could have been given: its checksum fits."""
    if len(text) != LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return False
    return _checksum(text[len(PREFIX) : -_CHECK]) == text[-_CHECK:]


def digest(key: str) -> str:
    """What is stored of a key. 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def shown(key: str) -> str:
    """The part of a key by which people tell keys apart; it may be stored and shown."""
    return key[: len(PREFIX) + 5]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return text
