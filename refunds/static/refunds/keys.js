// Keyboard: / search, j and k rows, o open, r check now, ? help. Off while typing, and where somebody turned it off.
"use strict";

(() => {
  const SWITCHED_OFF = "refunddash.keys.off";
  const help = () => document.getElementById("keys-help");

  const isTyping = (target) =>
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

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

  const actions = {
    "/": () => document.getElementById("search-box")?.select(),
    j: () => moveBy(1),
    k: () => moveBy(-1),
    o: openRow,
    r: () => document.querySelector("[data-check-now]")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target instanceof HTMLElement) {
      const menu = event.target.closest("details.menu[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else if (event.target.id === "search-box") event.target.blur();
      return;
    }
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
