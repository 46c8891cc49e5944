"""CloudMatrix384: how fast a supernode prefills and decodes with experts spread over its dies.

Paper: Pengfei Zuo, Huimin Lin, Junbo Deng, Nan Zou, et al., "Serving Large Language Models on
    Huawei CloudMatrix384", 2025, arXiv:2506.12708; sections 4 and 5.
Symbols: EP degree -> ranks (one die is one rank, and keeps its own sequences); batch -> batch, of
    one NPU; TPOT -> tpot_seconds; MTP acceptance -> accepted.
Differs: operators follow one another, where the paper overlaps two microbatches (its gain is 6 to
    9 % in decoding); experts are evenly used and none is held twice (its perfect balance);
    dispatch is counted in 16 bits like combine, and `link` is the share at which that gives the
    published times; attention and matrix products reach the same share of the peak.
Checked: tests/papers/test_cloudmatrix384.py: from its measured operators alone, prefill within
    10 % of the published 6,688 tokens/s an NPU; at the published batches decode within 30 % of
    1,943 (49.4 ms) and of 538 (14.9 ms), though 32 to 37 % above its three other rows; over RDMA
    instead of the bus, at goals of 30 ms and more, experts on 320 dies lose to experts on 32.
Seed: 98
"""

from dataclasses import dataclass, field, replace

import numpy as np

from bursar.catalog import Device, ModelSpec
from bursar.cost.deployment import Deployment, Efficiency
from bursar.cost.memory import max_sequences, require_fit
from bursar.cost.step import step_arrays
from bursar.cost.work import Array
from bursar.errors import BadInput, Infeasible

CLOUDMATRIX384 = Efficiency(
    compute=0.654,
    memory=0.841,
    link=0.64,
    seconds_per_layer=23e-6,
    seconds_per_collective=34e-6,
)
"""What the paper measures of single operators on one die; no rate of a whole server is in it.

Attention: 65.4 % of the peak, 84.1 % of the memory's bandwidth. Dispatch and combine of 128 tokens:
116 + 118 us among 8 ranks, 152 + 149 us among 256; the growth is latency, the rest bandwidth.
Launching a graph takes 0.6 to 0.8 ms, and a step of 61 layers has two.
"""


@dataclass(frozen=True, slots=True)
class Decode:
    """`batch` sequences on each NPU: time between a sequence's tokens, and an NPU's rate."""

    batch: int
    tpot_seconds: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Supernode:
    """A mixture of experts on `ranks` dies, `dies` of which are one NPU.

    Each step also checks one token that was guessed for each sequence, right in `accepted` of all
    cases. Guessing runs one more layer and the output head again. Raises `BadInput` unless
    `accepted` is in [0, 1].
    """

    model: ModelSpec
    die: Device
    dies: int = 2
    accepted: float = 0.7
    dtype: str = "int8"
    efficiency: Efficiency = field(default=CLOUDMATRIX384)

    def __post_init__(self) -> None:
        if not 0 <= self.accepted <= 1:
            raise BadInput(f"accepted = {self.accepted}; it is a share, between 0 and 1")

    def prefill(self, ranks: int, prompt: int, prompts: int) -> float:
        """Tokens per second and NPU, when each NPU runs `prompts` prompts of so many tokens.

        Raises `Infeasible` when they do not fit.
        """
        place, all_prompts = self._place(ranks), prompts * ranks / self.dies
        require_fit(place, all_prompts, prompt)
        steps = step_arrays(place, prompt, 0, all_prompts)
        return prompts * prompt / float(steps.seconds)

    def decode(self, ranks: int, batch: int, context: int) -> Decode:
        """`batch` sequences an NPU, with so many tokens before the next one.

        Raises `Infeasible` when they do not fit.
        """
        place, sequences = self._place(ranks), batch * ranks / self.dies
        require_fit(place, sequences, context)
        return self._decode(place, np.array([batch], dtype=np.float64), context)[0]

    def decode_within(self, ranks: int, context: int, tpot_seconds: float) -> Decode:
        """The fastest decoding whose time between tokens keeps a goal.

        Raises `Infeasible` when one sequence an NPU is already too slow, or none fits.
        """
        place = self._place(ranks)
        most = (max_sequences(place, context) or 0) * self.dies // ranks
        if most < 1:
            require_fit(place, ranks / self.dies, context)
        found = self._decode(place, np.arange(1.0, most + 1), context)
        good = [one for one in found if one.tpot_seconds <= tpot_seconds]
        if not good:
            raise Infeasible(
                f"{place.model.name} over {ranks} dies takes {1e3 * found[0].tpot_seconds:.1f} ms "
                f"between tokens with one sequence an NPU; the goal is {1e3 * tpot_seconds:g} ms: "
                "relax it, or use more dies"
            )
        return max(good, key=lambda one: one.tokens_per_second)

    def over(self, bytes_per_second: float) -> "Supernode":
        """The same with a bus of this bandwidth to each die, both directions together."""
        link = {"link_bytes_per_second": bytes_per_second}
        return replace(self, die=self.die.model_copy(update=link))

    def _place(self, ranks: int) -> Deployment:
        return Deployment(
            self.model, self.die, dp=ranks, dtype=self.dtype, efficiency=self.efficiency
        )

    def _decode(self, place: Deployment, batch: Array, context: int) -> list[Decode]:
        sequences = batch[:, None] * place.dp / self.dies
        steps = step_arrays(place, 2, context, sequences)  # the last token and the guess after it
        seconds = steps.seconds * (1 + 1 / place.model.layers) + steps.terms["head"]
        tokens = 1 + self.accepted
        return [
            Decode(int(b), float(s / tokens), float(b * tokens / s))
            for b, s in zip(batch, seconds, strict=True)
        ]
