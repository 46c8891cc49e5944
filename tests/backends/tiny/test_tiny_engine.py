"""Generation: what is drawn does not depend on company, and is counted to the token."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.backends.base import Request
from bursar.backends.tiny.engine import Engine
from bursar.backends.tiny.sampling import choose, uniforms
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput

TOKENIZER = Tokenizer()


def mixed(count, *, seed=0, **changes):
    """Requests of unequal prompts, lengths and temperatures, some with a prompt in common."""
    rng = np.random.default_rng(seed)
    prompts = [
        "chain " + "*".join(str(n) for n in rng.integers(2, 97, rng.integers(2, 9))) + "\n"
        for _ in range(max(1, count // 3))
    ]
    return [
        replace(
            Request(
                prompts[i % len(prompts)],
                int(rng.integers(1, 100)),
                question_id=f"q{i % len(prompts)}",
                sample=i // len(prompts),
                temperature=(1.0, 0.7, 0.0, 1.3)[i % 4],
                stop=((), ("\n",), ("#", "wrong"))[i % 3],
                seed=seed,
            ),
            **changes,
        )
        for i in range(count)
    ]


def texts(generations):
    return [TOKENIZER.decode(g.tokens.tolist()) for g in generations]


def test_a_request_says_the_same_alone_and_among_a_hundred(engine):
    requests = mixed(100)
    together = engine.run(requests)
    backward = engine.run(requests[::-1])[::-1]
    alone = [engine.run([request])[0] for request in requests]
    assert texts(together) == texts(backward) == texts(alone)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-4)


@pytest.mark.parametrize("max_batch", [1, 3, 64])
def test_the_number_of_places_changes_nothing_said(engine, max_batch):
    requests = mixed(40)
    other = Engine(engine.model, TOKENIZER, max_batch=max_batch)
    assert texts(other.run(requests)) == texts(engine.run(requests))


def test_logprobs_are_those_of_the_plain_forward_pass_at_temperature_1(engine):
    requests = mixed(30)
    for request, said in zip(requests, engine.run(requests), strict=True):
        prompt = TOKENIZER.encode(request.prompt)
        rows = np.array([prompt + said.tokens.tolist()])
        logits = engine.model.forward(rows)[0, len(prompt) - 1 : -1].astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected = logprobs[np.arange(len(said.tokens)), said.tokens]
        np.testing.assert_allclose(said.logprobs, expected, atol=1e-4)


def test_hidden_states_are_those_at_newlines_and_at_the_last_token(engine):
    requests = mixed(30, want_hidden=True)
    plain = engine.run([replace(request, want_hidden=False) for request in requests])
    several = 0
    for request, said, without in zip(requests, engine.run(requests), plain, strict=True):
        assert said.tokens.tolist() == without.tokens.tolist()
        assert without.hidden is None
        prompt = TOKENIZER.encode(request.prompt)
        every, _, _ = engine.model.prefill(np.array([prompt + said.tokens.tolist()]))
        ends = said.tokens == TOKENIZER.newline_id
        ends[-1] = True
        np.testing.assert_allclose(said.hidden, every[0, len(prompt) :][ends], atol=1e-3)
        several += ends.sum() > 1
    assert several, "no text of several lines in the test"


def test_greedy_takes_the_likeliest_token_whatever_the_seed(engine):
    requests = mixed(12, temperature=0.0)
    said = engine.run(requests)
    assert texts(said) == texts(engine.run([replace(r, seed=9, sample=5) for r in requests]))
    for request, generation in zip(requests, said, strict=True):
        tokens = TOKENIZER.encode(request.prompt) + generation.tokens.tolist()
        logits = engine.model.forward(np.array([tokens]))[0]
        first = len(tokens) - len(generation.tokens) - 1
        chosen = logits[np.arange(first, len(tokens) - 1), generation.tokens]
        np.testing.assert_allclose(chosen, logits[first:-1].max(axis=1), atol=1e-4)


def test_samples_of_one_prompt_differ_and_are_fixed_by_their_names(engine):
    base = Request("chain 3*4\n", 40, question_id="a")
    named = [base, replace(base, sample=1), replace(base, seed=1), replace(base, question_id="b")]
    said = texts(engine.run([*named, base]))
    assert len(set(said)) == 4
    assert said[0] == said[4]


class Letters:
    """A letter per token: every text is read back as the tokens it was made of."""

    eos_id, newline_id = TOKENIZER.eos_id, TOKENIZER.newline_id

    def encode(self, text):
        return [ord(letter) - 256 for letter in text]

    def decode(self, ids):
        return "".join(chr(256 + i) for i in ids)


def test_a_text_cut_and_continued_from_its_prefix_is_the_text_not_cut(engine):
    letters = Engine(engine.model, Letters())
    requests = [Request(Letters().decode([50, 60]), 60, sample=i) for i in range(20)]
    for request, whole in zip(requests, letters.run(requests), strict=True):
        cut = letters.run([replace(request, max_tokens=20)])[0]
        if cut.stop_reason == "stop":
            continue
        rest = letters.run([replace(request, prefix=cut.text, max_tokens=40)])[0]
        assert cut.text + rest.text == whole.text


def test_stop_strings_end_the_text_and_are_left_out_of_it(engine):
    requests = mixed(60, max_tokens=80, stop=("\n", "7"))
    stopped = 0
    for request, said in zip(requests, engine.run(requests), strict=True):
        everything = TOKENIZER.decode(said.tokens.tolist())
        before = TOKENIZER.decode(said.tokens[:-1].tolist())
        assert not any(stop in before for stop in request.stop)
        if said.stop is None:
            assert said.text == everything
            continue
        stopped += 1
        assert said.stop_reason == "stop"
        assert everything.startswith(said.text + said.stop)
    assert stopped


def test_a_stop_string_of_several_tokens_is_found(engine):
    free = engine.run(mixed(30, max_tokens=60, temperature=1.0, stop=()))
    for request, said in zip(mixed(30, temperature=1.0), free, strict=True):
        pieces = [TOKENIZER.decode([t]) for t in said.tokens.tolist()]
        if len(pieces) < 12 or not all(pieces[8:11]):
            continue
        stop = "".join(pieces[8:11])
        cut = engine.run([replace(request, max_tokens=60, stop=(stop,))])[0]
        assert (cut.stop_reason, cut.stop) == ("stop", stop)
        assert cut.text == said.text[: said.text.find(stop)]


def test_end_of_text_ends_and_is_counted(engine):
    said = engine.run(mixed(100, max_tokens=200, temperature=1.3, stop=()))
    ended = [g for g in said if g.stop_reason == "stop"]
    assert ended
    for generation in said:
        at_end = np.flatnonzero(generation.tokens == TOKENIZER.eos_id).tolist()
        ends = generation.stop_reason == "stop"
        assert at_end == ([len(generation.tokens) - 1] if ends else [])
        assert generation.stop is None


def test_max_tokens_is_exact_and_clipped_to_the_context(engine):
    context = engine.model.config.context
    for most in (1, 2, 65, 66, 1000):
        request = Request("chain 3*4\n", most, temperature=0)
        said = engine.run([request])[0]
        room = context - len(TOKENIZER.encode(request.prompt))
        assert len(said.tokens) <= min(most, room)
        if said.stop_reason == "length":
            assert len(said.tokens) == min(most, room)


def test_a_prompt_in_common_is_run_once_and_paid_by_the_first(engine, monkeypatch):
    seen = []
    prefill = engine.model.prefill
    monkeypatch.setattr(engine.model, "prefill", lambda t: seen.append(t) or prefill(t))
    base = Request("chain 3*4*5*6\n", 30, question_id="a")
    others = [Request(f"chain {n}*4\n", 10, question_id=f"{n}") for n in range(2, 8)]
    requests = [others[0], *(replace(base, sample=s) for s in range(40)), *others[1:]]
    requests += [replace(base, sample=99)]
    said = engine.run(requests)  # 16 places: the siblings enter in several waves
    assert sum(len(tokens) for tokens in seen) == 7
    paid = [i for i, g in enumerate(said) if g.pays_prompt]
    assert paid == [0, 1, *range(41, 46)]


def test_the_shares_of_the_steps_add_up_to_the_steps(engine, monkeypatch):
    passes = []
    step = engine.model.step
    monkeypatch.setattr(engine.model, "step", lambda *a: passes.append(1) or step(*a))
    for hidden in (False, True):
        passes.clear()
        said = engine.run(mixed(50, want_hidden=hidden))
        assert sum(g.steps_share for g in said) == pytest.approx(len(passes))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"prompt": ""}, "at least one token"),
        ({"prompt": "chain " + "3*" * 200}, "context is 256"),
        ({"max_tokens": 0}, "at least 1"),
        ({"temperature": -0.1}, ">= 0"),
        ({"stop": ("",)}, "stop string is empty"),
        ({"prompt": "chain 3*x\n"}, "vocabulary"),
    ],
)
def test_a_request_that_cannot_be_run_is_refused_with_the_rule(engine, change, rule):
    with pytest.raises(BadInput, match=rule):
        engine.run([replace(Request("chain 3*4\n", 8), **change)])


def test_draws_follow_the_softmax_at_each_temperature():
    logits = np.log(np.array([0.5, 0.3, 0.2, 1e-30], np.float32))
    count = 40_000
    numbers = uniforms(np.arange(count, dtype=np.uint64) * 7, np.full(count, 5))
    for temperature in (1.0, 0.5, 2.0):
        tokens, logprobs = choose(
            np.tile(logits, (count, 1)), np.full(count, temperature, np.float32), numbers
        )
        weights = np.exp(logits.astype(float) / temperature)
        expected = weights / weights.sum()
        error = 4 * np.sqrt(expected * (1 - expected) / count) + 1e-9
        share = np.bincount(tokens, minlength=4) / count
        assert (np.abs(share - expected) < error).all()
        np.testing.assert_allclose(logprobs, logits[tokens], atol=1e-5)


def test_uniforms_are_even_and_unrelated_from_one_position_to_the_next():
    keys = np.arange(100, dtype=np.uint64)
    table = np.stack([uniforms(keys, np.full(100, t)) for t in range(200)])
    assert table.min() >= 0
    assert table.max() < 1
    assert abs(table.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(table[:, :-1].ravel(), table[:, 1:].ravel())[0, 1]) < 0.03
