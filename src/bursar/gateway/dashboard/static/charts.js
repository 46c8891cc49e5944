// Charts as SVG at the size they are shown in, so that text keeps its size. Each can be walked with
// the arrow keys, says where it is in words, and has a table beside it.

import { h, svg, table } from "./dom.js";

const HEIGHT = 260, SMALL = 150, LEFT = 58, RIGHT = 18, TOP = 16, BOTTOM = 26;

function ticks(high) {
  const least = high / 4;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= least * 0.999);
  const found = [];
  for (let i = 0; i * step <= high * 1.0001; i += 1) found.push(i * step);
  return found;
}

function frame(host, { starts, height, high, label, bucket, says, title, draw, read }) {
  const drawing = svg("svg", { role: "img", tabindex: 0, "aria-label": says, height });
  const readout = h("p", { class: "readout", "aria-live": "polite" });
  let cursor = null, chosen = -1, width = 0;

  const show = (i) => {
    chosen = i;
    cursor.setAttribute("visibility", i < 0 ? "hidden" : "visible");
    readout.replaceChildren(...(i < 0 ? [] : read(i)));
    if (i >= 0) cursor.setAttribute("x", LEFT + (i * (width - LEFT - RIGHT)) / starts.length);
  };
  const paint = () => {
    width = Math.max(240, Math.round(host.clientWidth));
    const slot = (width - LEFT - RIGHT) / starts.length;
    const y = (value) => height - BOTTOM - (value / high) * (height - TOP - BOTTOM);
    const parts = ticks(high).flatMap((tick) => [
      svg("line", { class: tick ? "grid" : "base", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
      svg("text", { x: LEFT - 10, y: y(tick) + 4, "text-anchor": "end" }, label(tick)),
    ]);
    const every = Math.ceil((starts.length * 62) / (width - LEFT - RIGHT));
    starts.forEach((start, i) => {
      if ((starts.length - 1 - i) % every === 0)
        parts.push(svg("text", { x: LEFT + (i + 0.5) * slot, y: height - 6, "text-anchor": "middle" }, bucket(start)));
    });
    cursor = svg("rect", { class: "cursor", y: TOP, width: slot, height: height - TOP - BOTTOM, visibility: "hidden" });
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren(...parts, cursor, ...draw({ slot, y, left: LEFT, right: width - RIGHT }));
    if (chosen >= 0) show(chosen);
  };
  drawing.addEventListener("pointermove", (event) => {
    const i = Math.floor(((event.offsetX - LEFT) / (width - LEFT - RIGHT)) * starts.length);
    show(i >= 0 && i < starts.length ? i : -1);
  });
  drawing.addEventListener("pointerleave", () => show(-1));
  drawing.addEventListener("keydown", (event) => {
    const last = starts.length - 1;
    const to = { ArrowLeft: Math.max(0, chosen < 0 ? last : chosen - 1), ArrowRight: Math.min(last, chosen + 1), Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
  const figure = h("figure", {}, drawing, h("figcaption", { class: "visually-hidden" }, title), readout);
  host.replaceChildren(figure);
  host.watcher?.disconnect();
  host.watcher = new ResizeObserver(() => {
    if (Math.abs(host.clientWidth - width) > 1) paint();
  });
  paint();
  host.watcher.observe(host);
  return figure;
}

export function stackedBars(host, { starts, series, limit, label, bucket, longBucket, title }) {
  const totals = starts.map((_, i) => series.reduce((sum, s) => sum + s.values[i], 0));
  const most = Math.max(...totals, 0);
  const drawn = limit && limit.amount <= most * 6 ? limit : null; // else the bars could not be told apart
  const high = Math.max(most, drawn?.amount ?? 0) * 1.06 || 1;
  const sum = totals.reduce((a, b) => a + b, 0);
  const peak = totals.indexOf(most);
  const says = `${title}. ${series.length} series, ${label(sum)} in all, most ${label(most)} at ${longBucket(starts[peak])}.` +
    (limit ? ` The limit: ${limit.words}.` : "") + " Arrow keys read single bars; a table follows.";
  const open = host.querySelector("details")?.open;
  const figure = frame(host, {
    starts, height: HEIGHT, high, label, bucket, says, title,
    draw: ({ slot, y, left, right }) => {
      const gap = Math.min(4, slot * 0.18);
      const bars = [];
      starts.forEach((_, i) => {
        let below = 0;
        series.forEach((s, k) => {
          if (s.values[i] <= 0) return;
          const top = y(below + s.values[i]);
          bars.push(svg("rect", { class: `bar s${k % 8}`, x: left + i * slot + gap / 2, width: Math.max(1, slot - gap), y: top, height: Math.max(0.5, y(below) - top) }));
          below += s.values[i];
        });
      });
      if (drawn) bars.push(
        svg("line", { class: "limit-line", x1: left, x2: right, y1: y(drawn.amount), y2: y(drawn.amount) }),
        svg("text", { class: "limit-word", x: right, y: y(drawn.amount) - 6, "text-anchor": "end" }, drawn.words));
      else if (limit) bars.push(svg("text", { class: "limit-word", x: right, y: 10, "text-anchor": "end" }, `${limit.words}, far above`));
      return bars;
    },
    read: (i) => [
      h("span", {}, h("b", {}, longBucket(starts[i]))), h("span", {}, h("b", {}, label(totals[i]))),
      ...series.filter((s) => s.values[i] > 0).map((s) => h("span", {}, `${s.team || "refused keys"} ${label(s.values[i])}`)),
    ],
  });
  figure.prepend(h("ul", { class: "legend" }, series.map((s, k) => h("li", {}, h("span", { class: `swatch s${k % 8}`, "aria-hidden": "true" }), s.team || "refused keys"))));
  const rows = starts.map((start, i) => ({ start, i }));
  figure.append(h("details", { class: "as-table", open }, h("summary", {}, "As a table"),
    table(title, [
      { title: "From", of: (r) => longBucket(r.start) },
      { title: "All", number: true, of: (r) => label(totals[r.i]) },
      ...series.map((s) => ({ title: s.team || "refused keys", number: true, of: (r) => label(s.values[r.i]) })),
    ], rows, "Nothing yet.")));
}

export function useOfLimit(host, { starts, used, limit, label, bucket, longBucket, title }) {
  const known = used.map((value) => value ?? 0);
  const high = Math.max(...known, limit) * 1.06 || 1;
  const says = `${title}. Limit ${label(limit)}; used ${label(known.at(-1))} now. Arrow keys read it; a table follows.`;
  const figure = frame(host, {
    starts, height: SMALL, high, label, bucket, says, title,
    draw: ({ slot, y, left, right }) => {
      const points = known.map((value, i) => `${(left + (i + 0.5) * slot).toFixed(1)},${y(value).toFixed(1)}`);
      const last = (left + (known.length - 0.5) * slot).toFixed(1), first = (left + 0.5 * slot).toFixed(1);
      return [
        svg("polygon", { class: "area", points: `${first},${y(0)} ${points.join(" ")} ${last},${y(0)}` }),
        svg("polyline", { class: "line", points: points.join(" ") }),
        svg("line", { class: "limit-line", x1: left, x2: right, y1: y(limit), y2: y(limit) }),
        svg("text", { class: "limit-word", x: right, y: y(limit) - 5, "text-anchor": "end" }, label(limit)),
      ];
    },
    read: (i) => [h("span", {}, h("b", {}, longBucket(starts[i]))), h("span", {}, `${label(known[i])} of ${label(limit)} used`)],
  });
  figure.append(h("details", { class: "as-table" }, h("summary", {}, "As a table"),
    table(title, [
      { title: "From", of: (r) => longBucket(starts[r]) },
      { title: "Used at its end", number: true, of: (r) => label(known[r]) },
    ], starts.map((_, i) => i), "Nothing yet.")));
}
