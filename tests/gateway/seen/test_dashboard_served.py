"""The dashboard as the gateway itself serves it: real keys, sessions, requests and budgets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright
from tenants_at import house_at
from test_dashboard import CHROMIUM, OPTIONS

from bursar.gateway.app import make_app
from bursar.gateway.config import Config

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """Its address, an admin's key and an owner's."""
    place = str(tmp_path / "gateway.sqlite")
    with house_at(place, "acme/search") as house:
        key = house.key("acme/search", "ada", role="admin")[1]
        owner_key = house.key("acme/search", "root", role="owner")[1]
    config = Config.model_validate(
        {
            "ledger": {"place": place},
            "access": {"keys": "required"},
            "models": [{"name": "small", "upstreams": [{"kind": "local", "model": "tiny-0.3m"}]}],
        }
    )
    server = uvicorn.Server(
        uvicorn.Config(make_app(config), port=0, log_level="error", lifespan="on")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", key, owner_key
    server.should_exit = True
    thread.join()


def test_a_request_is_seen_and_a_budget_edited(gateway: tuple[str, str, str]) -> None:
    address, key, owner_key = gateway
    asked = {"model": "small", "max_tokens": 4, "messages": [{"role": "user", "content": "3+4="}]}
    bearer = {"authorization": f"Bearer {key}"}
    reply = httpx.post(f"{address}/v1/chat/completions", json=asked, headers=bearer, timeout=30)
    assert reply.status_code == 200, reply.text
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/dashboard")
        page.get_by_label("Key", exact=True).fill(key)
        page.keyboard.press("Enter")
        expect(page.locator("#live tbody")).to_contain_text("acme/search/ada", timeout=10_000)
        page.get_by_role("button", name="Limit another account").click()
        page.get_by_label("Account", exact=True).fill("acme/search")
        page.get_by_label("Its limits").fill("25 USD per day, 60 requests per minute")
        page.get_by_role("button", name="Save").click()
        limits = page.get_by_role("article", name="Limits of acme/search")
        expect(limits).to_contain_text("of 25.00 USD per day")
        page.get_by_role("button", name="acme/search, USD per day: use over time").click()
        expect(limits.locator(".chart svg")).to_be_visible()
        page.reload()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        browser.close()
    assert not complaints
    stands = httpx.get(f"{address}/admin/v1/budgets/acme/search", headers=bearer).json()
    assert "25" in stands["limits"]
    owner = {"authorization": f"Bearer {owner_key}"}
    page_text = httpx.get(f"{address}/metrics", headers=owner).text
    for line in (
        'bursar_requests_total{endpoint="chat/completions",model="small",status="200"} 1.0',
        'bursar_limit{account="acme/search",resource="usd",window="day"} 25.0',
        "# TYPE bursar_waiting gauge",
        "bursar_live_requests 0.0",
        "bursar_ledger_commit_seconds_count",
    ):
        assert line in page_text
