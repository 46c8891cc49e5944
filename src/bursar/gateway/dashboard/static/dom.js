// Makes elements. Text is always text: nothing of what clients wrote is read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const at = (id) => document.getElementById(id);

// An account, which may wrap after its slashes.
export function path(account) {
  const parts = account.split("/");
  return parts.flatMap((part, i) => (i ? ["/", h("wbr"), part] : [part]));
}

// A share of a whole as a bar; the parts' widths are percentages.
export function shares(className, parts, label) {
  let from = 0;
  const rects = parts.map(([kind, share]) => {
    const width = Math.max(0, Math.min(share, 1 - from)) * 100;
    const rect = svg("rect", { class: kind, x: `${from * 100}%`, width: `${width}%`, height: 6 });
    from += width / 100;
    return rect;
  });
  return svg("svg", { class: className, role: "img", "aria-label": label, height: 6 }, ...rects);
}

// Columns: {title, of(row) -> text or node, number, less, name}. The first names the row.
export function table(caption, columns, rows, nothing) {
  if (!rows.length) return h("p", { class: "empty" }, nothing);
  const kind = (column) => [column.number && "n", column.less && "less", column.kind].filter(Boolean).join(" ") || null;
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "visually-hidden" }, caption),
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: kind(c) }, c.title)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((c, i) =>
        i ? h("td", { class: kind(c) }, c.of(row)) : h("th", { scope: "row", class: kind(c) }, c.of(row))))))));
}
