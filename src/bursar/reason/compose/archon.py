"""Archon: searches for the composition of inference techniques that a call budget is best spent on.

Paper: Saad-Falcon et al., "Archon: An Architecture Search Framework for Inference-Time Techniques",
  2024, arXiv:2409.15254; section 3 (components, rules), section 3.3 (search by Bayesian
  optimization).
Symbols: inference call budget -> calls; K of top-K ranker -> keep; generator ensemble -> first two
  layers.
Differs: the search is optuna's tree-structured Parzen estimator instead of a Gaussian process; a
  layer that would pass the budget is cut or left out, so that every trial can be tried; critic and
  fuser are one layer, by revision, as the built-in models can't read several candidates at once;
  unit tests are the task's exact checker, where it may be asked.
Checked: tests/papers/test_archon.py: where components complement each other, the composition found
  beats the best single technique on held-out questions at equal calls, and random search at equal
  trials; on recorded outputs of the built-in model one tuned technique is as good.
Seed: 188
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import BadInput
from bursar.reason.base import Arm
from bursar.reason.compose.composition import WEIGHTS, Composition
from bursar.reason.compose.layers import Fuse, Generate, Layer, Rank, Verify

if TYPE_CHECKING:
    import optuna

Objective = Callable[[Composition], float]
"""What a composition is worth, measured: its accuracy on questions kept for the search."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best composition of a search, what it was worth, and the best so far after each trial."""

    composition: Composition
    value: float
    best_by_trial: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Archon:
    """Compositions of at most `calls` calls a question, of models `backends`, warm or cold.

    `verifiers` are those that the layers between may use, of which there are up to `depth`.
    `fuse` False leaves revisions out, which not every model can. `uniform` draws at random: the
    control. Needs the search extra (optuna).
    """

    backends: tuple[str, ...]
    calls: int
    temperatures: tuple[float, ...] = (0.0, 0.4, 0.7, 1.0)
    verifiers: tuple[str, ...] = ("likelihood", "process_reward", "self_evaluation")
    depth: int = 2
    fuse: bool = True
    uniform: bool = False

    def search(self, objective: Objective, trials: int, seed: int = 0) -> Found:
        """The best of `trials` compositions; the same with the same seed and objective."""
        try:
            import optuna
        except ImportError:
            raise BadInput(
                "searching compositions needs optuna, which is not installed; "
                'pip install "bursar[search]"'
            ) from None
        if trials < 1:
            raise BadInput(f"{trials} trials: search with at least 1")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        samplers = optuna.samplers
        sampler = samplers.RandomSampler(seed) if self.uniform else samplers.TPESampler(seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(lambda trial: objective(self.composition(trial)), n_trials=trials)
        values = [trial.value or 0.0 for trial in study.trials]
        best = tuple(max(values[: i + 1]) for i in range(len(values)))
        return Found(self.composition(study.best_trial), study.best_value, best)

    def composition(self, trial: optuna.trial.BaseTrial) -> Composition:
        """The composition that a trial's parameters stand for, cut to the call budget."""
        first = trial.suggest_int("first count", 1, self.calls)
        second = trial.suggest_int("second count", 0, self.calls)
        layers: list[Layer] = [
            Generate(self._arm(trial, name), count)
            for name, count in (("first", first), ("second", min(second, self.calls - first)))
            if count
        ]
        kinds = ("none", "verify", "rank", *(("fuse",) if self.fuse else ()))
        for place in range(self.depth):
            kind = trial.suggest_categorical(f"{place} kind", kinds)
            left = self.calls - Composition(tuple(layers)).calls
            layers += self._between(trial, place, str(kind), left)
            if Composition(tuple(layers)).calls > self.calls:
                layers.pop()  # a verifier that has to be bought for more candidates than calls left
        weight = trial.suggest_categorical("weight", WEIGHTS)
        return Composition(tuple(layers), str(weight))

    def _arm(self, trial: optuna.trial.BaseTrial, name: str) -> Arm:
        backend = trial.suggest_categorical(f"{name} model", self.backends)
        temperature = trial.suggest_categorical(f"{name} temperature", self.temperatures)
        return Arm(str(backend), float(temperature))

    def _between(
        self, trial: optuna.trial.BaseTrial, place: int, kind: str, left: int
    ) -> Sequence[Layer]:
        if kind == "fuse":
            count = min(left, trial.suggest_int(f"{place} fuse count", 1, self.calls))
            return [Fuse(count)] if count else []
        if kind == "none":
            return []
        verifier = str(trial.suggest_categorical(f"{place} verifier", self.verifiers))
        if kind == "verify":
            return [Verify(verifier)]
        return [Rank(verifier, trial.suggest_int(f"{place} keep", 1, self.calls))]
