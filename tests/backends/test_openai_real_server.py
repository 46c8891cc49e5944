"""The client against a real server: `transformers serve` with the built-in weights."""

import importlib.util
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from bursar.backends import Request, open_backend
from bursar.backends.openai import OpenAIBackend
from bursar.backends.tiny import Tokenizer, tiny_sizes
from bursar.backends.token_price import TokenPrice
from bursar.errors import BackendError
from bursar.workload.tasks import TASKS

NEEDED = ("torch", "transformers", "fastapi", "uvicorn", "openai", "accelerate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.skipif(bool(MISSING), reason=f"transformers serve needs {', '.join(MISSING)}"),
    pytest.mark.skipif(not tiny_sizes(), reason="the built-in weights are not here"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(base URL, model name) of a server that runs in a process of its own."""
    from hugging_face_models import save_builtin_llama

    folder = tmp_path_factory.mktemp("llama")
    save_builtin_llama(folder, tiny_sizes()[0])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    log = folder / "log.txt"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [
                *command,
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--device",
                "cpu",
                "--dtype",
                "float32",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        try:
            _wait_until_healthy(port, process, log)
            yield f"http://127.0.0.1:{port}/v1", str(folder)
        finally:
            process.kill()


def _wait_until_healthy(port, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.2)
    pytest.fail(f"transformers serve did not start: {log.read_text()[-2000:]}")


@pytest.fixture
async def client(server):
    url, model = server
    async with OpenAIBackend(
        model,
        url,
        price=TokenPrice(1, 1),
        count_tokens=lambda text: len(Tokenizer().encode(text)),
        template_tokens=0,
        concurrency=3,
    ) as backend:
        yield backend


def requests(count, **options):
    questions = [q for task in TASKS.values() for q in task.generate(count, seed=0)]
    return [Request(q.prompt, 30, question_id=q.id, **options) for q in questions]


async def test_usage_is_the_servers_and_within_the_bound(client):
    asked = requests(3)
    for request, done in zip(asked, await client.complete(asked), strict=True):
        assert not done.estimated
        assert done.usage.tokens_in == client.upper_bound(request).tokens_in
        assert 1 <= done.usage.tokens_out <= request.max_tokens
        assert done.usage.usd == pytest.approx(done.usage.tokens / 1e6)
        if done.stop_reason == "length":
            assert done.usage.tokens_out == request.max_tokens


@pytest.mark.parametrize("prefix", ["", "1"])
async def test_the_likeliest_answer_is_the_one_that_the_built_in_engine_gives(client, prefix):
    """Two engines, two protocols, one model: the same text and the same count of tokens."""
    tiny = open_backend(tiny_sizes()[0])
    asked = requests(3, temperature=0.0, prefix=prefix)
    here, there = await tiny.complete(asked), await client.complete(asked)
    assert [c.text for c in there] == [c.text for c in here]
    assert [c.usage.tokens_out for c in there] == [c.usage.tokens_out for c in here]
    # a text that ends with the last token allowed may be called either
    assert all(c.stop_reason == "stop" for c in there if c.usage.tokens_out < 30)


async def test_a_seed_draws_again_what_it_drew(client):
    (request, *_) = requests(1, seed=3)
    (one,), (two,) = await client.complete([request]), await client.complete([request])
    assert one.text == two.text


async def test_a_refusal_is_free_and_says_why(server):
    url, model = server
    async with OpenAIBackend(model, url.removesuffix("/v1") + "/v2") as client:
        with pytest.raises(BackendError, match="HTTP 404") as refused:
            await client.complete([Request("why ?", 5)])
    assert refused.value.usage.tokens == 0
