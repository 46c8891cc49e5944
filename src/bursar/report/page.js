// Marks tell what they are: under the pointer, or by arrow keys once the chart has the focus.
const tip = document.getElementById("tip");
let shown = null;

function show(mark) {
  if (shown) shown.classList.remove("at");
  shown = mark;
  tip.hidden = !mark;
  if (!mark) return;
  mark.classList.add("at");
  tip.textContent = mark.dataset.tip;
  const at = mark.getBoundingClientRect();
  const left = Math.min(at.left + at.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 8;
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = (above > 4 ? above : at.bottom + 8) + "px";
}

for (const chart of document.querySelectorAll("svg[tabindex]")) {
  const marks = [...chart.querySelectorAll("[data-tip]")];
  chart.addEventListener("pointerover", (e) => show(e.target.closest("[data-tip]")));
  chart.addEventListener("pointerleave", () => show(null));
  chart.addEventListener("blur", () => show(null));
  chart.addEventListener("keydown", (e) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 1, ArrowDown: -1 }[e.key];
    if (e.key === "Escape") show(null);
    if (!move || !marks.length) return;
    e.preventDefault();
    const here = marks.indexOf(shown);
    show(marks[here < 0 ? 0 : (here + move + marks.length) % marks.length]);
  });
}
