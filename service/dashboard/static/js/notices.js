// Tells people what went wrong, in a place that screen readers announce.

const STAYS_MILLISECONDS = 8000;

export function notice(text) {
  const line = document.createElement("p");
  line.textContent = text;
  document.querySelector("#notices").append(line);
  setTimeout(() => line.remove(), STAYS_MILLISECONDS);
}
