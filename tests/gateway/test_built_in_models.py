"""`bursar serve` without a configuration: the built-in models, offline, strategies and all."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bursar.gateway.ask import read_ask
from bursar.gateway.config import Config, built_in
from bursar.gateway.desk import Answer
from bursar.gateway.opening import Gateway
from bursar.gateway.principal import OpenDoor


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    config = built_in().model_dump() | {"ledger": {"place": str(tmp_path / "gateway.sqlite")}}
    opened = await Gateway.open(Config.model_validate(config))
    yield opened
    await opened.aclose()


async def answer(gateway: Gateway, model: str, text: str, budget: str | None = None) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "seed": 1}
    who = OpenDoor().principal
    ask = read_ask("chat/completions", body, budget, request_id="r", principal=who, began=0.0)
    return await gateway.counter.desk.whole(replace(ask, extract=""))


def said(found: Answer) -> str:
    content = found.document["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


@pytest.mark.parametrize("model", ["tiny-1m", "auto", "self_consistency:tiny-0.3m"])
async def test_the_built_in_models_answer_for_nothing_and_are_booked(gateway, model) -> None:
    found = await answer(
        gateway, model, "chain 37*54+53", None if model == "tiny-1m" else "600 tokens"
    )
    assert said(found).startswith("37*54=58") or said(found)[0].isdigit()
    assert said(found).rstrip().endswith(("right", "wrong"))
    assert found.bill.spent.usd == 0
    assert 0 < (found.bill.spent.tokens or 0) <= 600
    (account,) = gateway.ledger.accounts(["local"])
    assert account.spent.tokens == found.bill.spent.tokens


async def test_a_checkable_question_is_checked(gateway) -> None:
    found = await answer(gateway, "auto", "countdown 9,10,6,11=18", "4000 tokens")
    assert found.bill.why["verified"]
    assert said(found).rstrip().endswith("right")
    assert (found.bill.spent.tokens or 0) < 2000  # it stops at the first right one


async def test_a_search_on_steps_answers_with_the_answer(gateway) -> None:
    found = await answer(gateway, "rebase:tiny-1m", "countdown 9,10,6,11=18", "3000 tokens")
    assert said(found) == (found.bill.why["answer"] or "")
    if not said(found):
        assert found.bill.stopped == "no answer"
