// Before anything is painted, so that a chosen theme never flashes. Storage may be forbidden.
try {
  const chosen = localStorage.getItem("bursar-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  document.documentElement.removeAttribute("data-theme");
}
