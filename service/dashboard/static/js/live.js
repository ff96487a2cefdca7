// Follows the study's server-sent events and tells the page what moved.

import { CHANGED, REPORT, say, throttled } from "./events.js";

const TYPES = [
  ...["created", "paused", "resumed", "completed", "failed", "cancelled"].map((word) => `study.${word}`),
  ...["incumbent", "tested", "checked", "finalizing", "finalized"].map((word) => `study.${word}`),
  ...["enqueued", "invalidated"].map((word) => `trial.${word}`),
  ...["pending", "running", "succeeded", "failed", "stopped", "cancelled", "retried"].map((word) => `run.${word}`),
];
const REFRESH_MILLISECONDS = 1000;
const RETRY_MILLISECONDS = 3000;
const HINT_AFTER_MILLISECONDS = 500;

const address = new URL(document.querySelector("#live").dataset.events, location.href);
const hint = document.querySelector("#connection");
const changed = throttled(() => say(CHANGED), REFRESH_MILLISECONDS);
let hintTimer = null;

function showConnected() {
  clearTimeout(hintTimer);
  hintTimer = null;
  hint.hidden = true;
}

function showReconnecting() {
  // A browser that leaves the page closes the stream too: the hint waits a moment, so that it never flashes.
  hintTimer ??= setTimeout(() => {
    hint.textContent = "Reconnecting…";
    hint.hidden = false;
  }, HINT_AFTER_MILLISECONDS);
}

function connect() {
  const source = new EventSource(address);
  let opened = false;
  source.addEventListener("open", () => {
    showConnected();
    if (opened) changed();
    opened = true;
  });
  source.addEventListener("error", () => {
    showReconnecting();
    // The browser comes back by itself, unless the server answered with an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MILLISECONDS);
  });
  // The study has ended and all of it has been sent: there is nothing to come back for.
  source.addEventListener("end", () => {
    source.close();
    changed();
  });
  source.addEventListener("report", (message) => say(REPORT, JSON.parse(message.data)));
  for (const type of TYPES) {
    source.addEventListener(type, (message) => {
      if (message.lastEventId) address.searchParams.set("after", message.lastEventId);
      changed();
    });
  }
}

connect();
