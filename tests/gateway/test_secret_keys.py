"""What a key looks like, and what is kept of it."""

import secrets

from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.gateway.tenants.secret_keys import LENGTH, digest, new_key, shown, well_formed

BITS = st.binary(min_size=32, max_size=32)


@settings(max_examples=30, deadline=None)
@given(BITS, BITS)
def test_a_key_keeps_all_its_random_bits(one: bytes, other: bytes) -> None:
    keys = [new_key(lambda _, bits=bits: bits) for bits in (one, other)]
    assert all(well_formed(key) and len(key) == LENGTH for key in keys)
    assert (keys[0] == keys[1]) == (one == other)
    assert (digest(keys[0]) == digest(keys[1])) == (one == other)


@settings(max_examples=30, deadline=None)
@given(BITS, st.integers(10, LENGTH - 1), st.sampled_from("0aZ-é "))
def test_one_wrong_character_is_seen(bits: bytes, at: int, other: str) -> None:
    key = new_key(lambda _: bits)
    mistyped = key[:at] + other + key[at + 1 :]
    assert well_formed(mistyped) == (mistyped == key)


@settings(max_examples=30, deadline=None)
@given(st.text())
def test_any_text_may_be_asked(text: str) -> None:
    assert not well_formed(text)
    assert len(digest(text)) == 64


def test_what_is_shown_leaves_more_than_220_bits_unknown() -> None:
    assert len(shown(new_key(secrets.token_bytes))) == len("sk-bursar-") + 5
