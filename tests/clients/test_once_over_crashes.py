"""An idempotency key over several workers, and over the death of all of them."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from clients_serving import start, stop

from counting_upstream import CountingUpstream, Say, obliging

BODY = {"model": "m", "messages": [{"role": "user", "content": "why ?"}], "max_tokens": 20}


def ask(url: str, key: str, timeout_s: float = 30.0) -> httpx.Response:
    headers = {"idempotency-key": key}
    return httpx.post(f"{url}/chat/completions", json=BODY, headers=headers, timeout=timeout_s)


@pytest.mark.slow
def test_a_key_counts_once_over_workers_and_again_after_they_died(tmp_path):
    with CountingUpstream() as upstream:
        served, process = start(tmp_path, upstream, workers=2)
        upstream.say = lambda body: Say("slow", pause_s=0.3)
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: ask(served.url, "together"), range(8)))
        assert {reply.status_code for reply in replies} == {200}
        assert len({reply.content for reply in replies}) == 1
        assert len(upstream.made) == 1

        upstream.say = lambda body: Say("never", first_s=30)
        with pytest.raises(httpx.TimeoutException):
            ask(served.url, "crash", 0.5)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        before = time.monotonic() + 5
        while upstream.open and time.monotonic() < before:
            time.sleep(0.01)

        upstream.say = obliging
        served, process = start(tmp_path, upstream, workers=2)
        reply = ask(served.url, "crash")
        assert "x-bursar-replayed" not in reply.headers
        assert reply.json()["choices"][0]["message"]["content"] == "one two three four"
        assert ask(served.url, "crash").headers["x-bursar-replayed"] == "true"
        assert ask(served.url, "together").headers["x-bursar-replayed"] == "true"
        assert len(upstream.made) == 3
        stop(process)
        charged = served.ledger_s()
        lost = 20  # of the call that died with its worker, charged at its bound
        assert charged[1] == upstream.billed[1] + lost
