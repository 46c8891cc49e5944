"""sudoku4: unique solutions, exact checking, the split by solved grid."""

from bursar.workload.tasks import sudoku4
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.split import split_of

TASK = sudoku4.Sudoku4()


def fills(question: Question) -> str:
    givens = sudoku4.parse_prompt(question.prompt)
    assert question.answer is not None
    return "".join(
        f"{cell}{value}\n"
        for cell, value, given in zip(sudoku4.CELLS, question.answer, givens, strict=True)
        if not given
    )


def test_all_grids() -> None:
    grids = sudoku4.all_grids()
    assert grids.shape == (288, 16)  # the known number of 4x4 grids
    assert len({tuple(g) for g in grids.tolist()}) == 288
    assert all(sudoku4.valid(g) for g in grids.tolist())


def test_puzzles_have_one_solution_and_as_many_blanks_as_the_level() -> None:
    for question in TASK.generate(60, seed=4):
        givens = sudoku4.parse_prompt(question.prompt)
        assert givens.count(0) == int(question.level)
        assert sudoku4.solutions(givens) == 1
        assert TASK.check(question, TASK.extract(question, fills(question) + "right"))
        assert all(TASK.steps(question, fills(question)))


def test_one_wrong_cell_is_wrong() -> None:
    question = TASK.generate(1, seed=4)[0]
    text = fills(question)
    wrong = text[0] + str(int(text[1]) % 4 + 1) + text[2:]
    answer = TASK.extract(question, wrong)
    assert answer is not None
    assert not TASK.check(question, answer)
    assert not any(TASK.steps(question, wrong))
    assert TASK.extract(question, wrong + "wrong\n" + text) == question.answer


def test_unfinished_repeated_or_given_cells_are_no_answer() -> None:
    question = TASK.generate(1, seed=4)[0]
    text = fills(question)
    given = next(
        c for c, v in zip(sudoku4.CELLS, sudoku4.parse_prompt(question.prompt), strict=True) if v
    )
    assert TASK.extract(question, text[:-3]) is None
    assert TASK.extract(question, text + text[:3]) is None
    assert TASK.extract(question, text + f"{given}1\n") is None


def test_another_valid_grid_is_wrong() -> None:
    question = TASK.generate(1, seed=4)[0]
    other = next(g for g in sudoku4.all_grids().tolist() if "".join(map(str, g)) != question.answer)
    assert not TASK.check(question, "".join(map(str, other)))
    assert not TASK.check(question, "1" * 16)
    assert not TASK.check(question, "12")


def test_a_grid_is_on_one_side_only() -> None:
    grids = {
        side: {q.answer for q in TASK.generate(200, seed=1, split=side)}
        for side in ("train", "test")
    }
    assert not grids["train"] & grids["test"]
    assert all(g is not None and split_of(g) == side for side in grids for g in grids[side])
