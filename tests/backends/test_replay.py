"""Recorded samples: each once, in an order fixed by the seed, and an end that says so."""

import json
from pathlib import Path

import pytest

from bursar.backends import Request, open_backend
from bursar.backends.recordings import read_game24, read_qwen25_math
from bursar.backends.replay import Recorded, ReplayBackend, read_samples
from bursar.errors import BadInput, Exhausted
from bursar.workload.tasks.base import Task

DATA = Path(__file__).parents[2] / "../shared/data/reason"
SAMPLES = [
    Recorded(f"q{q}", f"{q}-{s}", tokens_in=4, tokens_out=10, usd=0.5)
    for q in (0, 1)
    for s in range(30)
]


def ask(sample, seed=0, question="q0", max_tokens=99):
    return Request("", max_tokens, question_id=question, sample=sample, seed=seed)


async def texts(backend, **names):
    return [c.text for c in await backend.complete([ask(s, **names) for s in range(30)])]


async def test_every_sample_is_drawn_once_in_an_order_fixed_by_the_seed():
    one, again = ReplayBackend(SAMPLES), ReplayBackend(SAMPLES)
    drawn = await texts(one)
    assert sorted(drawn) == sorted(s.text for s in SAMPLES[:30])
    assert drawn == await texts(again)
    assert drawn != await texts(one, seed=1)
    other = await texts(one, question="q1")
    assert [t.split("-")[1] for t in drawn] != [t.split("-")[1] for t in other]


async def test_the_end_of_a_recording_names_question_and_count_and_spends_nothing():
    with pytest.raises(Exhausted, match=r"'q0' has 30 recorded samples.*at most 30") as ended:
        await ReplayBackend(SAMPLES).complete([ask(29), ask(30)])
    assert ended.value.usage.tokens == 0
    assert ended.value.exit_code == 3


async def test_a_sample_longer_than_the_limit_is_cut():
    (done,) = await ReplayBackend(SAMPLES).complete([ask(0, max_tokens=5)])
    assert (done.stop_reason, done.usage.tokens_out, done.usage.usd) == ("length", 5, 0.5)
    assert len(done.text) < len("0-00")


async def test_questions_are_found_by_prompt_and_unknown_ones_named():
    backend = ReplayBackend([Recorded("q7", "x", prompt="why ?")])
    (done,) = await backend.complete([Request("why ?", 5)])
    assert done.text == "x"
    with pytest.raises(BadInput, match="'q8' was not recorded"):
        await backend.complete([ask(0, question="q8")])
    with pytest.raises(BadInput, match="prefix"):
        await backend.complete([Request("why ?", 5, prefix="because")])


async def test_what_was_not_recorded_is_unknown():
    backend = ReplayBackend([Recorded("q0", "x", tokens_in=1, tokens_out=1), Recorded("q0", "y")])
    assert backend.upper_bound(ask(0)).tokens_out is None


def write(folder, *rows):
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def test_a_file_of_samples(tmp_path):
    path = write(
        tmp_path,
        {"id": 1, "text": "it is 4", "answer": "4", "arm": "a", "tokens_in": 2, "tokens_out": 3},
        {"question_id": "1", "right": False, "arm": "b", "logprob": -1.5},
        {"id": "1", "answer": "5", "arm": "b"},
    )
    with pytest.raises(BadInput, match="2 arms, name one of: a, b"):
        open_backend(f"replay:{path}")
    (done,) = await open_backend(f"replay:{path}#a").complete([ask(0, question="1")])
    assert (done.text, done.usage.tokens) == ("it is 4", 5)
    b = read_samples(path, arm="b")
    assert [(s.text, s.right, s.logprob) for s in b] == [("wrong", False, -1.5), ("5", None, None)]
    with pytest.raises(BadInput, match="arm 'c'"):
        read_samples(path, arm="c")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "1", "text": "ha', "line 2: not a JSON object"),
        ("[1]", "line 2: needs a question_id"),
        ('{"text": "x"}', "line 2: needs a question_id"),
        ('{"id": "1"}', "line 2: needs a text"),
        ('{"id": "1", "text": "x", "usd": -1}', "line 2: usd is -1"),
        ('{"id": "1", "text": "x", "tokens_in": "3"}', "line 2: tokens_in is '3'"),
        ('{"id": "1", "text": "x", "tokens_out": NaN}', "line 2: tokens_out is nan"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, said):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"id": "1", "text": "x"}\n' + line)
    with pytest.raises(BadInput, match=said):
        read_samples(path)


def test_a_file_that_is_empty_or_not_there(tmp_path):
    with pytest.raises(BadInput, match="no samples"):
        read_samples(write(tmp_path))
    with pytest.raises(BadInput, match="can't be read"):
        read_samples(tmp_path / "none.jsonl")


def needs(name):
    path = DATA / name
    return pytest.param(
        path,
        marks=[pytest.mark.shared, pytest.mark.skipif(not path.exists(), reason=f"no {name}")],
    )


@pytest.mark.parametrize("path", [needs("game24_gpt4_100x100.jsonl")])
async def test_game24_is_what_was_published(path):
    """Mean per sample 4.0 % and 7.3 %, any of 100: 49 % and 33 %, dollars as in the file."""
    recording = read_game24(path)
    task = recording.task
    assert isinstance(task, Task)
    assert task.verifiable
    spent = {}
    for arm, mean, any_of, solved_usd in (("cot100", 0.040, 49, 47.1), ("io100", 0.073, 33, 13.8)):
        backend, right, solved, usd, tokens = recording.backends[arm], 0, 0, 0.0, 0.0
        for question in recording.questions:
            done = await backend.complete(
                [ask(s, question=question.id, max_tokens=task.max_tokens) for s in range(100)]
            )
            marks = [task.check(question, task.extract(question, c.text)) for c in done]
            right, solved = right + sum(marks), solved + any(marks)
            usd += sum(c.usage.usd for c in done)
            tokens += sum(c.usage.tokens_out for c in done)
            bound = backend.upper_bound(ask(0, question=question.id, max_tokens=task.max_tokens))
            assert all(c.usage.tokens_out <= bound.tokens_out for c in done)
        assert right / 1e4 == pytest.approx(mean, abs=5e-4)
        assert solved == any_of
        assert usd == pytest.approx(solved_usd, abs=0.1)
        spent[arm] = (usd, tokens)
    # one problem has impossible counts: the other 99 are the file's own
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for arm, (usd, tokens) in spent.items():
        sound = [r for r in rows if r["strategy"] == arm and r["cost"] > 0]
        assert usd == pytest.approx(sum(r["cost"] for r in sound) * 100 / len(sound))
        assert tokens == pytest.approx(
            sum(r["completion_tokens"] for r in sound) * 100 / len(sound), abs=1
        )


@pytest.mark.parametrize("path", [needs("qwen25_math_100x8.jsonl")])
async def test_qwen_math_grades_each_text_as_recorded(path):
    recording = read_qwen25_math(path)
    task, backend = recording.task, recording.backends["qwen25"]
    assert not task.verifiable
    right = best = 0
    for question in task.generate(100, seed=3):
        request = [ask(s, question=question.id, max_tokens=task.max_tokens) for s in range(8)]
        done = await backend.complete(request)
        marks = [task.check(question, task.extract(question, c.text)) for c in done]
        right += sum(marks)
        best += marks[max(range(8), key=lambda i: float(done[i].meta["reward"]))]
        assert all(c.estimated and c.usage.usd is None for c in done)
    assert right == 728
    assert best / 100 >= right / 800  # the reward knows something
