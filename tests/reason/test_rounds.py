"""Fixed strategies through the one driver."""

from arena import Arena, attempts
from bursar.reason import strategy
from bursar.reason.adaptive_consistency import AdaptiveConsistency
from bursar.reason.base import Arm, Attempt, Work
from bursar.reason.best_of_n import BestOfN
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency, vote
from bursar.reason.weighted_vote import WeightedVote
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

ARM = Arm("m")


def said(answer: str | None, logprob: float | None = None, score: float | None = None) -> Attempt:
    return Attempt(ARM, "", answer, Usage.zero(), logprob=logprob, score=score)


def test_questions_have_equally_many_attempts_give_or_take_one() -> None:
    solution = Arena(questions=30).run(strategy("self_consistency"), 9_000)
    bought = [a.attempts for a in solution.answers]
    assert max(bought) - min(bought) <= 1
    assert max(bought) >= 3


def test_a_cap_on_samples_leaves_the_rest_unspent() -> None:
    capped = RoundRobin("sc", SelfConsistency(max_samples=2))
    solution = Arena(questions=30).run(capped, 90_000)
    assert {a.attempts for a in solution.answers} == {2}
    assert {a.stopped for a in solution.answers} == {"enough"}


def test_a_checked_answer_ends_its_question() -> None:
    solution = Arena(questions=40, checked=True).run(strategy("self_consistency"), 40_000)
    for answer, right in zip(solution.answers, solution.correct, strict=True):
        assert answer.verified == right
        if answer.verified:
            assert answer.stopped == "verified"
            assert answer.p_right == 1.0


def test_plurality_ties_go_to_the_answer_seen_first() -> None:
    pick = vote([said("b"), said("a"), said("a"), said("b"), said(None)], [1.0] * 5)
    assert pick.answer == "b"
    assert pick.p_right == 0.5


def test_no_answer_at_all_is_no_pick() -> None:
    assert vote([said(None)], [1.0]).answer is None
    assert vote([], []).answer is None


def test_weights_are_the_probability_of_the_text() -> None:
    work = Work(Question("q", "t", "p"), [said("a", -5.0), said("a", -5.0), said("b", -1.0)])
    assert WeightedVote().pick(work).answer == "b"
    assert SelfConsistency().pick(work).answer == "a"


def test_best_of_n_takes_the_best_scored_and_votes_without_scores() -> None:
    scored = Work(Question("q", "t", "p"), [said("a", score=0.2), said("b", score=0.9)])
    assert BestOfN().pick(scored).answer == "b"
    bare = Work(Question("q", "t", "p"), [said("a"), said("b"), said("b")])
    assert BestOfN().pick(bare).answer == "b"


def test_adaptive_consistency_stops_the_easy_questions() -> None:
    arena = Arena(questions=60, beta=(8, 1))
    adaptive = arena.run(RoundRobin("ac", AdaptiveConsistency()), 400_000)
    assert 3 <= attempts(adaptive.answers) / 60 < 12
    assert (adaptive.spent.tokens or 0) < 100_000
