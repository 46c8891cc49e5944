"""Training: what is learnt in a document, a few steps lower the loss, files load elsewhere."""

import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bursar.backends.tiny.tokenizer import REVISE_MARKER, RIGHT, Tokenizer  # noqa: E402
from bursar.backends.tiny.verifier import Verifier  # noqa: E402
from bursar.training import traces  # noqa: E402
from bursar.training.model import SHAPES, WEIGHTS, Shape, TinyLlama, load, save  # noqa: E402
from bursar.training.sampling import sample  # noqa: E402
from bursar.training.train import Recipe, rate, train  # noqa: E402
from bursar.training.train_verifier import auc, fit_head  # noqa: E402
from bursar.training.verifier_data import step_labels  # noqa: E402
from bursar.workload.tasks import TASKS, Question  # noqa: E402
from bursar.workload.tasks.split import split_of  # noqa: E402

SMALL = Shape(64, 2, 2, 96)
MAKERS = sorted(traces.MAKERS.items())


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_documents_end_right_and_come_from_the_train_split(name: str, make: object) -> None:
    rng, task = random.Random(1), TASKS[name]
    for _ in range(200):
        document = make(rng)  # type: ignore[operator]
        (prompt, learn_prompt), *parts = document
        text = "".join(part for part, _ in parts)
        assert not learn_prompt
        assert text.endswith(RIGHT)
        answer = task.extract(Question("", name, prompt), text.split(REVISE_MARKER)[-1])
        assert answer is not None
        side = {"chain": None, "sudoku4": answer}.get(name)
        assert side is None or split_of(side) == "train"
        if name != "chain":
            assert task.check(Question("", name, prompt), answer)


def test_wrong_choices_are_not_learnt_but_their_results_are() -> None:
    rng = random.Random(2)
    documents = [traces.countdown_document(rng) for _ in range(50)]
    failed = next(d for d in documents if any(REVISE_MARKER in part for part, _ in d))
    (choice, learn_choice), (outcome, learn_outcome) = failed[1:3]
    assert "=" not in choice and not learn_choice  # noqa: PT018
    assert outcome.startswith("=") and learn_outcome  # noqa: PT018


def test_rate_warms_up_stays_and_falls_to_zero() -> None:
    recipe = Recipe(warmup_steps=10, decay=0.5)
    assert rate(recipe, 0, 0.0) == pytest.approx(0.1)
    assert rate(recipe, 50, 0.3) == 1.0
    assert rate(recipe, 50, 0.75) == pytest.approx(0.5)
    assert rate(recipe, 50, 1.0) == 0.0


def test_twenty_steps_lower_the_loss(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = Recipe(
        max_steps=20, batch_tokens=1024, warmup_steps=5, compile=False, bf16=False, minutes=5
    )
    *_, (steps, tokens, loss, model) = train(SMALL, recipe, folder=tmp_path / "small", log_every=5)
    assert steps == 20
    assert tokens > 10_000
    assert loss < 4.5  # a uniform guess over the vocabulary is 4.97
    text = sample(model, ["chain 3*4\n"], max_tokens=5, temperature=0)[0]
    Tokenizer().encode(text)


def test_saved_weights_load_in_transformers_with_the_same_logits(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    save(TinyLlama(SMALL), tmp_path)
    peer = transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    model = load(tmp_path)
    ids = torch.randint(3, SMALL.vocab_size, (3, 40))
    with torch.no_grad():
        ours, theirs = model.logits(model(ids)), peer(ids).logits
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_cached_steps_equal_one_pass() -> None:
    torch.manual_seed(0)
    model, ids = TinyLlama(SMALL).eval(), torch.randint(3, 100, (2, 12))
    with torch.no_grad():
        whole = model(ids)
        caches: list[list[object]] = [[] for _ in model.model.layers]
        parts = [
            model(ids[:, :7], caches),
            *(model(ids[:, i : i + 1], caches) for i in range(7, 12)),
        ]
    assert torch.allclose(whole, torch.cat(parts, 1), atol=1e-5)


def test_step_labels_by_task() -> None:
    chain = Question("", "chain", "chain 50*2+1\n", "4")
    assert step_labels(chain, "50*2=3>3+1\n3+1=4\n#4\nright") == [True] * 4
    assert step_labels(chain, "50*2=5>5+1\n5+1=6\n#6\nright") == [False] * 4
    twice = "50*2=3>3+1\n3+1=5\n#5\nwrong\n50*2=3>3+1\n3+1=4\n#4\n"
    assert step_labels(chain, twice) == [True, False, False, False, True, True, True]
    assert step_labels(chain, "50*2=3>3+1\n3+1=5\n#5\nwrong") == [True, False, False, False]
    countdown = Question("", "countdown", "countdown 3,7,12=81\n")
    assert step_labels(countdown, "12*7=84>3,84\n84-3=81\nright") == [True] * 3
    assert step_labels(countdown, "12*7=84>3,84\n84+3=87\nwrong") == [False] * 3


def test_auc() -> None:
    assert auc([0.1, 0.2, 0.8, 0.9], [False, False, True, True]) == 1.0
    assert auc([0.5, 0.5], [False, True]) == 0.5
    assert auc([0.5], [True]) is None


def test_a_head_scores_the_same_in_numpy() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(2000, 16) * 3 + 1
    labels = (hidden[:, 0] > 1).float()
    head = fit_head(hidden, labels, seed=0, epochs=40)
    parts = [p.detach().numpy() for p in head.parameters()]
    scores = Verifier({"chain": tuple(parts)}).score(hidden.numpy(), "chain")
    assert np.allclose(scores, torch.sigmoid(head(hidden))[:, 0].detach(), atol=1e-5)
    assert auc(scores.tolist(), (labels == 1).tolist()) > 0.97  # type: ignore[operator]


@pytest.mark.parametrize("size", sorted(SHAPES))
def test_shipped_model_solves_short_chains(size: str) -> None:
    if not (WEIGHTS / size / "model.safetensors").exists():
        pytest.skip(f"{size} is not trained")
    task = TASKS["chain"]
    questions = task.generate(30, seed=9, levels=["2"])
    texts = sample(
        load(WEIGHTS / size), [q.prompt for q in questions], max_tokens=20, temperature=0
    )
    right = sum(task.check(q, task.extract(q, t)) for q, t in zip(questions, texts, strict=True))
    assert right >= 15
