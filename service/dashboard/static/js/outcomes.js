// The incumbent over runs or time, with every (sampled) result behind it, coloured by fidelity.

import { axes, colour, fit, legend, load, logRange, markLegend, marks, message, nearest, number, range, rings, sizeOf, tooltip, xRange } from "./chart.js";
import { CHANGED, FOCUS, on, say, throttled } from "./events.js";

const place = document.querySelector("#outcomes");
const logButton = document.querySelector("#log");
const RAMP = 6;
const REFRESH_MILLISECONDS = 1000;
const CROWD = 400;

let data = null;
let chart = null;
let built = null;
let levels = [];
let crowded = false;
let by = "order";
let logarithmic = false;
let focused = null;

/** Fidelities, low to high, as at most RAMP groups: few rungs have a colour each, many share by rank. */
function group(fidelities) {
  const known = [...new Set(fidelities)].sort((a, b) => a - b);
  const size = Math.min(RAMP, known.length);
  const groups = Array.from({ length: size }, () => []);
  known.forEach((fidelity, i) => groups[Math.floor((i * size) / known.length)].push(fidelity));
  return groups.map((members, i) => ({ members, shade: size === 1 ? 3 : Math.round((i * (RAMP - 1)) / (size - 1)) }));
}

const label = ({ members }) => {
  const [low, high] = [members[0], members.at(-1)];
  return `${data.fidelity} ${low === high ? number(low) : `${number(low)}–${number(high)}`}`;
};

const seconds = (value) =>
  value < 120 ? `${number(value, 3)} s` : value < 7200 ? `${number(value / 60, 3)} min` : `${number(value / 3600, 3)} h`;

const counts = (i) => data.points.mark[i] !== "invalidated";
const valid = () => data.points.value.filter((_, i) => counts(i));

/** The columns that uPlot draws: x, the incumbent, one column per group of fidelities. */
function columns() {
  const { points, incumbents, finished, seconds: elapsed } = data;
  const x = [...points[by]];
  const leaders = new Set(incumbents);
  let held = null;
  const line = points.run.map((run, i) => (held = leaders.has(run) ? points.value[i] : held));
  // The incumbent stands until now.
  const now = by === "order" ? finished : elapsed;
  if (x.length > 0 && now > x.at(-1)) {
    x.push(now);
    line.push(held);
  }
  const dots = levels.map(({ members }) => {
    const own = new Set(members);
    return x.map((_, i) => (i < points.value.length && counts(i) && own.has(points.fidelity[i]) ? points.value[i] : null));
  });
  const baseline = x.map(() => data.baseline);
  return [x, line, baseline, ...dots];
}

function lead() {
  const leaders = new Set(data.incumbents);
  return data.points.value.filter((_, i) => leaders.has(data.points.run[i]));
}

function yRange() {
  if (logarithmic) return logRange(data.points.value);
  return range(data.baseline === null ? lead() : [...lead(), data.baseline], valid(), data.maximize);
}

function build() {
  chart?.destroy();
  const scatter = levels.map(({ shade }) => ({
    paths: () => null,
    alpha: crowded ? 0.6 : 1,
    points: { show: true, size: crowded ? 4 : 6, width: 0, fill: colour(`ramp-${shade}`) },
  }));
  chart = new uPlot(
    {
      ...sizeOf(place),
      legend: { show: false },
      cursor: { points: { show: false }, y: false, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: xRange },
        y: { distr: logarithmic ? 3 : 1, range: yRange },
      },
      axes: axes((value) => (by === "order" ? number(value) : seconds(value)), by === "order"),
      series: [{}, { stroke: colour("incumbent"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        { stroke: colour("baseline"), width: 1.5, dash: [6, 4], points: { show: false } }, ...scatter],
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
  const { trial, run, value, fidelity, mark: word } = data.points;
  const i = nearest(chart, data.points[by], value);
  if (i === null) chart.show(null);
  else {
    const at = fidelity[i] === null ? "" : `\n${data.fidelity} ${number(fidelity[i])}`;
    chart.show(`${data.metric} ${number(value[i])}\ntrial ${trial[i]}, run ${run[i]}${at}${word[i] ? `\n${word[i]}` : ""}`, chart.cursor.left, chart.cursor.top);
  }
  const pointed = i === null ? null : trial[i];
  if (pointed !== focused) say(FOCUS, pointed);
}

/** What is out of the ordinary, and every point of the trial that is pointed at. */
function mark(drawn) {
  const { trial, value } = data.points;
  marks(drawn, value.map((each, i) => [data.points[by][i], each, data.points.mark[i]]));
  rings(drawn, trial.flatMap((each, i) => (each === focused ? [[data.points[by][i], value[i]]] : [])));
}

function show() {
  message(place, data.points.value.length === 0 ? "No run has succeeded yet" : "");
  levels = group(data.points.fidelity);
  crowded = data.points.value.length > CROWD;
  // The chart is built anew only when it would look different, not for every new point.
  const positive = data.points.value.length > 0 && data.points.value.every((value) => value > 0);
  logButton.hidden = !positive;
  logarithmic = positive && logButton.getAttribute("aria-pressed") === "true";
  const look = JSON.stringify([levels.map((level) => level.shade), crowded, logarithmic, by]);
  if (look === built) chart.setData(columns());
  else build();
  built = look;
  const colours = data.fidelity ? levels.map((level) => [label(level), `ramp-${level.shade}`]) : [["runs", "ramp-3"]];
  legend(document.querySelector("#outcomes-legend"), data.points.value.length ? [["incumbent", "line of-incumbent"], ...(data.baseline === null ? [] : [["baseline", "line of-baseline"]]), ...colours, ...markLegend(data.points.mark)] : []);
}

const refresh = throttled(async () => {
  try {
    data = await load(place.dataset.url);
  } catch {
    return; // the connection hint tells; the next event asks again
  }
  show();
}, REFRESH_MILLISECONDS);

for (const button of document.querySelectorAll("[data-axis]")) {
  button.addEventListener("click", () => {
    by = button.dataset.axis;
    for (const other of document.querySelectorAll("[data-axis]")) other.setAttribute("aria-pressed", String(other === button));
    if (data) show();
  });
}

logButton.addEventListener("click", () => {
  logButton.setAttribute("aria-pressed", String(!logarithmic));
  show();
});

fit(fitted, place);
on(CHANGED, refresh);
on(FOCUS, (trial) => {
  focused = trial;
  chart?.redraw(false, false);
});
refresh();
