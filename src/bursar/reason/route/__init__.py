"""Routers: which of several models, or ways to use them, answers a question, at a price.

base           the protocols of an estimator and of a router, `play`
random_choice, best_single, similarity, classifier, blend     estimators of P(right)
by_history     the same for models never trained on (V0)
oracle         the bound
direct         one way per question: value less price x cost
cascade        a cheap way first, on where its answer does not look right
routed         the strategy: routers spend a purse on models
compute_optimal   a table of strategies per bin of estimated difficulty
frontier       accuracy over cost, and the price for a goal
"""

from collections.abc import Callable

from bursar.reason.route.base import STOP, Estimator, Played, Router, play
from bursar.reason.route.best_single import BestSingle
from bursar.reason.route.blend import Blend
from bursar.reason.route.by_history import ByHistory
from bursar.reason.route.cascade import Cascade
from bursar.reason.route.classifier import Classifier
from bursar.reason.route.compute_optimal import ComputeOptimal, Probe, Searched
from bursar.reason.route.direct import Direct
from bursar.reason.route.frontier import Frontier, frontier, price_for_accuracy, prices
from bursar.reason.route.oracle import Oracle
from bursar.reason.route.random_choice import RandomChoice
from bursar.reason.route.routed import Routed, Way
from bursar.reason.route.similarity import Similarity
from bursar.value.outcomes import Outcomes

ROUTERS: dict[str, Callable[[], Router]] = {
    "random": lambda: Direct(RandomChoice()),
    "best_single": lambda: Direct(BestSingle()),
    "similarity": lambda: Direct(Similarity()),
    "classifier": lambda: Direct(Classifier()),
    "blend": lambda: Direct(Blend((Similarity(), Classifier()))),
    "cascade": lambda: Cascade(BestSingle()),
    "cascade_similarity": lambda: Cascade(Similarity()),
}
"""Name -> what makes the router; the oracle is none, it is made from the record it plays on."""

__all__ = [
    "ROUTERS",
    "STOP",
    "BestSingle",
    "Blend",
    "ByHistory",
    "Cascade",
    "Classifier",
    "ComputeOptimal",
    "Direct",
    "Estimator",
    "Frontier",
    "Oracle",
    "Outcomes",
    "Played",
    "Probe",
    "RandomChoice",
    "Routed",
    "Router",
    "Searched",
    "Similarity",
    "Way",
    "frontier",
    "play",
    "price_for_accuracy",
    "prices",
]
