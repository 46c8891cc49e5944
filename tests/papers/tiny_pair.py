"""The two built-in models as draft and target, and a draft that is worse than either.

The small model was trained on the same traces as the large one and guesses it nearly always right,
so what a draft tree is for shows with a draft whose weights carry noise.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from safetensors.numpy import load_file
from scipy.stats import chisquare

from bursar.backends.base import Request
from bursar.backends.speculative import Shape, SpeculativeDecoder, Spoken
from bursar.backends.speculative.verify import Rule
from bursar.backends.tiny import Tokenizer
from bursar.backends.tiny.backend import WEIGHTS
from bursar.backends.tiny.model import Llama, TinyConfig
from bursar.workload.tasks import TASKS


@cache
def target() -> Llama:
    return Llama.load(WEIGHTS / "tiny-1m")


@cache
def draft(noise: float = 0.0) -> Llama:
    """tiny-0.3m, its matrices with so much Gaussian noise, in standard deviations of each."""
    folder, rng = WEIGHTS / "tiny-0.3m", np.random.default_rng(0)
    tensors = {}
    for name, stored in load_file(folder / "model.safetensors").items():
        tensor = stored.astype(np.float32)
        spread = noise * tensor.std() if tensor.ndim == 2 else 0.0
        tensors[name] = tensor + spread * rng.standard_normal(tensor.shape, np.float32)
    return Llama(TinyConfig.from_file(folder / "config.json"), tensors)


def requests(
    count: int, seed: int, *, max_tokens: int = 30, temperature: float = 1.0
) -> list[Request]:
    """`count` questions of each task."""
    return [
        Request(q.prompt, max_tokens, f"{task}/{q.id}", temperature=temperature, seed=seed)
        for task in TASKS
        for q in TASKS[task].generate(count, seed=seed)
    ]


def speak(
    asked: Sequence[Request], shape: Shape, *, noise: float = 0.0, rule: Rule | None = None
) -> list[Spoken]:
    decoder = SpeculativeDecoder(draft(noise), target(), Tokenizer(), shape, rule=rule)
    return decoder.run(asked)


def tokens_per_call(texts: Sequence[Spoken]) -> float:
    return sum(len(text.tokens) for text in texts) / sum(text.target.passes for text in texts)


def judged_per_call(texts: Sequence[Spoken]) -> float:
    """Candidates that the target ran."""
    return sum(text.proposed for text in texts) / sum(text.target.passes for text in texts)


def p_value(texts: Sequence[Spoken], temperature: float = 1.0) -> float:
    """Chi-square test of what was said after one prompt against the target's exact probabilities.

    Rare texts are counted together.
    """
    (prompt,) = {tuple(text.prompt) for text in texts}
    (length,) = {text.most for text in texts}
    exact = _exact(prompt, length, 5 / len(texts), temperature)
    said = [tuple(text.tokens) for text in texts]
    seen = np.array([said.count(tokens) for tokens in exact] + [0.0])
    expected = len(texts) * np.array([*exact.values(), 1 - sum(exact.values())])
    seen[-1] = len(texts) - seen.sum()
    assert len(exact) > 8
    return float(chisquare(seen, expected).pvalue)


@cache
def _exact(
    prompt: tuple[int, ...], length: int, least: float, temperature: float
) -> dict[tuple[int, ...], float]:
    """Texts of `length` tokens (or to the end of text) that are at least so likely."""
    open_texts, done = {(): 1.0}, {}
    for _ in range(length):
        rows = np.array([prompt + text for text in open_texts])
        logits = target().forward(rows)[:, -1].astype(np.float64) / temperature
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        longer = {}
        for (text, before), row in zip(open_texts.items(), chances, strict=True):
            for token in np.flatnonzero(before * row >= least).tolist():
                kept = done if token == Tokenizer.eos_id else longer
                kept[(*text, token)] = before * row[token]
        open_texts = longer
    return done | open_texts
