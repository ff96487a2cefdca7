// The words that the modules of a study's page say to each other, as events on the document's body.
//   assay-changed   runs or the study have moved on: whoever shows them reads again (at most about once a second)
//   assay-report    a training has reported a step; detail: the report
//   assay-focus     a trial is pointed at; detail: its number, or null

export const CHANGED = "assay-changed";
export const REPORT = "assay-report";
export const FOCUS = "assay-focus";

export function say(type, detail = null) {
  document.body.dispatchEvent(new CustomEvent(type, { detail }));
}

export function on(type, listener) {
  document.body.addEventListener(type, (event) => listener(event.detail));
}

/** Calls `work` soon, and never more often than every `milliseconds`; `work` may be async and never overlaps itself. */
export function throttled(work, milliseconds) {
  let timer = null;
  let last = -Infinity;
  let busy = false;
  let again = false;
  const run = async () => {
    timer = null;
    busy = true;
    last = performance.now();
    try {
      await work();
    } finally {
      busy = false;
      if (again) {
        again = false;
        ask();
      }
    }
  };
  const ask = () => {
    if (busy) again = true;
    else timer ??= setTimeout(run, Math.max(0, last + milliseconds - performance.now()));
  };
  return ask;
}
