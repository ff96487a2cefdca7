// Buttons with data-copy="#id" copy the text of that element.

import { notice } from "./notices.js";

const SHOWN_MILLISECONDS = 1500;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Browsers refuse the clipboard on plain http away from localhost: show the text, selected.
    const shown = source.closest("pre");
    shown.hidden = false;
    getSelection().selectAllChildren(source);
    notice("The browser does not allow copying here. The text is selected: copy it with the keyboard.");
    return;
  }
  const label = button.textContent;
  if (label === "Copied") return;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), SHOWN_MILLISECONDS);
});
