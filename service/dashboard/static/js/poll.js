// Asks the list to refresh itself every few seconds while somebody looks at it.

const MILLISECONDS = 3000;

setInterval(() => {
  if (!document.hidden) document.body.dispatchEvent(new CustomEvent("assay-poll"));
}, MILLISECONDS);
