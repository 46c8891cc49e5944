"""Training of the effort dials: documents, rewards, and a step that raises what was rewarded."""

import random
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bursar.backends.tiny.tokenizer import RIGHT, Tokenizer  # noqa: E402
from bursar.training.e1 import EffortReward  # noqa: E402
from bursar.training.effort_traces import dial_document, mode_document  # noqa: E402
from bursar.training.model import Shape, TinyLlama  # noqa: E402
from bursar.training.reinforce import Drawn, Learner, advantages, draw_questions, sample  # noqa: E402
from bursar.training.thinkdial import ROUNDS, ModeReward  # noqa: E402
from bursar.training.traces import CONTEXT, document_ids  # noqa: E402


@pytest.mark.parametrize("decisions", [False, True])
def test_a_mode_says_how_many_rounds_and_a_text_fits_the_context(decisions: bool) -> None:
    rng, tokenizer = random.Random(0), Tokenizer()
    most = 0
    for _ in range(200):
        document = mode_document(rng, decisions)
        text = "".join(part for part, _ in document)
        mode = next((m for m in ROUNDS if f"effort {m} " in text), "high")
        answers = re.findall(r"^#(\d+)$", text, re.MULTILINE)
        assert text.endswith("\n" + RIGHT)
        assert len(answers) == ROUNDS[mode] or (mode, len(answers)) == ("medium", 3)
        ids, _ = document_ids(tokenizer, document)
        assert ids[-1] == tokenizer.eos_id
        most = max(most, len(ids))
    assert CONTEXT // 2 < most <= CONTEXT


def test_a_dial_is_rounds_or_for_the_twin_tokens() -> None:
    def lengths(tokens: float | None) -> dict[int, set[int]]:
        rng, found = random.Random(0), dict[int, set[int]]()
        for _ in range(300):
            text = "".join(part for part, _ in dial_document(rng, tokens=tokens))
            if dial := re.match(r"effort (\d+) ", text):
                found.setdefault(int(dial[1]), set()).add(text.count("#"))
        return found

    assert lengths(None)[5] == {1}
    assert lengths(None)[20] == {4}
    assert len(lengths(190.0)[20]) > 2


def test_a_mode_loses_by_length_only_when_right_and_high_never() -> None:
    right = np.array([[True, True, False, True]])
    lengths = np.array([[25.0, 62.5, 25.0, 300.0]])
    reward, high = ModeReward({"low": 0.5}), np.array([100.0])
    assert reward.rewards("low", right, lengths, high).tolist() == [[1.0, 0.75, 0.0, 0.5]]
    assert reward.rewards("high", right, lengths, high).tolist() == [[1.0, 1.0, 0.0, 1.0]]


def test_a_dial_is_a_share_of_the_questions_own_length_and_the_twins_of_all() -> None:
    dials = np.array([[0.5], [0.5]])
    right = np.ones((2, 1, 2), bool)
    lengths = np.array([[[40.0, 60.0]], [[40.0, 160.0]]])
    free = np.array([100.0, 300.0])
    assert EffortReward().rewards(dials, right, lengths, free).tolist() == [[[1, 0]], [[1, 0]]]
    twin = EffortReward(absolute=True).rewards(dials, right, lengths, free)
    assert twin.tolist() == [[[1, 1]], [[1, 0]]]


def test_advantages_are_of_those_better_than_their_group() -> None:
    got = advantages(np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    assert np.allclose(got[0], [1, 0, 1, 0], atol=0.01)
    assert not got[1].any()


def test_a_step_makes_what_was_rewarded_likelier() -> None:
    torch.manual_seed(0)
    model, tokenizer = TinyLlama(Shape(64, 2, 2, 96)), Tokenizer()
    prompt = tokenizer.encode("chain 3*4\n")
    good, bad = (Drawn(prompt, tokenizer.encode(t), True) for t in ("#12\n", "#45\n"))

    def preference() -> float:
        with torch.no_grad():
            total = 0.0
            for one, sign in ((good, 1.0), (bad, -1.0)):
                ids = torch.tensor([one.prompt + one.said])
                logs = model.logits(model(ids)).log_softmax(-1)[0, len(prompt) - 1 : -1]
                picked = logs.gather(1, torch.tensor(one.said)[:, None])
                total += sign * float(picked.sum())
            return total

    before = preference()
    learner = Learner(model, mode_document)
    for _ in range(3):
        learner.step([good, bad], np.array([1.0, 0.0]), left=1.0)
    assert preference() > before + 0.01


def test_sampled_texts_are_those_of_the_model_and_their_questions_from_the_train_split() -> None:
    torch.manual_seed(0)
    asked = draw_questions(random.Random(0), 3)
    drawn = sample(TinyLlama(Shape(64, 2, 2, 96)), [(q, "effort low ") for q in asked], 0, 8)
    assert [d.length <= 8 for d in drawn] == [True] * 3
    assert not any(d.right for d in drawn)
