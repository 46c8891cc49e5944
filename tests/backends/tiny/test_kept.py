"""Kept texts: going on from one says what one text would have said, and costs no prompt."""

import asyncio
import gc
from dataclasses import replace

import numpy as np
import pytest

from bursar.backends import open_backend
from bursar.backends.base import Kept, Request
from bursar.backends.tiny.fusion import FusedRun
from bursar.errors import BadInput

WHOLE = Request("chain 37*54+53*2\n", 90, question_id="q", temperature=0.7)
LINE = replace(WHOLE, keep=True, stop=("\n",))


def ask(backend, *requests):
    return asyncio.run(backend.complete(requests))


def by_lines(backend, request):
    """The completions of a text said line by line, each gone on from the one before."""
    (now,) = ask(backend, replace(request, max_tokens=0))
    said = []
    while now.kept is not None:
        text = "".join(c.text + c.meta.get("stop", "") for c in said)
        (now,) = ask(backend, replace(request, prefix=text, after=now.kept))
        said.append(now)
    return said


@pytest.mark.parametrize("sample", range(6))
def test_line_by_line_says_what_one_text_says_and_pays_each_token_once(sample):
    backend = open_backend("tiny-0.3m")
    (whole,) = ask(backend, replace(WHOLE, sample=sample))
    lines = by_lines(backend, replace(LINE, sample=sample))
    assert "".join(c.text + c.meta.get("stop", "") for c in lines) == whole.text
    np.testing.assert_allclose(
        np.concatenate([c.logprobs for c in lines]), whole.logprobs, atol=1e-4
    )
    assert sum(c.usage.tokens_in for c in lines) == 0
    assert sum(c.usage.tokens_out for c in lines) == whole.usage.tokens_out


def test_a_tree_holds_what_its_texts_share_once_and_forgets_what_nobody_refers_to():
    backend = open_backend("tiny-0.3m")
    holdings = backend.engine.holdings
    (root,) = ask(backend, replace(LINE, max_tokens=0))
    assert holdings.tokens == root.kept.own == root.usage.tokens_in
    twigs = ask(
        backend,
        *(replace(LINE, temperature=2.0, sample=i, after=root.kept) for i in range(5)),
    )
    kept = [c.kept for c in twigs if c.kept]
    assert holdings.tokens == root.kept.own + sum(k.own for k in kept)
    assert all(isinstance(k, Kept) and k.length == root.kept.own + k.own for k in kept)
    del root, twigs, kept[1:]
    gc.collect()
    assert holdings.tokens == kept[0].length
    assert holdings.peak > holdings.tokens
    del kept
    gc.collect()
    assert holdings.tokens == 0


def test_a_bound_covers_what_going_on_uses():
    backend = open_backend("tiny-0.3m")
    (root,) = ask(backend, replace(LINE, max_tokens=0))
    for request in (replace(LINE, max_tokens=0), replace(LINE, after=root.kept, want_hidden=True)):
        bound, (done,) = backend.upper_bound(request), ask(backend, request)
        for resource in ("tokens_in", "tokens_out", "flops", "bytes_moved"):
            assert bound.get(resource) >= done.usage.get(resource)


def test_what_ends_in_end_of_text_is_not_kept():
    backend = open_backend("tiny-0.3m")
    (whole,) = ask(backend, replace(WHOLE, keep=True))
    assert whole.stop_reason == "stop"
    assert whole.kept is None


def test_a_text_of_another_model_is_refused():
    one, other = open_backend("tiny-0.3m"), open_backend("tiny-1m")
    (root,) = ask(one, replace(LINE, max_tokens=0))
    with pytest.raises(BadInput, match="another model"):
        ask(other, replace(LINE, after=root.kept))


def test_fused_requests_keep_nothing():
    with pytest.raises(BadInput, match="fused"):
        FusedRun(open_backend("tiny-0.3m").engine).submit(LINE)
