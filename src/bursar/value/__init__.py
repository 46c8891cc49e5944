"""What spending buys: curves, estimators, difficulty, voting.

base             the protocol of a value curve
fitting          what fitted curves share: fit, bootstrap interval
saturation, power_law, sigmoid      the curves
heterogeneous    curves that may also be flat, fall, or have a peak
pass_at_k, majority                 unbiased estimates from recorded samples
difficulty       success rates of a task's questions, from a few probes
arm_difficulty   the same for several prompts or models that share their difficulty
voting           is the leading answer safely ahead?
answer_belief    which answer is right, and what would more attempts by each arm buy? Its counts are
                 in answer_evidence, the race of votes in overtaking
outcomes         what several ways to answer did on the same questions
text_features    what a question is like, from its words
v0               how a policy never seen before will do, from its history
efficiency       accuracy against tokens, as one number
ttspm            the budget at which a curve saturates
solve_or_verify  how to split a budget between solutions and verdicts on them
settings         what models, lengths, samples on a device are worth and cost: a menu
rag_allocation   documents, demonstrations and iterations of retrieval
kinetics, edge_reasoning   that menu with costs of a full device, and before a deadline
"""

from bursar.value.answer_belief import AnswerBelief, AnswerLaw
from bursar.value.answer_evidence import Votes
from bursar.value.arm_difficulty import ArmDifficulty
from bursar.value.base import ValueCurve
from bursar.value.difficulty import BetaDifficulty
from bursar.value.edge_reasoning import EdgeReasoning, recorded_value
from bursar.value.efficiency import e3
from bursar.value.heterogeneous import Returns
from bursar.value.kinetics import KineticsChoice, overtaking_context
from bursar.value.majority import majority_at_k, majority_of, weighted_majority_at_k
from bursar.value.outcomes import Outcomes
from bursar.value.pass_at_k import pass_at_k
from bursar.value.power_law import PowerLaw
from bursar.value.rag_allocation import Informativeness, RagAllocation
from bursar.value.saturation import Saturation
from bursar.value.settings import Menu, Setting
from bursar.value.sigmoid import Sigmoid
from bursar.value.solve_or_verify import SolveOrVerify, Split
from bursar.value.text_features import TextFeatures, TextSpace
from bursar.value.ttspm import TTSPM, budget_of_law
from bursar.value.v0 import V0
from bursar.value.voting import p_top_beats_second

CURVES: dict[str, type[ValueCurve]] = {
    "saturation": Saturation,
    "power-law": PowerLaw,
    "sigmoid": Sigmoid,
}

__all__ = [
    "CURVES",
    "TTSPM",
    "V0",
    "AnswerBelief",
    "AnswerLaw",
    "ArmDifficulty",
    "BetaDifficulty",
    "EdgeReasoning",
    "Informativeness",
    "KineticsChoice",
    "Menu",
    "Outcomes",
    "PowerLaw",
    "RagAllocation",
    "Returns",
    "Saturation",
    "Setting",
    "Sigmoid",
    "SolveOrVerify",
    "Split",
    "TextFeatures",
    "TextSpace",
    "ValueCurve",
    "Votes",
    "budget_of_law",
    "e3",
    "majority_at_k",
    "majority_of",
    "overtaking_context",
    "p_top_beats_second",
    "pass_at_k",
    "recorded_value",
    "weighted_majority_at_k",
]
