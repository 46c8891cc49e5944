"""Calibration: what it learns is true, it survives its file, and `auto` profits from it."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from arena import Arena, accuracy
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.auto import Auto
from bursar.reason.calibrate import calibrate
from bursar.reason.profile import Profile
from bursar.workload.tasks.base import Question


@pytest.fixture(scope="module")
def profile() -> Profile:
    arena = Arena(questions=150)
    return asyncio.run(calibrate(arena.ask(0), arena.bench(Budget(), 0), samples=8))


def arm_of(profile: Profile) -> dict[str, object]:
    (arm,) = profile.tasks["simulated"]["arms"].values()
    return arm  # type: ignore[no-any-return]


def test_it_learns_accuracy_and_length(profile: Profile) -> None:
    arm = arm_of(profile)
    assert arm["accuracy"] == pytest.approx(2 / 3.5, abs=0.05)  # Beta(2, 1.5)
    assert 45 < float(str(arm["tokens"])) < 65


def test_curves_rise_with_samples_and_the_saturation_has_an_interval(profile: Profile) -> None:
    arm = arm_of(profile)
    for name in ("pass_at_k", "majority_at_k"):
        values = list(arm[name].values())  # type: ignore[attr-defined]
        assert values == sorted(values)
    fitted = arm["saturation"]
    assert all(lo <= hi for lo, hi in zip(fitted["low"], fitted["high"], strict=True))  # type: ignore[index]


def test_a_profile_survives_its_file(profile: Profile, tmp_path: Path) -> None:
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == Profile(json.loads(json.dumps(profile.tasks)))
    assert [f.name for f in tmp_path.iterdir()] == ["p.json"]


def test_auto_starts_from_a_profile_and_believes_it(profile: Profile) -> None:
    arena = Arena(questions=100)
    for seed in (5, 6):
        told = arena.run(Auto(profile=profile), 9_000, seed)
        believed = sum(a.p_right or 0 for a in told.answers) / 100
        assert believed == pytest.approx(told.accuracy or 0, abs=0.12)
    runs = range(5, 9)
    with_profile = accuracy([arena.run(Auto(profile=profile), 20_000, s) for s in runs])
    without = accuracy([arena.run(Auto(), 20_000, s) for s in runs])
    assert with_profile >= without - 0.02


def test_a_profile_for_other_models_is_left_aside(profile: Profile) -> None:
    stranger = Profile({"simulated": {**profile.tasks["simulated"], "models": {}}})
    arena = Arena(questions=20)
    plain, strange = arena.run(Auto(), 4_000), arena.run(Auto(profile=stranger), 4_000)
    assert plain.answers == strange.answers


def test_too_few_samples_and_unlabelled_questions_are_refused_before_any_spend() -> None:
    arena = Arena(questions=3)
    bench = arena.bench(Budget(), 0)
    with pytest.raises(BadInput, match="at least 4"):
        asyncio.run(calibrate(arena.ask(0), bench, samples=1))
    with pytest.raises(BadInput, match="no known answer"):
        asyncio.run(calibrate([bare(q) for q in arena.ask(0)], bench, samples=4))
    assert bench.purse.spent.tokens == 0


def bare(question: Question) -> Question:
    return replace(question, answer=None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", '{"version": 1}', '{"version": 9, "tasks": {}}'),
        '{"version": 1, "tasks": {"a": 1}}',
    ],
)
def test_what_is_no_profile_is_refused_with_a_remedy(text: str, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="bursar calibrate"):
        Profile.load(file)
    with pytest.raises(BadInput, match="bursar calibrate"):
        Profile.load(tmp_path / "missing.json")
