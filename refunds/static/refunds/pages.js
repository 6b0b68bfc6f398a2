// Small comforts: copy an id, click a whole row, paste several lines into the search box, times that stay true.
"use strict";

(() => {
  const say = (words) => {
    const region = document.getElementById("announcement");
    if (region) region.textContent = words;
  };

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      say("Could not copy: the browser does not allow it.");
      return;
    }
    button.classList.add("is-copied");
    say(`Copied ${button.dataset.copied ?? button.dataset.copy}`);
    setTimeout(() => button.classList.remove("is-copied"), 1500);
  }

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const button = event.target.closest("[data-copy]");
    if (button) {
      copy(button);
      return;
    }
    if (event.target.closest("[data-print]")) {
      window.print();
      return;
    }
    const row = event.target.closest(".rows tbody tr");
    const isBusy = event.target.closest("a, button, input, label") || String(window.getSelection());
    const link = row && !isBusy && row.querySelector("a.row-link");
    if (!link) return;
    if (event.ctrlKey || event.metaKey) window.open(link.href, "_blank", "noopener");
    else link.click();
  });

  // A text field has one line; several pasted lines are looked up at once.
  document.addEventListener("paste", (event) => {
    if (!(event.target instanceof HTMLInputElement) || event.target.id !== "search-box") return;
    const text = event.clipboardData?.getData("text") ?? "";
    if (text.trim().split(/\r?\n/).length < 2) return;
    event.preventDefault();
    const address = new URL(event.target.form.action);
    address.search = new URLSearchParams({ q: text.trim() });
    window.location.assign(address);
  });

  const UNITS = [["day", 86400], ["h", 3600], ["min", 60]];

  function ago(moment) {
    const seconds = (Date.now() - moment) / 1000;
    for (const [unit, length] of UNITS) {
      const count = Math.floor(Math.abs(seconds) / length);
      if (count < 1) continue;
      const name = unit === "day" && count !== 1 ? "days" : unit;
      return seconds > 0 ? `${count} ${name} ago` : `in ${count} ${name}`;
    }
    return seconds >= 0 ? "just now" : "in a moment";
  }

  function refreshTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const words = ago(Date.parse(time.dateTime));
      if ("ago" in time.dataset) time.textContent = words;
      else time.title = time.dataset.utc ? `${words}, ${time.dataset.utc}` : words;
    }
  }

  setInterval(refreshTimes, 30_000);

  // What is live on an open page looks for news while somebody is there to see it.
  const LOOK_EVERY_MS = 20_000;
  const GONE_AFTER_MS = 10 * 60_000;
  let lastSeen = Date.now();
  for (const kind of ["pointermove", "keydown", "scroll", "focus"]) {
    window.addEventListener(kind, () => (lastSeen = Date.now()), { passive: true });
  }
  // Nothing is swapped away under somebody's hands.
  function isBeingWrittenIn(panel) {
    const fields = [...panel.querySelectorAll("textarea, input:not([type=hidden])")];
    const changed = fields.some((field) => field.value !== field.defaultValue || "unsaved" in field.dataset);
    return changed || (panel.id === "case" && panel.contains(document.activeElement));
  }
  setInterval(() => {
    const isWatched = document.visibilityState === "visible" && Date.now() - lastSeen < GONE_AFTER_MS;
    if (!isWatched || !window.htmx) return;
    for (const panel of document.querySelectorAll("[data-live]")) {
      if (!isBeingWrittenIn(panel)) window.htmx.trigger(panel, "look");
    }
  }, LOOK_EVERY_MS);
})();
