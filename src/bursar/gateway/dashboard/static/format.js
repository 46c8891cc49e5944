// Numbers and times for people.

const LOCALE = "en";
const plain = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 3 });
const few = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 3 });
const cents = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const hour = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", timeZone: "UTC" });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const UNITS = {
  usd: "USD", tokens: "tokens", tokens_in: "tokens in", tokens_out: "tokens out", requests: "requests", ended: "requests",
  seconds: "s", joules: "J", grams_co2e: "gCO₂e", flops: "FLOPs", bytes_moved: "bytes", tool_calls: "calls",
};

export const unit = (resource) => UNITS[resource] ?? resource;

export const count = (value) => (Math.abs(value) < 10000 ? plain.format(value) : compact.format(value));

export function number(resource, value) {
  if (value === null || value === undefined) return "unknown";
  if (resource === "usd") return Math.abs(value) >= 0.1 || value === 0 ? (Math.abs(value) >= 1e5 ? compact : cents).format(value) : few.format(value);
  return Math.abs(value) >= 10000 ? compact.format(value) : few.format(value);
}

export const amount = (resource, value) => `${number(resource, value)} ${unit(resource)}`;

export const dollars = (value) => number("usd", value);

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${few.format(value * 1000)} ms`;
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return span(value);
}

export function span(value) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => value >= size);
  if (first < 0) return "0 s";
  const [size, name] = units[first];
  const whole = Math.floor(value / size);
  const next = units[first + 1];
  const rest = next && first < 3 ? Math.floor((value - whole * size) / next[0]) : 0;
  return rest && whole < 10 ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
}

export const percent = (share) => `${few.format(share * 100)} %`;

export const bucket = (start, step) => (step >= 86400 ? day : hour).format(start * 1000);

export const longBucket = (start, step) => (step >= 86400 ? `${day.format(start * 1000)} (UTC)` : `${moment.format(start * 1000)} – ${hour.format((start + step) * 1000)}`);

export const time = (epoch) => clock.format(epoch * 1000);

export const when = (epoch) => moment.format(epoch * 1000);
