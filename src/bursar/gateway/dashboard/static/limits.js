// Limits: a meter each, how it was used over time, and the text of an account's limits to edit.

import { seen, setLimits } from "./api.js";
import { useOfLimit } from "./charts.js";
import { h, path, shares } from "./dom.js";
import { amount, bucket, longBucket, number, percent, span, unit, when } from "./format.js";

const HINT = "Amounts joined by commas, each with a period or for all time: 20 USD per day, 2M tokens per month, 60 requests per minute.";

const id = (account, standing) => [account, standing.resource, standing.window].join("|");

export class Limits {
  constructor(host, query, changed) {
    Object.assign(this, { host, query, changed, opened: new Set(), editing: null });
  }

  forget() {
    this.opened.clear();
    this.editing = null;
  }

  draw(budgets, now, mayEdit, teams) {
    const focused = this.host.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    // What someone writes, or reads with the keyboard, stays.
    if (this.editing || (this.host.contains(document.activeElement) && !focused)) return;
    const accounts = budgets.map((budget) => this.account(budget, now, mayEdit));
    if (!accounts.length) accounts.push(h("p", { class: "empty" }, "No account in view has a limit."));
    if (mayEdit) accounts.push(this.adder(budgets, teams));
    this.host.replaceChildren(...accounts);
    if (focused) this.host.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  account(budget, now, mayEdit) {
    const row = h("article", { class: "account", "aria-label": `Limits of ${budget.account}` },
      h("h3", {}, path(budget.account)),
      h("div", { class: "standings" }, budget.standings.map((s) => this.standing(budget.account, s, now)),
        budget.standings.length ? null : h("p", { class: "empty" }, "No limit.")),
      mayEdit ? h("button", { type: "button", class: "quiet", "data-focus": `edit|${budget.account}`, "aria-label": `Edit the limits of ${budget.account}`, onclick: () => this.edit(row, budget) }, "Edit") : h("span"));
    return row;
  }

  standing(account, s, now) {
    const left = s.limit - s.spent - s.held, used = s.limit ? s.spent / s.limit : 1;
    const per = s.window ? ` per ${s.window}` : "";
    const words = `${number(s.resource, s.spent)} of ${amount(s.resource, s.limit)}${per}`;
    const held = s.held > 0 ? `, ${number(s.resource, s.held)} held` : "";
    const leaves = left < 0 ? `, ${number(s.resource, -left)} over` : `, ${number(s.resource, left)} left`;
    const resets = s.resets_at ? `resets in ${span(s.resets_at - now)}` : s.window ? "rolls on" : "does not reset";
    const level = used >= 1 ? " over" : used >= 0.8 ? " near" : "";
    const key = id(account, s), host = h("div", { class: "chart", hidden: true });
    const button = h("button", { type: "button", "aria-expanded": "false", "data-focus": `time|${key}` }, "Over time");
    const toggle = async () => {
      host.hidden = !host.hidden;
      button.setAttribute("aria-expanded", String(!host.hidden));
      if (host.hidden) return void this.opened.delete(key);
      this.opened.add(key);
      await this.chart(host, account, s);
    };
    button.addEventListener("click", toggle);
    button.setAttribute("aria-label", `${account}, ${unit(s.resource)}${per}: use over time`);
    if (this.opened.has(key)) toggle();
    return h("div", { class: `standing${level}` },
      h("span", { class: "what" }, words, h("span", { class: "soft" }, held + leaves)),
      h("span", { class: "when", title: s.resets_at ? when(s.resets_at) : null }, `${percent(used)} spent, ${resets}`),
      shares("meter", [["spent", Math.min(1, used)], ["held", s.limit ? s.held / s.limit : 0]], `${words}${held}${leaves}`),
      button, host);
  }

  async chart(host, account, s) {
    try {
      const found = await seen("limit", { ...this.query(), account, resource: s.resource, window: s.window });
      if (found.used.every((value) => value === null)) {
        host.replaceChildren(h("p", { class: "soft" }, "Its period is shorter than this range shows; choose a shorter range."));
        return;
      }
      useOfLimit(host, {
        starts: found.starts, used: found.used, limit: found.limit, label: (value) => number(s.resource, value),
        bucket: (start) => bucket(start, found.step_s), longBucket: (start) => longBucket(start, found.step_s),
        title: `${account}: ${unit(s.resource)} used of its limit`,
      });
    } catch (error) {
      host.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
    }
  }

  adder(budgets, teams) {
    const holder = h("div", { class: "add" });
    const open = () => {
      const free = teams.filter((team) => team && !budgets.some((b) => b.account === team));
      holder.replaceChildren(this.form({ account: free[0] ?? "", limits: "", version: 0 }, true, teams));
      holder.querySelector("input").focus();
    };
    holder.append(h("button", { type: "button", "data-focus": "add", onclick: open }, "Limit another account"));
    return holder;
  }

  edit(row, budget) {
    row.querySelector(".edit-form")?.remove();
    row.append(this.form(budget, false, []));
    row.querySelector("input").focus();
  }

  form(budget, isNew, teams) {
    this.editing = budget.account || "new";
    const limits = h("input", { value: budget.limits, spellcheck: "false", autocomplete: "off", placeholder: "20 USD per day" });
    const account = isNew && h("input", { value: budget.account, spellcheck: "false", autocomplete: "off", list: "accounts", required: true });
    const said = h("p", { class: "soft" }, HINT);
    const save = h("button", { type: "submit", class: "primary" }, "Save");
    const close = () => {
      const focus = isNew ? "add" : `edit|${budget.account}`;
      this.editing = null;
      this.changed();
      requestAnimationFrame(() => this.host.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus());
    };
    const submit = async (event) => {
      event.preventDefault();
      save.disabled = true;
      try {
        await setLimits(account ? account.value.trim() : budget.account, limits.value.trim(), budget.version);
        close();
      } catch (error) {
        const stale = error.status === 412 || error.status === 409;
        said.className = "error";
        said.setAttribute("role", "alert");
        said.textContent = stale ? "Someone else has changed these limits meanwhile. Cancel, look, then edit again." : error.message;
        save.disabled = false;
        limits.focus();
      }
    };
    return h("form", { class: "edit-form", onsubmit: submit, onkeydown: (event) => event.key === "Escape" && close() },
      isNew && h("label", {}, "Account", account, h("datalist", { id: "accounts" }, teams.map((team) => h("option", { value: team })))),
      h("label", {}, isNew ? "Its limits" : `Limits of ${budget.account}`, limits),
      save, h("button", { type: "button", onclick: close }, "Cancel"), said);
  }
}
