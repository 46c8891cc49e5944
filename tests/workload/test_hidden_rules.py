"""Hidden rules: demonstrations show the rule of the query and never the query itself."""

import pytest

from bursar.errors import BadInput
from bursar.workload.hidden_rules import CLASSES, NUMBERS, HiddenRule, HiddenRules


def test_levels_come_in_turn_and_splits_differ() -> None:
    rules = HiddenRules()
    assert [q.level for q in rules.generate(10, seed=3)] == [*CLASSES, *CLASSES]
    assert rules.generate(10, seed=3) == rules.generate(10, seed=3)
    assert rules.draw(10, seed=3) != rules.draw(10, seed=3, split="train")


def test_the_pool_has_every_other_number_once_and_the_answer_of_its_class() -> None:
    for item in HiddenRules().draw(25, seed=0):
        asked = int(item.question.prompt[1:])
        shown = {int(line[1:-2]): line[-2] for line in item.pool}
        assert set(shown) == set(range(NUMBERS)) - {asked}
        classes = CLASSES[item.question.level] or 10
        alike = {said for x, said in shown.items() if x % classes == asked % classes}
        assert alike == {item.question.answer}


def test_a_rule_gives_each_class_its_answer() -> None:
    rule = HiddenRule("m", "ca")
    assert [rule.line(x) for x in (4, 7)] == ["m4c\n", "m7a\n"]
    assert HiddenRule("k", "").value(13) == "d"


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(BadInput, match="levels"):
        HiddenRules().generate(3, seed=0, levels=["z"])
    task = HiddenRules()
    (question,) = task.generate(1, seed=0)
    assert task.extract(question, "") is None
    assert not task.check(question, None)
