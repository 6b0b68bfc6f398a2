// Choosing rows of the list: a box each, shift for a range, x for the row one is at, r to check what is chosen.
"use strict";

(() => {
  let last = null;

  const boxes = () => [...document.querySelectorAll("input.pick[name=refund]")];
  const all = () => document.getElementById("choose-all");

  function show() {
    const found = boxes();
    if (found.length === 0) return;
    const number = found.filter((box) => box.checked).length;
    const everything = document.getElementById("bulk-everything");
    const region = document.getElementById("bulk-number");
    if (region) {
      region.textContent = everything?.checked
        ? "all that the filters show"
        : `${number} chosen`;
    }
    if (all()) {
      all().checked = number === found.length;
      all().indeterminate = number > 0 && number < found.length;
    }
    const tools = document.getElementById("bulk-tools");
    if (tools && number > 0) tools.open = true;
  }

  function choose(box, on, range) {
    const found = boxes();
    const [here, there] = [found.indexOf(box), found.indexOf(last)];
    box.checked = on;
    if (range && there >= 0) {
      for (const other of found.slice(Math.min(here, there), Math.max(here, there) + 1)) other.checked = on;
    }
    last = box;
    show();
  }

  const boxOfRow = () => document.activeElement?.closest("tr")?.querySelector("input.pick[name=refund]");

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof HTMLInputElement)) return;
    if (event.target.matches("input.pick[name=refund]")) choose(event.target, event.target.checked, event.shiftKey);
    else if (event.target.id === "choose-all") {
      for (const box of boxes()) box.checked = event.target.checked;
      show();
    } else if (event.target.id === "bulk-everything") show();
  });

  // Called by keys.js: x, shift and x, and r on a list.
  document.addEventListener("refunddash:choose", (event) => {
    const box = boxOfRow();
    if (box) choose(box, event.detail.range ? true : !box.checked, event.detail.range);
  });

  document.addEventListener("refunddash:check", () => {
    if (boxes().some((box) => box.checked) || document.getElementById("bulk-everything")?.checked) return;
    const box = boxOfRow();
    if (box) choose(box, true, false);
  });

  // Enter in a field does what its own button says.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.target instanceof HTMLElement) || !event.target.dataset.enter) return;
    event.preventDefault();
    event.target.form.querySelector(`button[value="${event.target.dataset.enter}"]`)?.click();
  });

  document.addEventListener("DOMContentLoaded", () => {
    show();
    // What this browser's clock is set to is offered, and never sent by itself.
    const zone = document.querySelector("[data-own-zone]");
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone && zone.value === "UTC" && own) zone.value = own;
  });
  document.addEventListener("htmx:afterSettle", show);
})();
