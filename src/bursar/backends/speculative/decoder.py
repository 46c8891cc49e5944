"""Speculative decoding of several texts at once: draft trees, one target pass, what is kept.

Every round gives each text at least one token. The draft runs a level of all texts' trees in one
pass; the target runs all the trees in one. A prompt is run with the first tree.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bursar.backends.base import Request
from bursar.backends.speculative.cache import Reading, SequenceCache, Work, read
from bursar.backends.speculative.tree import Doubles, DraftTree, Shape
from bursar.backends.speculative.verify import Rule, Verdict, draw, one_by_one, without_replacement
from bursar.backends.tiny.engine import Engine, TextCodec
from bursar.backends.tiny.model import Floats, Llama
from bursar.backends.tiny.sampling import draw_key
from bursar.errors import BadInput


@dataclass(slots=True)
class Spoken:
    """One request on its way, and what it got. `tokens` are those said, with the one that ended it.

    `proposed` counts candidates that the target ran, `accepted` those of them that were said.
    """

    request: Request
    prompt: list[int]
    most: int
    rng: np.random.Generator
    draft_cache: SequenceCache | None = None
    target_cache: SequenceCache | None = None
    draft: Work = field(default_factory=Work)
    target: Work = field(default_factory=Work)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    stop_reason: str = ""
    stop: str | None = None
    proposed: int = 0
    accepted: int = 0
    verdicts: list[tuple[int, int]] = field(default_factory=list)
    """(level, place of the draw that was kept, -1 for none) wherever the target judged draws."""
    peak_bytes: int = 0
    """Most bytes of caches and candidates (tree distributions, target logits) held at a time."""

    @property
    def whole(self) -> list[int]:
        """Prompt and what was said."""
        return self.prompt + self.tokens


class SpeculativeDecoder:
    """Two models of one vocabulary; says what `target` alone would, in distribution.

    Greedy texts are the same but for rounding. Not safe for several threads at the same time.
    """

    def __init__(
        self,
        draft: Llama,
        target: Llama,
        codec: TextCodec,
        shape: Shape,
        *,
        rule: Rule | None = None,
        max_batch: int = 32,
    ) -> None:
        if draft.config.vocab != target.config.vocab:
            raise BadInput(
                f"the draft knows {draft.config.vocab} tokens and the target "
                f"{target.config.vocab}; both must share one vocabulary"
            )
        self.engine = Engine(target, codec, max_batch=max_batch)
        self.draft, self.target, self.shape = draft, target, shape
        self.rule = rule or (one_by_one if shape.independent else without_replacement)
        self._pieces = [codec.decode([i]) for i in range(target.config.vocab)]

    def tokenize(self, request: Request) -> tuple[list[int], int]:
        """As `Engine.tokenize`, in the smaller context of the two models."""
        if request.max_tokens < 1:
            raise BadInput(f"max_tokens is {request.max_tokens}, but must be at least 1")
        tokens, most = self.engine.tokenize(request)
        room = self.draft.config.context - len(tokens)
        if room < 1:
            raise BadInput(
                f"prompt and prefix are {len(tokens)} tokens, but the draft's context is "
                f"{self.draft.config.context}; shorten the prefix"
            )
        return tokens, min(most, room)

    def run(
        self, requests: Sequence[Request], clock: Callable[[], float] = time.perf_counter
    ) -> list[Spoken]:
        """One text per request, in order; the shortest `seconds` among them ends the run."""
        texts = [self._text(request) for request in requests]
        limits = [r.seconds for r in requests if r.seconds is not None]
        end = clock() + min(limits) if limits else None
        waiting, active = deque(texts), list[Spoken]()
        while (waiting or active) and (end is None or clock() < end):
            while waiting and len(active) < self.engine.max_batch:
                active.append(self._begin(waiting.popleft()))
            self._round(active)
            active = [text for text in active if not text.stop_reason]
        for text in texts:
            text.stop_reason = text.stop_reason or "length"
            text.draft_cache = text.target_cache = None
        return texts

    def _text(self, request: Request) -> Spoken:
        tokens, most = self.tokenize(request)
        return Spoken(request, tokens, most, np.random.default_rng(draw_key(request)))

    def _begin(self, text: Spoken) -> Spoken:
        longest = len(text.prompt) + text.most
        nodes = self.shape.most_nodes
        if nodes:
            text.draft_cache = SequenceCache(self.draft.config, longest + nodes)
        text.target_cache = SequenceCache(self.target.config, longest + nodes)
        return text

    def _round(self, texts: Sequence[Spoken]) -> None:
        trees = self._drafted(texts)
        readings = [self._judged(text, tree) for text, tree in zip(texts, trees, strict=True)]
        for text, tree, logits in zip(texts, trees, read(self.target, readings), strict=True):
            text.proposed += len(tree.tokens) - 1
            text.peak_bytes = max(text.peak_bytes, _held_bytes(text, tree, logits))
            self._walk(text, tree, logits)

    def _drafted(self, texts: Sequence[Spoken]) -> list[DraftTree]:
        """A tree for each text, grown level by level, no deeper than there are tokens to say."""
        trees = [DraftTree([text.whole[-1]]) for text in texts]
        while growing := [
            (text, tree)
            for text, tree in zip(texts, trees, strict=True)
            if tree.frontier
            and tree.depth < min(self.shape.most_depth, text.most - len(text.tokens) - 1)
        ]:
            readings = [self._asked(text, tree) for text, tree in growing]
            for (text, tree), logits in zip(growing, read(self.draft, readings), strict=True):
                heat = text.request.temperature
                for node, row in zip(tree.frontier, logits, strict=True):
                    tree.log_p[node] = log_softmax(row, heat or 1.0)
                if tree.frontier == [0]:
                    cache = _known(text.draft_cache)
                    cache.keep(range(cache.held - cache.length))
                self.shape.grow(tree, text.rng if heat else None)
        return trees

    def _asked(self, text: Spoken, tree: DraftTree) -> Reading:
        """The text that the draft has not seen yet; then, level by level, the frontier."""
        cache = _known(text.draft_cache)
        if tree.frontier == [0]:
            new = text.whole[cache.length :]
            causal = np.tri(len(new), dtype=np.bool_)
            return Reading(cache, text.draft, new, _after(cache, len(new)), causal, heads=1)
        run = [*_run_by_draft(tree), *tree.frontier]
        visible = tree.ancestors()[np.ix_(tree.frontier, run)]
        tokens = [tree.tokens[node] for node in tree.frontier]
        places = [cache.length - 1 + tree.depths[node] for node in tree.frontier]
        return Reading(cache, text.draft, tokens, places, visible, heads=len(tokens))

    def _judged(self, text: Spoken, tree: DraftTree) -> Reading:
        """What the target has not seen yet of the text, which ends in the root, and the tree."""
        cache = _known(text.target_cache)
        before = text.whole[cache.length : -1]
        n = len(before)
        visible = np.tri(n + len(tree.tokens), dtype=np.bool_)
        visible[n:, n:] = tree.ancestors()
        places = [*_after(cache, n), *(cache.length + n + depth for depth in tree.depths)]
        return Reading(
            cache, text.target, before + tree.tokens, places, visible, heads=len(tree.tokens)
        )

    def _walk(self, text: Spoken, tree: DraftTree, logits: Floats) -> None:
        """Down the tree as long as the target keeps a draw; one more token where it ends."""
        cache = _known(text.target_cache)
        node, path, ended = 0, [0], False
        while not ended:
            verdict = self._judge(text, tree, node, logits[node])
            text.logprobs.append(float(log_softmax(logits[node], 1.0)[verdict.token]))
            text.tokens.append(verdict.token)
            ended = self._ends(text) or verdict.place is None
            if verdict.place is not None:
                text.accepted += 1
                node = tree.draws[node][verdict.place]
                path.append(node)
        before = cache.held - cache.length - len(tree.tokens)
        cache.keep([*range(before), *(before + node for node in path)])
        if tree.log_p[0] is not None:
            run = _run_by_draft(tree)
            _known(text.draft_cache).keep([run.index(node) for node in path if node in run])

    def _judge(self, text: Spoken, tree: DraftTree, node: int, logits: Floats) -> Verdict:
        q = target_probabilities(logits, text.request.temperature)
        draws = tree.draws[node]
        if not draws:
            return Verdict(draw(q, text.rng), None)
        verdict = self.rule(tree.expected(node), q, [tree.tokens[n] for n in draws], text.rng)
        place = -1 if verdict.place is None else verdict.place
        text.verdicts.append((tree.depths[node], place))
        return verdict

    def _ends(self, text: Spoken) -> bool:
        text.text += self._pieces[text.tokens[-1]]
        found = {text.text.find(stop): stop for stop in text.request.stop if stop in text.text}
        if found:
            text.text, text.stop = text.text[: min(found)], found[min(found)]
        if found or text.tokens[-1] == self.engine.tokenizer.eos_id:
            text.stop_reason = "stop"
        elif len(text.tokens) >= text.most:
            text.stop_reason = "length"
        return bool(text.stop_reason)


def log_softmax(logits: Floats, temperature: float) -> Doubles:
    """Log-probabilities (vocab,) at a temperature above 0, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max()
    return np.asarray(scaled - np.log(np.exp(scaled).sum()))


def target_probabilities(logits: Floats, temperature: float) -> Doubles:
    """Probabilities (vocab,); at temperature 0 all on the likeliest token."""
    if temperature:
        return np.exp(log_softmax(logits, temperature))
    sure = np.zeros(len(logits))
    sure[logits.argmax()] = 1.0
    return sure


def _after(cache: SequenceCache, count: int) -> range:
    """Positions of the next `count` tokens of the text."""
    return range(cache.length, cache.length + count)


def _run_by_draft(tree: DraftTree) -> list[int]:
    """Candidates that the draft has run, in the order it did."""
    return [node for node in range(1, len(tree.tokens)) if tree.log_p[node] is not None]


def _held_bytes(text: Spoken, tree: DraftTree, logits: Floats) -> int:
    caches = [cache.nbytes for cache in (text.draft_cache, text.target_cache) if cache]
    return sum(caches) + logits.nbytes + sum(p.nbytes for p in tree.log_p if p is not None)


def _known(cache: SequenceCache | None) -> SequenceCache:
    assert cache is not None
    return cache
