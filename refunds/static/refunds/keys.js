// Keyboard: / search, j and k rows, o open, x choose, r check now, c copy what to say, ? help. Off while typing, and where somebody turned it off.
"use strict";

(() => {
  const SWITCHED_OFF = "refunddash.keys.off";
  const help = () => document.getElementById("keys-help");

  const isTyping = (target) =>
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
    !(target instanceof HTMLInputElement && target.type === "checkbox");

  const rowLinks = () => [...document.querySelectorAll("a.row-link")];

  function moveBy(step) {
    const links = rowLinks();
    if (links.length === 0) return;
    const row = document.activeElement?.closest("tr");
    const here = row ? links.findIndex((link) => row.contains(link)) : -1;
    const next = here < 0 ? (step > 0 ? 0 : links.length - 1) : here + step;
    const link = links[Math.min(Math.max(next, 0), links.length - 1)];
    link.focus({ preventScroll: true });
    link.closest("tr").scrollIntoView({ block: "nearest" });
  }

  function openRow() {
    const row = document.activeElement?.closest("tr");
    row?.querySelector("a.row-link")?.click();
  }

  const suggestions = () => document.getElementById("suggestions");

  // Down from the search box into what was found, and up again.
  function moveInSuggestions(event) {
    const stops = [document.getElementById("search-box"), ...(suggestions()?.querySelectorAll("a") ?? [])];
    const here = stops.indexOf(event.target);
    const next = stops[here + (event.key === "ArrowDown" ? 1 : -1)];
    if (here < 0 || !next) return false;
    event.preventDefault();
    next.focus();
    return true;
  }

  const actions = {
    "/": () => document.getElementById("search-box")?.select(),
    j: () => moveBy(1),
    k: () => moveBy(-1),
    o: openRow,
    r: () => {
      document.dispatchEvent(new CustomEvent("refunddash:check"));
      document.querySelector("[data-check-now]")?.click();
    },
    c: () => document.querySelector("[data-copy-say]")?.click(),
    x: () => document.dispatchEvent(new CustomEvent("refunddash:choose", { detail: { range: false } })),
    X: () => document.dispatchEvent(new CustomEvent("refunddash:choose", { detail: { range: true } })),
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target instanceof HTMLElement) {
      const menu = event.target.closest("details.menu[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else if (event.target.id === "search-box") event.target.blur();
      else if (suggestions()?.contains(event.target)) document.getElementById("search-box").focus();
      suggestions()?.replaceChildren();
      return;
    }
    if (/^Arrow(Up|Down)$/.test(event.key) && moveInSuggestions(event)) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (localStorage.getItem(SWITCHED_OFF)) return;
    if (event.key === "?" && help()) {
      event.preventDefault();
      help().showModal();
    } else if (Object.hasOwn(actions, event.key)) {
      event.preventDefault();
      actions[event.key]();
    }
  });

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("[data-open-keys]")) help()?.showModal();
    if (!event.target.closest(".search")) suggestions()?.replaceChildren();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    const toggle = document.getElementById("keys-on");
    if (!toggle) return;
    toggle.checked = !localStorage.getItem(SWITCHED_OFF);
    toggle.addEventListener("change", () => {
      if (toggle.checked) localStorage.removeItem(SWITCHED_OFF);
      else localStorage.setItem(SWITCHED_OFF, "1");
    });
  });
})();
