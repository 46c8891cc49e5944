"""Clients with an environment of their own (`make clients`): what they do, and that it adds up."""

import shutil
from pathlib import Path

import pytest
from clients_serving import run_client

from counting_upstream import Say, obliging

HERE = Path(__file__).parent
PLACE = {"city": "Paris", "inhabitants": 42}


@pytest.mark.slow
def test_pydantic_ai(served, others_python, tmp_path):
    found = run_client([others_python, HERE / "with_pydantic_ai.py", served.url], tmp_path)
    for kind in ("OpenAIChatModel", "OpenAIResponsesModel"):
        assert found[f"{kind} tool"] == "the tool said sunny in Paris"
        assert found[f"{kind} stream"] == "the tool said sunny in Paris"
        assert found[f"{kind} shape"] == PLACE
    served.check_sums()


@pytest.mark.slow
def test_llm(served, others_python, tmp_path):
    home = {"LLM_USER_PATH": str(tmp_path / "llm")}
    found = run_client([others_python, HERE / "with_llm.py", served.url], tmp_path, **home)
    assert found["streamed"] == found["whole"] == "one two three four"
    assert "Paris" in found["schema"]
    assert found["tool"] == "the tool said sunny in Paris"
    served.check_sums()


@pytest.mark.slow
def test_lm_eval(served, others_python, tmp_path):
    served.upstream.say = lambda body: Say("the answer is 4")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    script = HERE / "with_lm_eval.py"
    found = run_client([others_python, script, served.url, tmp_path], tmp_path, **offline)
    assert found["score"] == 1.0
    assert len(served.upstream.made) == 6
    served.check_sums()


def test_openai_node(served, tmp_path):
    node = shutil.which("node")
    if node is None or not (HERE / "node" / "node_modules" / "openai").is_dir():
        pytest.skip("no openai-node: make clients, with npm")
    busy = iter([Say(status=429, headers={"retry-after": "1"})])

    def say(body: dict) -> Say:
        if body["messages"][-1]["content"] == "busy at first":
            return next(busy, Say("then"))
        return obliging(body)

    served.upstream.say = lambda body: say(body) if "messages" in body else obliging(body)
    found = run_client([node, HERE / "node" / "client.mjs", served.url], tmp_path)
    assert found["chat"] == found["stream"] == found["response"] == "one two three four"
    assert found["billed"] == found["usage"] == 5
    assert found["arguments"] == '{"city": "Paris"}'
    assert found["tool"] == "the tool said sunny"
    assert found["events"][:2] == ["response.created", "response.in_progress"]
    assert found["events"][-1] == "response.completed"
    assert found["embedding"] == [1.0, 0.5, 0.5, 0.5]
    assert found["models"] == ["m"]
    assert found["errors"] == {
        "missing": ["NotFoundError", 404, "model_not_found"],
        "budget": ["APIError", 402, "budget_exceeded"],
        "earlier": ["BadRequestError", 400, "invalid_request"],
    }
    assert found["once"]
    assert (found["retried"], found["waited"]) == ("then", True)
    served.check_sums()
