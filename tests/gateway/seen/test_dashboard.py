"""The dashboard in headless Chromium: widths and themes, the keyboard, budgets, no complaints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from seen_site import Moment, made_up, served, site

from bursar.gateway.seen.journal import Journal

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    journal = Journal(str(tmp_path_factory.mktemp("seen") / "ledger.sqlite"), every_s=600)
    for each in made_up(time.time(), count=2500):
        journal(each)
    journal.flush()
    yield journal
    journal.close()


@pytest.fixture
def moment() -> Moment:
    return Moment(time.time())


@pytest.fixture
def opened(browser: Browser, journal: Journal, moment: Moment) -> Iterator[Open]:
    """Opens the dashboard and signs in; at the end nothing must have been complained of."""
    complaints: list[str] = []
    with served(site(journal, moment)) as address:

        def open_page(key: str = "sk-admin", **how: Any) -> Page:
            page = browser.new_context(**how).new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "request",
                lambda request: (
                    None if request.url.startswith(address) else complaints.append(request.url)
                ),
            )
            page.goto(f"{address}/dashboard")
            if key:
                page.get_by_label("Key", exact=True).fill(key)
                page.keyboard.press("Enter")
                page.wait_for_selector("#dearest tbody tr")
                page.wait_for_selector("#live tbody tr")
            return page

        yield open_page
        for context in browser.contexts:
            context.close()
    # Chromium itself notes an answer of 400 or 412, and the page then says why in its own words.
    assert not [said for said in complaints if "status of 4" not in said]


WIDE = """() => [...document.querySelectorAll(":not(.as-table) > .scroll")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.ariaLabel)"""

CONTRAST = """() => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const found = [];
  for (const e of document.querySelectorAll("main *, header *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const ink = light(parse(e instanceof SVGElement ? style.fill : style.color));
    const paper = light(behind(e));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) found.push(`${e.tagName} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1440])
def test_it_fits_and_is_legible(opened: Open, width: int, theme: str, tmp_path: Path) -> None:
    page = opened("sk-owner", viewport={"width": width, "height": 900}, color_scheme=theme)
    page.get_by_role("button", name="acme, USD per month: use over time").click()
    page.wait_for_selector(".standing .chart svg")
    page.screenshot(path=tmp_path / f"dashboard-{width}-{theme}.png", full_page=True)
    sizes = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert sizes[0] <= sizes[1]
    assert page.evaluate(WIDE) == []
    assert page.evaluate(CONTRAST) == []
    assert page.locator("#over-time .bar").count() > 20
    assert page.locator("#figures .big").all_inner_texts()[0].endswith("USD")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 26)") == (theme == "dark")


WALK = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const seen = e.matches("[type=radio]") ? getComputedStyle(e.nextElementSibling) : style;
  const all = [...document.querySelectorAll("*")];
  return {at: all.indexOf(e), name: e.tagName, ring: seen.outlineStyle, width: seen.outlineWidth,
          text: (e.getAttribute("aria-label") || e.textContent || e.name || "").slice(0, 60)};
}"""


def test_the_keyboard_reaches_all_in_order_and_is_never_caught(opened: Open) -> None:
    page = opened(viewport={"width": 1440, "height": 900})
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.locator("body").evaluate("(body) => { body.tabIndex = -1; body.focus(); }")
    steps: list[dict[str, Any]] = []
    while len(steps) < 120:
        page.keyboard.press("Tab")
        step = page.evaluate(WALK)
        if step["name"] == "BODY" or (steps and step["at"] == steps[0]["at"]):
            break
        steps.append(step)
    assert len(steps) < 120
    assert steps[0]["text"] == "Skip to content"
    positions = [step["at"] for step in steps]
    assert positions == sorted(positions)
    assert len(set(positions)) == len(positions)
    assert {(step["ring"], step["width"]) for step in steps} == {("solid", "2px")}
    texts = " ".join(step["text"] for step in steps)
    for part in ("Theme", "Sign out", "Export", "usd by team", "Edit the limits of acme/search"):
        assert part.lower() in texts.lower().replace("dollars", "usd"), part


def test_a_chart_is_read_with_arrow_keys_and_as_a_table(opened: Open) -> None:
    page = opened()
    chart = page.locator("#over-time svg").first
    assert "Arrow keys" in (chart.get_attribute("aria-label") or "")
    chart.focus()
    for key in ("ArrowLeft", "ArrowLeft", "End"):
        page.keyboard.press(key)
    readout = page.locator("#over-time .readout")
    expect(readout).to_contain_text("–")
    last = readout.inner_text()
    page.keyboard.press("Home")
    assert readout.inner_text() != last
    page.keyboard.press("Escape")
    expect(readout).to_be_empty()
    page.locator("#over-time summary").click()
    assert page.locator("#over-time tbody tr").count() == 24


def test_filters_narrow_what_is_shown(opened: Open) -> None:
    page = opened("sk-owner")
    whole = page.locator("#figures .big").nth(1).inner_text()
    page.locator("#team").select_option("acme/search")
    expect(page.locator("#teams-title")).to_have_text("Keys")
    assert page.locator("#figures .big").nth(1).inner_text() != whole
    page.get_by_label("30 days").check(force=True)
    expect(page.locator("#over-time .limit-word")).to_contain_text("limit 6.00 USD per day")
    page.locator("#resource").select_option("tokens")
    expect(page.locator("#over-time-title")).to_have_text("Tokens over time")


def budget(page: Page, account: str) -> Locator:
    return page.get_by_role("article", name=f"Limits of {account}")


def test_an_admin_edits_a_budget_by_keyboard(opened: Open, moment: Moment) -> None:
    page = opened()
    edit = page.get_by_role("button", name="Edit the limits of acme/search")
    edit.focus()
    page.keyboard.press("Enter")
    field = page.get_by_role("textbox", name="Limits of acme/search")
    expect(field).to_be_focused()
    field.fill("12 parsecs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="parsecs")).to_be_visible()
    field.fill("25 USD per day")
    page.keyboard.press("Enter")
    expect(budget(page, "acme/search")).to_contain_text("of 25.00 USD per day")
    expect(edit).to_be_focused()
    assert moment.accounts["acme/search"].version == 2
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(edit).to_be_focused()


def test_an_edit_does_not_overwrite_anothers(opened: Open, moment: Moment) -> None:
    page = opened()
    page.get_by_role("button", name="Edit the limits of acme/research").click()
    old = moment.accounts["acme/research"]
    moment.accounts["acme/research"] = type(old)(old.account, 7, "1 USD", old.standings)
    page.get_by_role("textbox", name="Limits of acme/research").fill("99 USD")
    page.get_by_role("button", name="Save").click()
    with_answer = page.get_by_role("alert").filter(has_text="Someone else")
    expect(with_answer).to_be_visible()
    assert moment.accounts["acme/research"].limits == "1 USD"


def test_an_account_gets_its_first_limit(opened: Open, moment: Moment) -> None:
    page = opened()
    page.get_by_role("button", name="Limit another account").click()
    page.get_by_label("Account", exact=True).fill("acme/platform")
    page.get_by_label("Its limits").fill("3 USD per day")
    page.get_by_role("button", name="Save").click()
    expect(budget(page, "acme/platform")).to_contain_text("of 3.00 USD per day")
    assert moment.accounts["acme/platform"].version == 1


def test_who_may_not_edit_is_offered_nothing(opened: Open) -> None:
    page = opened("sk-viewer")
    assert page.get_by_role("button", name="Edit").count() == 0
    assert page.get_by_role("button", name="Limit another account").count() == 0
    assert page.get_by_role("article").count() == 1


def test_the_theme_is_kept_and_motion_is_not_forced(opened: Open) -> None:
    page = opened(reduced_motion="reduce", color_scheme="dark")
    page.get_by_role("button", name="Theme: auto").click()
    page.reload()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    look = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(look) == "rgb(253, 253, 252)"
    moving = (
        "[...document.querySelectorAll('*')].map((e) => getComputedStyle(e).transitionDuration)"
    )
    assert set(page.evaluate(moving)) == {"0s"}


def test_an_export_is_downloaded(opened: Open) -> None:
    page = opened()
    page.locator(".export summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Requests, Parquet").click()
    assert waiting.value.suggested_filename == "bursar-requests-24h.parquet"
    page.keyboard.press("Escape")
    expect(page.locator(".export summary")).to_be_focused()


def test_signing_out_shows_nothing_more(opened: Open) -> None:
    page = opened()
    page.reload()  # what the page knew of the session is lost
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    expect(page.locator("#board")).to_be_hidden()
    assert "acme" not in page.content()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
