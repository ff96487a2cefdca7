// The rows of the trial table: they open, and they point at their curve.

import { FOCUS, on, say } from "./events.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.expand");
  if (!button) return;
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  document.getElementById(button.getAttribute("aria-controls")).hidden = open;
});

const numberAt = (element) => {
  const row = element?.closest?.("tbody[data-trial]");
  return row ? Number(row.dataset.trial) : null;
};

let pointed = null;
document.addEventListener("pointerover", (event) => {
  const trial = numberAt(event.target);
  if (trial === pointed) return;
  pointed = trial;
  say(FOCUS, trial);
});

on(FOCUS, (trial) => {
  document.querySelector("tbody.focused")?.classList.remove("focused");
  document.querySelector(`tbody[data-trial="${trial}"]`)?.classList.add("focused");
});
