"""SpecMemo: how much memory speculation takes, and the candidates worth keeping in less of it.

Paper: Selin Yildirim, Deming Chen, "SpecMemo: Speculative Decoding is in Your Pocket", 2025,
    arXiv:2506.01986; the model of the memory footprint, its lower bound, trimmed candidates.
Symbols: generation memory -> `Footprint.bytes`; candidates -> nodes.
Differs: two models instead of extra decoding heads; what to trim follows from acceptance by place
    among siblings, measured beforehand, not from a search by hand; scratch memory of a pass is not
    counted; one device, no distributed variant.
Checked: tests/papers/test_spec_memo.py: measured buffers stay within the computed bound; at half of
    the candidates' memory or less, at least 0.9 of the tokens per target call; a tree cut without
    regard to acceptance loses more; below the bound the gain shrinks to nothing.
Seed: 126
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bursar.backends.speculative.decoder import Spoken
from bursar.backends.speculative.rsd import RsdC
from bursar.backends.tiny.model import TinyConfig
from bursar.errors import Infeasible

Path = tuple[int, ...]
"""A candidate by the places of its ancestors and itself among their siblings."""
ROOT: Path = ()


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that generation of one text takes beside the weights."""

    draft_token_bytes: int
    """Keys and values of a token in the draft's cache."""
    target_token_bytes: int
    distribution_bytes: int
    """Of a candidate: what the target says after it, and what the draft expects."""

    @classmethod
    def of(cls, draft: TinyConfig, target: TinyConfig) -> Footprint:
        """Of the decoder here: logits in float32, the draft's distributions in float64."""
        return cls(draft.kv_bytes_per_token, target.kv_bytes_per_token, (4 + 8) * target.vocab)

    @property
    def candidate_bytes(self) -> int:
        """What one more candidate takes."""
        return self.draft_token_bytes + self.target_token_bytes + self.distribution_bytes

    def bytes(self, longest: int, nodes: int) -> int:
        """Of texts of `longest` tokens, prompt included, with `nodes` candidates; 0: no draft."""
        if not nodes:
            return self.target_token_bytes * longest + self.distribution_bytes
        text = (self.draft_token_bytes + self.target_token_bytes) * longest
        return text + self.distribution_bytes + self.candidate_bytes * nodes  # and at the root


@dataclass(frozen=True, slots=True)
class SpecMemo:
    """Trims `full` to a budget, by how often draws are kept (see `kept_by_place`)."""

    footprint: Footprint
    full: RsdC
    kept: tuple[tuple[float, ...], ...]
    """By level and place among siblings, of the times that the parent was kept."""

    def fit(self, budget_bytes: float, longest: int) -> RsdC:
        """The best tree that fits beside texts of `longest` tokens; an empty one if none does.

        Raises `Infeasible` when not even the target alone fits.
        """
        if (alone := self.footprint.bytes(longest, 0)) > budget_bytes:
            raise Infeasible(
                f"{longest} tokens take {alone} bytes without speculation, but the budget is "
                f"{budget_bytes:g}, {alone - budget_bytes:g} too little; allow fewer tokens"
            )
        nodes = self.full.most_nodes
        while nodes and self.footprint.bytes(longest, nodes) > budget_bytes:
            nodes -= 1
        return self.trimmed(nodes)

    def least_bytes(self, longest: int, share: float = 0.9) -> int:
        """Least memory at which so much of the full tree's expected tokens per call is left."""
        goal = share * self.expected_tokens(self.full.most_nodes)
        enough = next(n for n in range(self.full.most_nodes + 1) if self.expected_tokens(n) >= goal)
        return self.footprint.bytes(longest, enough)

    def expected_tokens(self, nodes: int) -> float:
        """Tokens per target call with the `nodes` most valuable candidates."""
        return 1.0 + sum(sorted(self._values().values(), reverse=True)[:nodes])

    def trimmed(self, nodes: int) -> RsdC:
        """`full` with only its `nodes` most valuable candidates."""
        values = self._values()
        paths = set(sorted(values, key=lambda path: (-values[path], len(path), path))[:nodes])
        counts, level = list[tuple[int, ...]](), [ROOT] if paths else []
        while level:
            below = [[child for child in sorted(paths) if child[:-1] == path] for path in level]
            counts.append(tuple(len(children) for children in below))
            level = [child for children in below for child in children]
        return RsdC(tuple(counts[:-1]))

    def _values(self) -> dict[Path, float]:
        """By path of places: the chance that a candidate is said; none above an earlier sibling."""
        values, level = {ROOT: 1.0}, [ROOT]
        for counts, kept in zip(self.full.counts, self.kept, strict=True):
            below = list[Path]()
            for path, count in zip(level, counts, strict=True):
                chances = np.minimum.accumulate(kept)[:count].tolist()
                children = {(*path, i): values[path] * chance for i, chance in enumerate(chances)}
                values |= children
                below += children
            level = below
        del values[ROOT]
        return values


def kept_by_place(
    texts: Iterable[Spoken], levels: int, places: int
) -> tuple[tuple[float, ...], ...]:
    """How often the draw at each place was the one kept, of all verdicts on a level.

    From texts that were drafted with a full tree.
    """
    counts = np.zeros((levels, places + 1))  # the last column: none was kept
    for text in texts:
        for level, place in text.verdicts:
            counts[level, place] += 1
    shares = counts[:, :places] / np.maximum(1, counts.sum(axis=1, keepdims=True))
    return tuple(map(tuple, shares.tolist()))
