// Talks to the gateway. The session is a cookie that scripts can't read; changes carry its token.

const SEEN = "/admin/v1/seen/";
const SESSION = "/admin/v1/session";
const BUDGETS = "/admin/v1/budgets/";

let token = "";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(address, options = {}) {
  let reply;
  try {
    reply = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The gateway can’t be reached; trying again.");
  }
  const text = await reply.text();
  let said = {};
  try {
    said = text ? JSON.parse(text) : {};
  } catch {
    said = {};
  }
  if (!reply.ok) throw new Refused(reply.status, said.error?.message ?? `The gateway answered ${reply.status}.`);
  return said;
}

// Without keys there are no sessions, and no token.
async function change(method, address, body, headers = {}) {
  if (!token) token = (await ask(SESSION)).csrf ?? "";
  const all = { "content-type": "application/json", "x-csrf-token": token, ...headers };
  return ask(address, { method, headers: all, body: body && JSON.stringify(body) });
}

export function seen(view, query, signal) {
  return ask(`${SEEN}${view}?${new URLSearchParams(query)}`, { signal });
}

export function exportAddress(query) {
  return `${SEEN}export?${new URLSearchParams(query)}`;
}

export async function signIn(key) {
  const headers = { "content-type": "application/json" };
  token = (await ask(SESSION, { method: "POST", headers, body: JSON.stringify({ key }) })).csrf ?? "";
}

export async function signOut() {
  await change("DELETE", SESSION);
  token = "";
}

export async function setLimits(account, limits, version) {
  const path = account.split("/").map(encodeURIComponent).join("/");
  return change("PATCH", BUDGETS + path, { limits }, { "if-match": `"${version}"` });
}
