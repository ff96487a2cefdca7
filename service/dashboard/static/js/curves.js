// Learning curves: one line per trial, going on over its rungs. The server chooses which trials say most.

import { axes, colour, fit, legend, load, message, number, range, sizeOf, tooltip, xRange } from "./chart.js";
import { CHANGED, FOCUS, REPORT, on, say, throttled } from "./events.js";

const place = document.querySelector("#curves");
const note = document.querySelector("#curves-note");
const REFRESH_MILLISECONDS = 2000;
const DRAW_MILLISECONDS = 250;
const NEAR_PIXELS = 20;

let data = null;
let chart = null;
/** trial -> {trial, points: Map(step -> value)}; the order is the order of drawing, the best one last */
let curves = new Map();
let focused = null;
/** the trials that the chart has a line for */
let drawn = null;

function columns() {
  const steps = [...new Set([...curves.values()].flatMap((curve) => [...curve.points.keys()]))].sort((a, b) => a - b);
  return [steps, ...[...curves.values()].map(({ points }) => steps.map((step) => points.get(step)))];
}

function look(trial) {
  if (trial === focused) return { stroke: colour("text"), width: 2.5 };
  if (trial === data.best) return { stroke: colour("incumbent"), width: 2.5 };
  if (data.running.includes(trial)) return { stroke: colour("accent"), width: 1.5 };
  return { stroke: colour("curve"), width: 1, alpha: 0.75 };
}

function series(trial) {
  const { width, alpha = 1 } = look(trial);
  return {
    label: String(trial),
    stroke: () => look(trial).stroke(),
    width,
    alpha,
    spanGaps: true,
    points: { show: curves.get(trial).points.size === 1, size: 5, width: 0, fill: () => look(trial).stroke() },
  };
}

function build() {
  chart?.destroy();
  const trials = [...curves.keys()];
  chart = new uPlot(
    {
      ...sizeOf(place),
      legend: { show: false },
      cursor: { y: false, focus: { prox: NEAR_PIXELS }, points: { one: true, size: 7, width: 0 }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: xRange },
        y: { range: yRange },
      },
      axes: axes((value) => number(value), [...curves.values()].every(({ points }) => [...points.keys()].every(Number.isInteger))),
      series: [{}, ...trials.map(series)],
      hooks: { setSeries: [(_chart, index) => say(FOCUS, index === null ? null : trials[index - 1])], setCursor: [hover] },
    },
    columns(),
    place,
  );
  chart.show = tooltip(chart);
}

function yRange() {
  const values = [...curves.values()].flatMap((curve) => [...curve.points.values()]);
  return range(data.best === null ? [] : [...(curves.get(data.best)?.points.values() ?? [])], values, data.maximize);
}

function hover() {
  if (!chart?.show) return;
  const curve = curves.get(focused);
  const { left, top, idx } = chart.cursor;
  const step = chart.data[0][idx];
  if (!curve || left < 0 || !curve.points.has(step)) chart.show(null);
  else chart.show(`trial ${focused}${data.marks[focused] ? ` (${data.marks[focused]})` : ""}\n${data.step} ${number(step)}: ${number(curve.points.get(step))}`, left, top);
}

const draw = throttled(() => {
  const trials = [...curves.keys()].join();
  if (chart && trials === drawn) {
    restyle();
    chart.setData(columns());
  } else {
    build();
    drawn = trials;
  }
}, DRAW_MILLISECONDS);

const refresh = throttled(async () => {
  try {
    data = await load(place.dataset.url);
  } catch {
    return; // the connection hint tells; the next event asks again
  }
  const asMap = (curve) => [curve.trial, { points: new Map(curve.steps.map((step, i) => [step, curve.values[i]])) }];
  curves = new Map(data.curves.map(asMap));
  describe();
  draw();
}, REFRESH_MILLISECONDS);

function describe() {
  message(place, curves.size === 0 ? "No training has reported yet" : "");
  note.textContent = data.trials > curves.size && curves.size > 0 ? `best and running: ${curves.size} of ${data.trials} trials` : "";
  const running = data.running.length > 0 ? [["running", "line of-running"]] : [];
  const best = data.best === null ? [] : [[`best: trial ${data.best}`, "line of-incumbent"]];
  legend(document.querySelector("#curves-legend"), curves.size ? [...best, ...running, ["other trials", "line of-others"]] : []);
}

/** A step that has just been reported goes to its curve at once; a new trial gets a curve while there is room. */
function add({ trial, step, metrics }) {
  const value = metrics[data?.metric];
  if (typeof value !== "number") return;
  let curve = curves.get(trial);
  if (!curve) {
    if (curves.size >= data.limit) return;
    curve = { points: new Map() };
    curves.set(trial, curve);
    data.trials = Math.max(data.trials, curves.size);
  }
  if (!data.running.includes(trial)) data.running.push(trial);
  curve.points.set(step, value);
  describe();
  draw();
}

fit({ setSize: (size) => chart?.setSize(size), redraw: (...args) => chart?.redraw(...args) }, place);
on(CHANGED, refresh);
on(REPORT, add);
on(FOCUS, (trial) => {
  if (trial === focused) return;
  focused = trial;
  if (!chart) return;
  restyle();
  chart.redraw(false, false);
});

/** Brings the trial that is pointed at out, without building the chart anew. */
function restyle() {
  [...curves.keys()].forEach((trial, i) => {
    const { width, alpha = 1 } = look(trial);
    const line = chart.series[i + 1];
    if (!line) return; // a curve that is new since the last drawing
    line.width = width;
    line.alpha = focused === null || focused === trial || !curves.has(focused) ? alpha : 0.2;
  });
}

refresh();
