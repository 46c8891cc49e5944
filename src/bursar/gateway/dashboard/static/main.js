// Draws what the gateway says, and asks again: sums every 15 s, what is live every 2 s.

import { exportAddress, seen, signIn, signOut } from "./api.js";
import { stackedBars } from "./charts.js";
import { at, h, path, shares, table } from "./dom.js";
import { amount, bucket, count, dollars, longBucket, number, percent, seconds, time, unit, when } from "./format.js";
import { Limits } from "./limits.js";

const SUMS_MS = 15000, LIVE_MS = 2000, ROWS = 10;
const filters = at("filters");
let me = null, overview = null, asking = null;

const query = () => Object.fromEntries(["range", "team", "model", "resource"].map((n) => [n, filters.elements[n].value]));
const limits = new Limits(at("limits"), query, () => refresh());

// Redrawing a part puts the focus, and how far it was scrolled, back to where they were.
function put(host, ...children) {
  const box = host.querySelector(".scroll"), scrolled = box?.scrollTop, focused = box && box === document.activeElement;
  host.replaceChildren(...children);
  const fresh = host.querySelector(".scroll");
  if (fresh && scrolled) fresh.scrollTop = scrolled;
  if (fresh && focused) fresh.focus();
}

function figure(title, big, unitText, note) {
  return h("div", {}, h("dt", {}, title), h("dd", { class: "big" }, big, unitText && h("span", { class: "unit" }, ` ${unitText}`)), h("dd", { class: "note" }, note));
}

function drawFigures({ totals, outcomes }) {
  const of = (name) => outcomes.find((row) => row.name === name)?.requests ?? 0;
  const { usd, saved_usd: saved, requests } = totals;
  const naive = usd + saved;
  const unknown = totals.unknown_usd ? `, ${count(totals.unknown_usd)} of unknown cost` : "";
  at("figures").replaceChildren(
    figure("Spent", dollars(usd), "USD", `${count(totals.tokens_in + totals.tokens_out)} tokens${unknown}`),
    figure("Requests", count(requests), "", `${count(totals.calls)} calls to upstreams`),
    figure("Saved", naive > 0 ? percent(saved / naive) : "–", "", `${dollars(saved)} USD below naive`),
    figure("Median time", seconds(totals.p50_s), "", `99 % within ${seconds(totals.p99_s)}`),
    figure("Refused or failed", requests ? percent((of("4xx") + of("5xx")) / requests) : "–", "", `${count(of("4xx"))} refused or left, ${count(of("5xx"))} failed`),
  );
}

// A limit of all that is in view, with a period as long as a bar is wide.
function fittingLimit({ budgets, step_s: step, resource, series }) {
  const account = query().team || me.root || (series.length === 1 ? series[0].team : "");
  const window = { 3600: "hour", 86400: "day" }[step];
  const found = budgets.find((b) => b.account === account)?.standings.find((s) => s.resource === resource && s.window === window);
  return found && { amount: found.limit, words: `limit ${amount(resource, found.limit)} per ${window}` };
}

function drawOverTime(data) {
  const { starts, step_s: step, series, resource } = data;
  const words = filters.elements.resource.selectedOptions[0].textContent;
  at("over-time-title").textContent = `${words} over time`;
  const asked = JSON.stringify(query()), host = at("over-time");
  if (host.contains(document.activeElement) && host.dataset.asked === asked) return; // someone reads it with the keyboard
  host.dataset.asked = asked;
  if (!series.length) return put(host, h("p", { class: "empty" }, "No requests in this range."));
  stackedBars(host, {
    starts, series, limit: fittingLimit(data), label: (value) => number(resource, value),
    bucket: (start) => bucket(start, step), longBucket: (start) => longBucket(start, step),
    title: `${unit(resource)} by team, ${step >= 86400 ? "each day (UTC)" : "each hour"}`,
  });
}

const nameOr = (other) => (row) => row.name ? path(row.name) : h("span", { class: "soft" }, other);

function drawTables(data) {
  const usd = { title: "USD", number: true, of: (row) => dollars(row.usd) };
  const requests = { title: "Requests", number: true, of: (row) => count(row.requests) };
  const ratio = (share, label) => shares("ratio", [["", share]], label);
  const naive = (row) => row.usd + row.saved_usd;
  put(at("savings"), table("Savings by strategy", [
    { title: "Strategy", of: nameOr("none") },
    requests, usd,
    { title: "Naive", number: true, less: true, of: (row) => dollars(naive(row)) },
    { title: "Saved", number: true, of: (row) => (naive(row) > 0 ? percent(row.saved_usd / naive(row)) : "–") },
    { title: "Spent of naive", kind: "wide less", of: (row) => ratio(naive(row) > 0 ? row.usd / naive(row) : 0, `${percent(naive(row) > 0 ? row.usd / naive(row) : 0)} of naive spent`) },
  ], data.strategies, "Nothing was answered in this range."));
  put(at("models"), table("Models", [
    { title: "Model", of: nameOr("none answered") }, requests, usd,
    { title: "Median", number: true, less: true, of: (row) => seconds(row.p50_s) },
    { title: "99 % within", number: true, of: (row) => seconds(row.p99_s) },
  ], data.models, "Nothing in this range."));
  const byKey = data.keys.length > 0;
  at("teams-title").textContent = byKey ? "Keys" : "Teams";
  put(at("teams"), table(byKey ? "Keys" : "Teams", [{ title: byKey ? "Key" : "Team", of: nameOr("refused keys") }, requests, usd],
    byKey ? data.keys : data.teams, "Nothing in this range."));
}

const account = (row) => (row.account ? path(row.account) : "refused key");

const failed = (row) => row.status >= 400;

function requestColumns(first) {
  return [
    { title: "Account", kind: "name", of: (row) => [account(row), h("small", {}, `${row.model}${row.error ? ` · ${row.error}` : ""}`)] },
    first,
    { title: "Status", number: true, less: true, of: (row) => h("span", { class: failed(row) ? "status-bad" : null }, String(row.status)) },
    { title: "Began", number: true, kind: "moment", of: (row) => when(row.began_at) },
  ];
}

function drawTop({ slowest, dearest }) {
  const cost = { title: "USD", number: true, of: (row) => [dollars(row.spent_usd), h("small", {}, seconds(row.seconds))] };
  const took = { title: "Took", number: true, of: (row) => [seconds(row.seconds), h("small", {}, row.spent_usd === null ? "cost unknown" : `${dollars(row.spent_usd)} USD`)] };
  put(at("dearest"), table("Dearest requests", requestColumns(cost), dearest.slice(0, ROWS), "None in this range."));
  put(at("slowest"), table("Slowest requests", requestColumns(took), slowest.slice(0, ROWS), "None in this range."));
}

const priceOf = ([resource, value]) => [`The price of ${unit(resource)} is `, h("b", {}, number(resource, value)), ": requests worth less wait outside."];

function drawLive(data) {
  const { running, latest, price, upstreams, now } = data;
  at("live-said").textContent = running.length ? `${count(running.length)} running, the longest for ${seconds(now - running[0].began_at)}.` : "None running.";
  const rows = [...running.map((row) => ({ ...row, runs: true })), ...latest].slice(0, ROWS);
  put(at("live"), table("Requests that run, then the latest that ended", [
    { title: "Account", kind: "name", of: (row) => [account(row), h("small", {}, row.model)] },
    { title: "Status", number: true, of: (row) => h("span", { class: row.runs || !failed(row) ? null : "status-bad" }, row.runs ? "runs" : String(row.status)) },
    { title: "Took", number: true, of: (row) => seconds(row.runs ? now - row.began_at : row.seconds) },
    { title: "USD", number: true, less: true, of: (row) => (row.runs ? "" : dollars(row.spent_usd)) },
    { title: "Began", number: true, of: (row) => time(row.began_at) },
  ], rows, "No request yet."));
  const prices = Object.entries(price);
  put(at("price"), prices.length
    ? h("ul", { class: "prices" }, prices.map((price) => h("li", {}, priceOf(price))))
    : h("p", { class: "soft" }, "Nothing is short, so there is no price."));
  put(at("upstreams"), table("Upstreams", [
    { title: "Upstream", of: (row) => [row.name, h("small", {}, row.model)] },
    { title: "State", of: (row) => h("span", { class: `state ${row.state}` }, row.state) },
    { title: "In flight", number: true, of: (row) => count(row.in_flight ?? 0) },
    { title: "Median", number: true, less: true, of: (row) => seconds(row.p50_s) },
    { title: "Failed", number: true, of: (row) => (row.failed_share === undefined ? "–" : percent(row.failed_share)) },
  ], upstreams, "No upstream."));
}

function choices(select, names, all) {
  const chosen = select.value;
  const wanted = [["", all], ...names.filter(Boolean).map((name) => [name, name])];
  if (chosen && !names.includes(chosen)) wanted.push([chosen, chosen]);
  if (wanted.map(([value]) => value).join("\n") === [...select.options].map((o) => o.value).join("\n")) return;
  select.replaceChildren(...wanted.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
}

function drawExports() {
  const { range, team, model } = query();
  const kinds = [["days", "Sums by day"], ["hours", "Sums by hour"], ["requests", "Requests"]];
  at("exports").replaceChildren(...kinds.flatMap(([what, words]) => [["csv", "CSV"], ["parquet", "Parquet"]].map(([format, name]) =>
    h("li", {}, h("a", { href: exportAddress({ what, format, range, team, model }), download: true }, `${words}, ${name}`)))));
}

function trouble(error) {
  if (error?.name === "AbortError") return;
  if (error?.status === 401) return showSignIn();
  at("trouble").textContent = error ? error.message : "";
}

const FILLED = ["whose", "figures", "over-time", "limits", "live-said", "live", "price", "upstreams", "savings", "dearest", "slowest", "models", "teams", "exports"];

// Nothing of what was shown stays in the page for whoever comes next.
function forget() {
  me = null;
  asking?.abort();
  FILLED.forEach((id) => at(id).replaceChildren());
  limits.forget();
  at("team").replaceChildren(h("option", { value: "" }, "All teams"));
  at("model").replaceChildren(h("option", { value: "" }, "All models"));
  filters.reset();
}

function showSignIn(said = "") {
  forget();
  at("board").hidden = true;
  at("sign-out").hidden = true;
  at("sign-in").hidden = false;
  at("sign-in-error").textContent = said;
  at("key").focus();
}

async function refresh() {
  if (!me) return;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    const asked = query();
    overview = await seen("overview", asked, signal);
    drawFigures(overview);
    drawOverTime(overview);
    limits.draw(overview.budgets.filter((b) => !asked.team || b.account === asked.team || b.account.startsWith(`${asked.team}/`)), overview.now, me.may_edit, overview.known_teams);
    drawTables(overview);
    choices(filters.elements.team, overview.known_teams, "All teams");
    choices(filters.elements.model, overview.models.map((row) => row.name), "All models");
    drawExports();
    at("board").setAttribute("aria-busy", "false");
    trouble(null);
    performance.mark("bursar-drawn");
    drawTop(await seen("top", asked, signal));
  } catch (error) {
    trouble(error);
  }
}

async function refreshLive() {
  if (!me) return;
  const { team, model, range } = query();
  const asker = me;
  try {
    const found = await seen("live", { team, model, range });
    if (me === asker) drawLive(found);
  } catch (error) {
    trouble(error);
  }
}

async function open() {
  try {
    const found = await seen("me", {});
    if (!found.signed_in) return showSignIn();
    me = found;
  } catch (error) {
    return trouble(error);
  }
  at("sign-in").hidden = true;
  at("board").hidden = false;
  at("sign-out").hidden = false;
  at("whose").textContent = `${me.root || "the whole gateway"} · ${me.role}`;
  await Promise.all([refresh(), refreshLive()]);
}

function every(milliseconds, act) {
  const turn = async () => {
    if (!document.hidden) await act();
    setTimeout(turn, milliseconds);
  };
  setTimeout(turn, milliseconds);
}

const THEMES = ["auto", "light", "dark"];

function theme(next) {
  if (next === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("bursar-theme", next);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  at("theme").textContent = `Theme: ${next}`;
}

at("theme").addEventListener("click", () => {
  theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length]);
});
theme(document.documentElement.dataset.theme ?? "auto");

at("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = at("key").value.trim();
  at("key").value = "";
  try {
    await signIn(key);
    await open();
    at("content").focus();
  } catch (error) {
    showSignIn(error.message);
  }
});
at("sign-out").addEventListener("click", () => signOut().then(() => { forget(); return open(); }).catch(trouble));
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("change", () => {
  refresh();
  refreshLive();
});
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector(".export[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  const menu = document.querySelector(".export[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});

every(SUMS_MS, refresh);
every(LIVE_MS, refreshLive);
open();
