"""Routes: questions go to the model that is worth its price on questions like them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.errors import BadInput
from bursar.gateway.routes import read_outcomes
from counting_upstream import CountingUpstream
from running_gateway import Running, config_for, running

HARD, EASY = "prove that the theorem on compact groups holds", "what is the capital of the country"


def outcomes(folder: Path) -> Path:
    """The dear model is needed for proofs, the cheap one knows capitals."""
    path = folder / "outcomes.jsonl"
    rows = [(f"{HARD} number {i}", {"m": 1, "small": 0}) for i in range(30)]
    rows += [(f"{EASY} number {i}", {"m": 1, "small": 1}) for i in range(30)]
    path.write_text("\n".join(json.dumps({"prompt": p, "right": r}) for p, r in rows))
    return path


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("routes")
    route = {"models": ["m", "small"], "outcomes": str(outcomes(folder)), "worth_usd": 0.01}
    routes = [{**route, "name": "clever"}, {**route, "name": "blind", "router": "best_single"}]
    with (
        CountingUpstream() as upstream,
        running(config_for(upstream.base_url, folder, routes=routes), upstream) as found,
    ):
        yield found


def served(gateway: Running, route: str, text: str, **more) -> str:
    return gateway.chat(text, model=route, max_tokens=50, **more).json()["model"]


def test_each_question_goes_where_it_is_worth_its_price(gateway: Running) -> None:
    assert served(gateway, "clever", f"{HARD} number 99") == "big-1"
    assert served(gateway, "clever", f"{EASY} number 99") == "small-1"


def test_a_router_that_does_not_look_sends_all_to_one(gateway: Running) -> None:
    assert served(gateway, "blind", f"{HARD} now") == served(gateway, "blind", f"{EASY} now")


def test_the_choice_is_told_and_booked_as_the_model_s(gateway: Running) -> None:
    gateway.start()
    bill = gateway.chat(f"{EASY} number 7", model="clever").json()["bursar"]
    assert "clever chose small" in bill["notes"][0]
    assert [call["model"] for call in bill["calls"]] == ["small"]
    gateway.check_sums()


def test_a_route_streams_takes_tools_and_is_listed(gateway: Running) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    assert gateway.chat(EASY, model="clever", tools=[tool]).status_code == 200
    with gateway.client.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "clever", "stream": True, "messages": [{"role": "user", "content": EASY}]},
    ) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    names = [model["id"] for model in gateway.client.get("/v1/models").json()["data"]]
    assert names == ["m", "small", "clever", "blind"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no line"),
        ("{", "line 1"),
        ('{"prompt": "a", "right": {"m": 1}}', "KeyError 'small'"),
        ('{"prompt": "a", "right": {"m": "x", "small": 1}}', "line 1: ValueError"),
        ('{"prompt": "a", "right": {"m": 7, "small": 1}}', "right must lie in"),
    ],
)
def test_outcomes_that_can_not_be_read_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        read_outcomes(path, ["m", "small"])
    with pytest.raises(BadInput, match="No such file"):
        read_outcomes(tmp_path / "none", ["m"])
