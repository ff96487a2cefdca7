// Two objectives against each other: every result, and the front of those that no other one dominates.

import { axes, colour, fit, legend, load, markLegend, marks, message, nearest, number, rings, sizeOf, tooltip, xRange } from "./chart.js";
import { CHANGED, FOCUS, on, say, throttled } from "./events.js";

const place = document.querySelector("#front");
const note = document.querySelector("#front-note");
const REFRESH_MILLISECONDS = 3000;

let data = null;
let chart = null;
let built = null;
let focused = null;

const chosen = (axis) => document.querySelector(`#front-${axis}`)?.value ?? data.objectives[axis === "x" ? 0 : 1].name;

/** The columns that uPlot draws: x, then y of the front, of the other results, of those that break a constraint. */
function columns() {
  const [x, y] = [data.values[chosen("x")], data.values[chosen("y")]];
  const order = x.map((_, i) => i).sort((a, b) => x[a] - x[b] || y[a] - y[b]);
  const pick = (belongs) => order.map((i) => (belongs(i) ? y[i] : null));
  return [
    order.map((i) => x[i]),
    pick((i) => data.front[i] && data.feasible[i]),
    pick((i) => !data.front[i] && data.feasible[i]),
    pick((i) => !data.feasible[i]),
  ];
}

function build() {
  chart?.destroy();
  const dots = (token, size) => ({
    paths: () => null,
    points: { show: true, size, width: 0, fill: colour(token) },
  });
  chart = new uPlot(
    {
      ...sizeOf(place),
      legend: { show: false },
      cursor: { points: { show: false }, y: false, drag: { x: false, y: false } },
      scales: { x: { time: false, range: xRange }, y: { range: xRange } },
      axes: axes((value) => number(value, 4), false),
      series: [{}, dots("incumbent", 8), dots("ramp-3", 5), dots("curve", 5)],
      hooks: { setCursor: [hover], draw: [mark] },
    },
    columns(),
    place,
  );
  chart.show = tooltip(chart);
}

const fitted = { setSize: (size) => chart?.setSize(size), redraw: (...args) => chart?.redraw(...args) };

function hover() {
  if (!chart?.show) return;
  const i = nearest(chart, data.values[chosen("x")], data.values[chosen("y")]);
  if (i === null) chart.show(null);
  else {
    const values = data.objectives.map(({ name }) => `${name} ${number(data.values[name][i])}`).join("\n");
    chart.show(`${values}\ntrial ${data.trial[i]}, run ${data.run[i]}${data.mark[i] ? `\n${data.mark[i]}` : ""}`, chart.cursor.left, chart.cursor.top);
  }
  const trial = i === null ? null : data.trial[i];
  if (trial !== focused) say(FOCUS, trial);
}

/** What is out of the ordinary, and the trial that is pointed at. */
function mark(drawn) {
  const [x, y] = [data.values[chosen("x")], data.values[chosen("y")]];
  marks(drawn, data.mark.map((word, place) => [x[place], y[place], word]));
  const i = data.trial.indexOf(focused);
  rings(drawn, i < 0 ? [] : [[x[i], y[i]]]);
}

function show() {
  const empty = data.results === 0;
  message(place, empty ? "No run has succeeded yet" : "");
  const look = JSON.stringify([chosen("x"), chosen("y")]);
  if (look === built) chart.setData(columns());
  else build();
  built = look;
  const arrow = (name) => (data.objectives.find((each) => each.name === name).maximize ? "↑" : "↓");
  const named = (axis) => `${chosen(axis)} ${arrow(chosen(axis))}`;
  note.textContent = empty ? "" : `${named("y")} over ${named("x")}, hypervolume ${number(data.hypervolume, 4)}`;
  const entries = [["not dominated", "of-incumbent"], ["dominated", "ramp-3"]];
  if (data.feasible.includes(false)) entries.push(["breaks a constraint", "of-others"]);
  legend(document.querySelector("#front-legend"), empty ? [] : [...entries, ...markLegend(data.mark)]);
}

const refresh = throttled(async () => {
  try {
    data = await load(place.dataset.url);
  } catch {
    return; // the connection hint tells; the next event asks again
  }
  show();
}, REFRESH_MILLISECONDS);

for (const select of document.querySelectorAll("#front-x, #front-y")) {
  select.addEventListener("change", () => data && show());
}
fit(fitted, place);
on(CHANGED, refresh);
on(FOCUS, (trial) => {
  focused = trial;
  chart?.redraw(false, false);
});
refresh();
