// Pause, resume and cancel: a POST to the API; the page then reads the study again.
// The project is that of the page, whatever has been chosen in another window since.

import { CHANGED, say } from "./events.js";
import { notice } from "./notices.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  const { study, url, project } = button.closest(".actions").dataset;
  const { action } = button.dataset;
  if (action === "cancel" && !(await confirmed(study))) return;
  button.disabled = true;
  try {
    const response = await fetch(`${url}/${action}`, { method: "POST", headers: { "Assay-Project": project } });
    if (!response.ok) notice(await problem(response));
  } catch {
    notice("The service does not answer. The study has not been changed.");
  }
  button.disabled = false;
  say(CHANGED);
});

async function problem(response) {
  const text = await response.text();
  try {
    const { title, detail } = JSON.parse(text);
    return detail || title;
  } catch {
    return `The service answered ${response.status}.`;
  }
}

/** Asks before a study is ended; Escape and the first button mean no. */
function confirmed(study) {
  const dialog = document.createElement("dialog");
  const title = document.createElement("h2");
  title.id = "confirm-title";
  title.textContent = `Cancel ${study}?`;
  const text = document.createElement("p");
  text.textContent = "Runs that are under way are ended at once. What they have reported stays. This cannot be undone.";
  const form = document.createElement("form");
  form.method = "dialog";
  form.append(choice("Keep it", "no"), choice("Cancel the study", "yes", "danger"));
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(title, text, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

function choice(label, value, className = "") {
  const button = document.createElement("button");
  button.textContent = label;
  button.value = value;
  button.className = className;
  return button;
}
