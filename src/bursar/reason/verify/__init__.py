"""Verifiers, and strategies that split a budget between solving and verifying."""

from bursar.reason.verify.base import Verifier, judge, mean_scores
from bursar.reason.verify.genrm import GenRM
from bursar.reason.verify.known import ExactCheck, Likelihood, ProcessReward
from bursar.reason.verify.noisy import Noisy
from bursar.reason.verify.self_evaluation import SelfEvaluation
from bursar.reason.verify.split import SolveOrVerifyStrategy, pilot

VERIFIERS: dict[str, Verifier] = {
    "exact": ExactCheck(),
    "process_reward": ProcessReward(),
    "likelihood": Likelihood(),
    "self_evaluation": SelfEvaluation(),
}
"""Name -> verifier with its usual settings; `Noisy` wraps any of them."""

__all__ = [
    "VERIFIERS",
    "ExactCheck",
    "GenRM",
    "Likelihood",
    "Noisy",
    "ProcessReward",
    "SelfEvaluation",
    "SolveOrVerifyStrategy",
    "Verifier",
    "judge",
    "mean_scores",
    "pilot",
]
