"""What spending buys: curves, estimators, difficulty, voting.

base             the protocol of a value curve
fitting          what fitted curves share: fit, bootstrap interval
saturation, power_law, sigmoid      the curves
pass_at_k, majority                 unbiased estimates from recorded samples
difficulty       success rates of a task's questions, from a few probes
arm_difficulty   the same for several prompts or models that share their difficulty
voting           is the leading answer safely ahead?
answer_belief    which answer is right, and what would more attempts by each arm buy?
efficiency       accuracy against tokens, as one number
ttspm            the budget at which a curve saturates
"""

from bursar.value.answer_belief import AnswerBelief, AnswerLaw, Votes
from bursar.value.arm_difficulty import ArmDifficulty
from bursar.value.base import ValueCurve
from bursar.value.difficulty import BetaDifficulty
from bursar.value.efficiency import e3
from bursar.value.majority import majority_at_k, majority_of, weighted_majority_at_k
from bursar.value.pass_at_k import pass_at_k
from bursar.value.power_law import PowerLaw
from bursar.value.saturation import Saturation
from bursar.value.sigmoid import Sigmoid
from bursar.value.ttspm import TTSPM, budget_of_law
from bursar.value.voting import p_top_beats_second

CURVES: dict[str, type[ValueCurve]] = {
    "saturation": Saturation,
    "power-law": PowerLaw,
    "sigmoid": Sigmoid,
}

__all__ = [
    "CURVES",
    "TTSPM",
    "AnswerBelief",
    "AnswerLaw",
    "ArmDifficulty",
    "BetaDifficulty",
    "PowerLaw",
    "Saturation",
    "Sigmoid",
    "ValueCurve",
    "Votes",
    "budget_of_law",
    "e3",
    "majority_at_k",
    "majority_of",
    "p_top_beats_second",
    "pass_at_k",
    "weighted_majority_at_k",
]
