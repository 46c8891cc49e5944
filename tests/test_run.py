"""Jobs and runs: what is asked, in which order, and that equal limits mean equal limits."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bursar.backends.base import Completion, Request
from bursar.backends.mock_server import MockServer
from bursar.backends.simulated import SimulatedBackend
from bursar.budget import Budget
from bursar.errors import BadInput, BursarError, Infeasible, Unbounded
from bursar.ledger import Ledger
from bursar.reason.compare import interval
from bursar.reason.purse import Purse
from bursar.run import QUESTIONS, Job, run_calibrate, run_compare, run_dir, run_solve, write
from bursar.run.checks import check_limits
from bursar.workload.tasks import TASKS

SIMULATED = "simulated:median_tokens=60"


@pytest.fixture
def sums(tmp_path: Path) -> str:
    """Twelve questions of two levels that a simulated model answers."""
    lines = [
        {"prompt": f"{i} + 1?", "answer": "right", "level": "easy" if i % 3 else "hard"}
        for i in range(12)
    ]
    file = tmp_path / "sums.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return str(file)


@pytest.fixture
def job(sums: str) -> Job:
    return Job((sums,), (SIMULATED,))


def counts(job: Job, seed: int = 0) -> Counter[str]:
    return Counter(q.task for q in job.load(seed)[0])


@pytest.mark.parametrize("asked", [3, 7, 10])
def test_questions_are_shared_equally_and_mixed(asked: int) -> None:
    questions, tasks = Job(("mixed",), questions=asked).load(0)
    shares = Counter(q.task for q in questions)
    assert tasks.keys() == shares.keys() == TASKS.keys()
    assert sum(shares.values()) == asked
    assert max(shares.values()) - min(shares.values()) <= 1
    if asked == 10:
        tasks_in_order = [q.task for q in questions]
        assert tasks_in_order != sorted(tasks_in_order), "sources are mixed"


def test_a_file_is_taken_whole_unless_a_number_is_asked(sums: str) -> None:
    assert counts(Job((sums,))) == {"sums": 12}
    assert counts(Job((sums,), questions=5)) == {"sums": 5}
    assert counts(Job((sums,), questions=500)) == {"sums": 12}
    assert counts(Job((sums, "chain"))) == {"sums": 12, "chain": QUESTIONS}
    assert counts(Job((sums, "chain"), questions=6)) == {"sums": 3, "chain": 3}


def test_only_the_levels_asked(sums: str) -> None:
    assert {q.level for q in Job((sums,), levels=("hard",)).load(0)[0]} == {"hard"}
    assert {q.level for q in Job(("chain",), questions=4, levels=("1", "2")).load(0)[0]} == {
        *("1", "2")
    }
    with pytest.raises(BadInput, match="unknown level 'vile'"):
        Job((sums,), levels=("easy", "vile")).load(0)


def test_the_seed_fixes_questions_and_their_order() -> None:
    job = Job(("mixed",), questions=9)
    assert job.load(1)[0] == job.load(1)[0]
    assert {q.prompt for q in job.load(1)[0]} != {q.prompt for q in job.load(2)[0]}


def test_a_source_named_twice_is_asked_once() -> None:
    assert counts(Job(("chain", "mixed"), questions=6)) == dict.fromkeys(TASKS, 2)


def test_files_of_one_name_or_with_the_same_ids(sums: str, tmp_path: Path) -> None:
    other = tmp_path / "more" / "sums.jsonl"
    other.parent.mkdir()
    other.write_text('{"prompt": "a", "answer": "right"}', encoding="utf-8")
    with pytest.raises(BadInput, match="two sources are called sums"):
        Job((sums, str(other))).load(0)
    other = other.rename(tmp_path / "more.jsonl")
    questions, _ = Job((sums, str(other))).load(0)
    assert len({q.id for q in questions}) == len(questions) == 13


@pytest.mark.parametrize(
    "wrong",
    [
        {"questions": 0},
        {"seed": -1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"worth": 0.0},
        {"worth": math.nan},
        {"models": ()},
        {"sources": ()},
    ],
)
def test_a_job_that_can_not_be(job: Job, wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        replace(job, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "error", "said"),
    [
        ("9 tokens", Infeasible, "may take 1.0[0-9]+k tokens of 9 tokens; raise it"),
        ("20k tokens, 2 USD", Unbounded, "usd is limited.*limit tokens"),
        ("0 s", Infeasible, "0 s to spend"),
    ],
)
def test_what_can_not_be_paid_or_bounded_is_not_begun(
    job: Job, tmp_path: Path, limits: str, error: type[BursarError], said: str
) -> None:
    with pytest.raises(error, match=said):
        run_solve(job, limits, "auto", tmp_path / "run", ledger=None)
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_a_record_that_adds_up(job: Job, tmp_path: Path) -> None:
    record, failure = run_solve(
        job, "30k tokens", "auto", tmp_path / "run", ledger=None, baseline="self_consistency"
    )
    assert failure is None
    spent = record.spent["tokens"]
    assert spent is not None
    assert spent <= 30_000
    assert sum(q.tokens or 0 for q in record.questions) == spent
    assert sum(q.samples or 0 for q in record.questions) == record.receipt.lines[0].calls
    assert [line.measured for line in record.receipt.lines] == [spent]
    assert record.rounds[-1].spent == spent
    assert record.rounds[-1].correct == record.correct
    bought = [r.price for r in record.rounds if r.price is not None]
    assert record.price["tokens"] in bought
    (beside,) = record.baselines
    assert beside.spent <= 30_000
    with Ledger(tmp_path / "run" / "ledger.sqlite", create=False) as ledger:
        ledger.verify()
        assert ledger.totals("solve/run").spent.tokens == spent
        assert ledger.totals("baseline/run").spent.tokens == beside.spent


def test_a_limit_in_seconds_is_kept_and_its_prediction_stands_once(tmp_path: Path) -> None:
    timed = Job(("sudoku4",), ("tiny-0.3m",), questions=10)
    record, failure = run_solve(timed, "4 s", "auto", tmp_path / "run", ledger=None)
    assert failure is None
    spent = record.spent["seconds"]
    assert spent is not None
    assert 0 < spent <= 4.0
    lines = {line.what: line for line in record.receipt.lines}
    assert sum(line.measured or 0.0 for line in lines.values()) == pytest.approx(spent)
    assert [name for name, line in lines.items() if line.predicted is not None] == ["time"]


def test_runs_that_share_a_ledger_have_accounts_of_their_own(job: Job, tmp_path: Path) -> None:
    """Also when their folders have the same name."""
    spent = [
        run_solve(job, "9k tokens", "single", tmp_path / home / "run", ledger=tmp_path / "l.sqlite")
        for home in ("a", "b")
    ]
    with Ledger(tmp_path / "l.sqlite", create=False) as ledger:
        paths = [a.path for a in ledger.accounts()]
        assert paths == ["solve", "solve/run", "solve/run-1"]
        total = sum(record.spent["tokens"] or 0 for record, _ in spent)
        assert ledger.totals("solve").spent.tokens == total


def test_strategies_are_compared_at_equal_limits_on_the_same_draws(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: Counter[Request] = Counter()
    usual = SimulatedBackend.complete

    async def counted(self: SimulatedBackend, requests: Sequence[Request]) -> list[Completion]:
        drawn.update(requests)
        return await usual(self, requests)

    monkeypatch.setattr(SimulatedBackend, "complete", counted)
    names = ("auto", "self_consistency", "single")
    record, table = run_compare(
        job, names, ["6k tokens", "12k tokens"], (0, 1), out=tmp_path / "run"
    )
    assert set(drawn.values()) == {1}, "a draw is generated once, whoever asks"
    keys = {(r.seed, r.question_id, r.sample, r.temperature) for r in drawn}
    assert len(keys) == len(drawn)
    assert {(r.strategy, r.budget) for r in table} == {(n, b) for n in names for b in (6e3, 12e3)}
    for row in record.rows:
        assert row.spent is not None
        assert row.spent <= row.budget
        assert row.seeds == 2
    single = [r for r in table if r.strategy == "single"]
    assert single[0].accuracy == single[1].accuracy, "more money buys the same single draws"
    assert (tmp_path / "run" / "run.json").is_file()


def test_what_a_comparison_really_costs_is_booked(job: Job, tmp_path: Path) -> None:
    """Each draw once, though every strategy pays for it out of its own limit."""
    with MockServer() as server:
        hosted = replace(job, models=(f"openai:m@{server.base_url}",))
        names = ("self_consistency", "adaptive_consistency")
        run_compare(hosted, names, ["3k tokens"], (0,), out=tmp_path / "run")
        counted = server.spent.tokens
    with Ledger(tmp_path / "run" / "ledger.sqlite", create=False) as ledger:
        ledger.verify()
        assert ledger.totals("compare/run").spent.tokens == counted


def test_a_comparison_that_was_cut_short_goes_on_where_it_was(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, budgets = ("self_consistency", "single"), ["6k tokens", "12k tokens"]
    whole, _ = run_compare(job, names, budgets, (0, 1))

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_compare(job, names, budgets, (0, 1), out=out, on_progress=stop)
    left: list[int] = []
    again, _ = run_compare(
        job, names, budgets, (0, 1), out=out, resume=True,
        on_progress=lambda done, total: left.append(total - done),
    )  # fmt: skip
    assert left == [4, 3, 2, 1, 0]
    assert again.rows == whole.rows
    assert again.places == whole.places


def test_a_comparison_can_be_widened_but_not_turned_into_another(job: Job, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_compare(job, ("single",), ["6k tokens"], (0,), out=out)
    wider, _ = run_compare(
        job, ("single", "self_consistency"), ["6k tokens"], (0,), out=out, resume=True
    )
    assert {row.strategy for row in wider.rows} == {"single", "self_consistency"}
    with pytest.raises(BadInput, match="questions"):
        run_compare(
            replace(job, questions=3), ("single",), ["6k tokens"], (1,), out=out, resume=True
        )
    with pytest.raises(BadInput, match="--resume"):
        run_compare(job, ("single",), ["6k tokens"], (0,), out=tmp_path / "none", resume=True)


def test_models_are_compared_side_by_side(tmp_path: Path) -> None:
    job = Job(("countdown",), ("tiny-0.3m",), questions=6)
    record, _ = run_compare(
        job, ("single",), ["2k tokens"], (0,), models=[["tiny-0.3m"], ["tiny-0.3m", "tiny-1m"]]
    )
    assert [row.model for row in record.rows] == ["tiny-0.3m", "tiny-0.3m, tiny-1m"]
    assert len(record.places) == 2


def test_trials_run_on_ray_are_the_same(job: Job) -> None:
    pytest.importorskip("ray", reason="needs the ray extra")
    here, there = (
        run_compare(job, ("single", "self_consistency"), ["6k tokens"], (0, 1), on=place)[0]
        for place in ("here", "ray")
    )
    assert here.rows == there.rows


def test_a_hosted_model_is_not_sent_to_ray(job: Job) -> None:
    with MockServer() as server:
        hosted = replace(job, models=(f"openai:m@{server.base_url}",))
        with pytest.raises(BadInput, match="ledger on this machine"):
            run_compare(hosted, ("single",), ["6k tokens"], (0,), on="ray")


def test_a_comparison_is_the_same_again(job: Job) -> None:
    def once() -> object:
        return run_compare(job, ("auto",), ["9k tokens"], (5,))[1]

    assert once() == once()


def test_calibrating_spends_within_its_limit(job: Job, tmp_path: Path) -> None:
    profile, spent = run_calibrate(job, 4, tmp_path / "p.json", limits="20k tokens")
    assert profile.tasks.keys() == {"sums"}
    assert spent.tokens is not None
    assert spent.tokens <= 20_000


def test_calibrating_on_a_server_is_booked_beside_the_profile(job: Job, tmp_path: Path) -> None:
    with MockServer() as server:
        hosted = replace(job, models=(f"openai:m@{server.base_url}",))
        for _ in range(2):  # a second time has an account and a limit of its own
            run_calibrate(hosted, 4, tmp_path / "p.json", limits="20k tokens")
        counted = server.spent.tokens
    with Ledger(tmp_path / "p.ledger.sqlite", create=False) as ledger:
        ledger.verify()
        assert ledger.totals("calibrate").spent.tokens == counted


def test_folders_are_fresh_and_written_whole(job: Job, tmp_path: Path) -> None:
    first = run_dir(tmp_path, job)
    first.mkdir()
    assert run_dir(tmp_path, job) != first
    record, _ = run_solve(job, "9k tokens", "single", tmp_path / "run", ledger=None)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"can't be written.*--runs"):
        write(record, tmp_path / "file")


def test_limits_are_checked_model_by_model(job: Job) -> None:
    """One that can't say what it will use in dollars is enough to refuse."""
    priced = "simulated:usd_per_mtok_in=1,usd_per_mtok_out=2"
    both = replace(job, models=(priced, SIMULATED))
    questions, tasks = both.load(0)
    limits = {"usd": 1.0}
    check_limits(questions, both.bench(_purse(replace(both, models=(priced,))), tasks, 0), limits)
    with pytest.raises(Unbounded, match=r"simulated:median_tokens=60: usd"):
        check_limits(questions, both.bench(_purse(both), tasks, 0), limits)


def _purse(job: Job) -> Purse:
    return Purse(Budget("1 USD"), job.open_models())


def test_the_interval_of_an_accuracy() -> None:
    """Wilson's: within [0, 1], not of width 0 where all or none are right, around the rest."""
    assert interval(0, 8) == pytest.approx((0.0, 0.3244), abs=1e-4)
    assert interval(8, 8) == pytest.approx((0.6756, 1.0), abs=1e-4)
    low, high = interval(50, 100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
