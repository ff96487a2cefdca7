// What both charts share: colours of the design system, axes, size, tooltip, legend.

const styles = getComputedStyle(document.documentElement);

/** The current value of a colour token; uPlot asks again at every drawing, so a change of theme only needs a redraw. */
export const colour = (token) => () => styles.getPropertyValue(`--${token}`).trim();

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

export function number(value, digits = 5) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e6)
    ? value.toExponential(digits - 2).replace(/\.?0+e/, "e")
    : String(Number(value.toPrecision(digits)));
}

function axis(extra) {
  return {
    stroke: colour("muted"),
    font: FONT,
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { stroke: colour("grid"), width: 1, size: 4 },
    gap: 4,
    ...extra,
  };
}

const WHOLE_STEPS = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((step) => step * 10 ** i)).flat();

/** `whole` says that x counts something: then no tick falls between two counts. */
export const axes = (formatX, whole) => [
  axis({ size: 30, values: (_chart, splits) => splits.map(formatX), ...(whole && { incrs: WHOLE_STEPS }) }),
  axis({ size: 56, values: (_chart, splits) => splits.map((split) => (split === null ? "" : number(split, 4))) }),
];

/** Keeps the chart as wide as its place, and in the colours of the theme. */
export function fit(chart, place) {
  new ResizeObserver(() => chart.setSize(sizeOf(place))).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.redraw(false, true));
}

export const sizeOf = (place) => ({ width: place.clientWidth, height: place.clientHeight });

export function message(place, text) {
  let line = place.querySelector(".message");
  if (!text) {
    line?.remove();
    return;
  }
  if (!line) {
    line = document.createElement("p");
    line.className = "message";
    place.append(line);
  }
  line.textContent = text;
}

/** A small label near a point of the plot; `show(null)` hides it. */
export function tooltip(chart) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  chart.over.append(tip);
  return (text, left, top) => {
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const x = left + 12 + tip.offsetWidth > chart.over.clientWidth ? left - 12 - tip.offsetWidth : left + 12;
    const y = Math.min(Math.max(0, top - 10), Math.max(0, chart.over.clientHeight - tip.offsetHeight));
    tip.style.transform = `translate(${Math.max(0, x)}px, ${y}px)`;
  };
}

const REACH_PIXELS = 24;

/** The place of the point nearest to the cursor, if one is near; `x` and `y` are columns of values. */
export function nearest(chart, x, y) {
  const { left, top } = chart.cursor;
  if (left < 0) return null;
  let found = null;
  let reach = REACH_PIXELS ** 2;
  y.forEach((value, i) => {
    const distance = (chart.valToPos(x[i], "x") - left) ** 2 + (chart.valToPos(value, "y") - top) ** 2;
    if (distance < reach) [found, reach] = [i, distance];
  });
  return found;
}

/** A ring around each of these points. */
export function rings(chart, points) {
  const { ctx } = chart;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colour("text")();
  ctx.lineWidth = 1.5 * ratio;
  for (const [x, y] of points) {
    ctx.beginPath();
    ctx.arc(chart.valToPos(x, "x", true), chart.valToPos(y, "y", true), 6 * ratio, 0, 2 * Math.PI);
    ctx.stroke();
  }
  ctx.restore();
}

/** What marks a point: trials that count for nothing, those that were carried out elsewhere, and enqueued configs. */
export const MARKS = ["invalidated", "told", "enqueued"];

/** Draws these marks ([x, y, mark], null for none): a cross, a square, a diamond. */
export function marks(chart, points) {
  const { ctx } = chart;
  const size = 5 * devicePixelRatio;
  const outlines = {
    invalidated: [[-1, -1], [1, 1], null, [-1, 1], [1, -1]],
    told: [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]],
    enqueued: [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0], [0, -1.4]],
  };
  ctx.save();
  ctx.beginPath();
  ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.25 * devicePixelRatio;
  for (const [x, y, mark] of points) {
    if (!(mark in outlines)) continue;
    const [left, top] = [chart.valToPos(x, "x", true), chart.valToPos(y, "y", true)];
    ctx.strokeStyle = colour(mark === "invalidated" ? "bad" : "muted")();
    ctx.beginPath();
    let pen = false;
    for (const corner of outlines[mark]) {
      if (corner === null) pen = false;
      else {
        ctx[pen ? "lineTo" : "moveTo"](left + corner[0] * size * 0.8, top + corner[1] * size * 0.8);
        pen = true;
      }
    }
    ctx.stroke();
  }
  ctx.restore();
}

export const markLegend = (all) => MARKS.filter((mark) => all.includes(mark)).map((mark) => [mark, `mark-${mark}`]);

export function legend(place, entries) {
  place.replaceChildren(
    ...entries.map(([text, className]) => {
      const entry = document.createElement("span");
      entry.className = className;
      entry.textContent = text;
      return entry;
    }),
  );
}

/**
 * The range that shows what matters: all of `must`, and of `may` all but its far tail on the bad side
 * (one diverged run would otherwise press everything else into a line).
 */
export function range(must, may, maximize) {
  const sorted = Float64Array.from(may).sort();
  const all = [...must];
  if (sorted.length > 0) {
    const at = (q) => sorted[Math.round(q * (sorted.length - 1))];
    const spread = Math.max(at(0.9) - at(0.1), Number.EPSILON);
    if (maximize) all.push(at(1), Math.max(at(0), at(0.1) - 1.5 * spread));
    else all.push(at(0), Math.min(at(1), at(0.9) + 1.5 * spread));
  }
  if (all.length === 0) return [0, 1];
  const low = all.reduce((a, b) => Math.min(a, b));
  const high = all.reduce((a, b) => Math.max(a, b));
  const margin = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.5;
  return [low - margin, high + margin];
}

/** For a logarithmic axis: everything, and a little more. All values are positive. */
export function logRange(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  return low > high ? [0.1, 10] : [low / 1.2, high * 1.2];
}

/** All of x, with a little air, so that no mark is cut at the edge. */
export function xRange(_chart, low, high) {
  if (low === null) return [0, 1];
  const margin = (high - low) * 0.015 || 1;
  return [low - margin, high + margin];
}

export async function load(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}
