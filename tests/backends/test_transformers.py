"""The transformers backend on a random Llama: exact counts and draws, true log-probabilities."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch

from bursar.backends import Request
from bursar.backends.transformers import TransformersBackend
from bursar.errors import BadInput
from hugging_face_models import save_random_llama

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    save_random_llama(folder)
    return str(folder)


@pytest.fixture(scope="module")
def backend(folder):
    return TransformersBackend.open(folder, batch_size=64, chat=False)


def logits_after(backend, text):
    ids = torch.tensor([backend._tokenizer.encode(text)])
    with torch.inference_mode():
        return backend._model(ids).logits[0].double()


async def test_draws_follow_the_softmax_at_their_temperature(backend):
    count = 3000
    logits = logits_after(backend, "why ?")[-1]
    for temperature in (1.0, 0.05):
        chances = torch.softmax(logits / temperature, 0).numpy()
        tops = np.argsort(-chances)[:5]
        asked = [
            Request("why ?", 1, sample=s, temperature=temperature, seed=7) for s in range(count)
        ]
        done = await backend.complete(asked)
        expected = torch.log_softmax(logits, 0).numpy()
        for top in tops:
            drawn = sum(bool(np.isclose(c.logprobs[0], expected[top], atol=1e-6)) for c in done)
            noise = np.sqrt(chances[top] * (1 - chances[top]) / count)
            assert drawn / count == pytest.approx(chances[top], abs=4 * noise + 1e-9)


async def test_logprobs_are_the_models_at_temperature_one(backend):
    request = Request("tell", 12, temperature=0.0)
    (done,) = await backend.complete([request])
    text = "tell"
    tokens = []
    for _ in range(int(done.usage.tokens_out)):  # greedy by hand, a whole pass per token
        ids = backend._tokenizer.encode(text) + tokens
        with torch.inference_mode():
            scores = backend._model(torch.tensor([ids])).logits[0, -1]
        tokens.append(int(scores.argmax()))
        logprob = float(torch.log_softmax(scores, 0)[tokens[-1]])
        assert done.logprobs[len(tokens) - 1] == pytest.approx(logprob, abs=1e-4)
    assert done.text == backend._tokenizer.decode(tokens, skip_special_tokens=True)


async def test_prompts_of_other_lengths_and_limits_in_one_call(backend):
    asked = [Request("x" * n, 2 + n % 3, sample=n) for n in range(1, 10)]
    for request, done in zip(asked, await backend.complete(asked), strict=True):
        assert done.usage.tokens_in == len(request.prompt)
        assert done.usage.tokens_out <= request.max_tokens
        (alone,) = await backend.complete([request])
        assert alone.text == done.text


async def test_a_stop_string_ends_text_and_count(backend):
    asked = [Request("why ?", 60, sample=s) for s in range(8)]
    free = await backend.complete(asked)
    seen = "".join(c.text for c in free)
    stop = max((letter for letter in set(seen) if letter.isascii()), key=seen.count)
    held = await backend.complete([Request("why ?", 60, sample=s, stop=(stop,)) for s in range(8)])
    shorter = 0
    for long, short in zip(free, held, strict=True):
        assert stop not in short.text
        assert long.text.split(stop)[0] == short.text
        assert len(short.logprobs) == short.usage.tokens_out <= long.usage.tokens_out
        assert (short.stop_reason == "stop") == (stop in long.text or long.stop_reason == "stop")
        shorter += short.usage.tokens_out < long.usage.tokens_out
    assert shorter


async def test_a_chat_template_is_used_when_there_is_one(folder):
    backend = TransformersBackend.open(folder)
    (done,) = await backend.complete([Request("why ?", 3, prefix="so")])
    assert done.usage.tokens_in == len("why ?") + 2 + len("so")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(BadInput, match="can't load"):
        TransformersBackend.open(str(tmp_path))
