// Results, kept until what they depend on changes, and the figures made of them.
//
// A figure is a plain description { title, caption, xLabel, yLabel, xLog, yLog, series, marks,
// band, ticks, xRange, yRange }; `Plot` draws it and `export.js` saves it.

const results = new Map();

/** A result that depends on the density shown, computed once. */
function remembered(key, compute) {
  const full = `${state.version}|${key}`;
  if (!results.has(full)) {
    if (results.size > 600) results.clear();
    results.set(full, compute());
  }
  return results.get(full);
}

const isKnown = (key) => results.has(`${state.version}|${key}`);

/** The best range of an entry's format, or a message where there is none. */
function optimumOf({ text, format }) {
  return remembered(`optimum|${text}`, () => {
    try {
      if (format.kind === "block") return { block: blockErrors(format, state.density) };
      const found = optimum(format, state.density);
      return { ...found, plateau: plateauOf(format, state.density, found) };
    } catch (error) {
      if (error instanceof Refusal) return { message: error.message };
      throw error;
    }
  });
}

const optimumIsKnown = ({ text }) => isKnown(`optimum|${text}`);

/** The errors of an entry as shown: the active one at the range chosen, others at their best. */
function shownReport(entry, isActive) {
  const { block, best, message, undefinedPower } = optimumOf(entry);
  if (block) return block;
  if (message) return null;
  if (isActive && state.top !== null) {
    return reportOf(entry.format, state.density, scaleFor(entry.format, state.top));
  }
  return undefinedPower || !best ? null : reportOf(entry.format, state.density, best.scale);
}

/** dB above the best quantizer with as many levels; null where that is unknown. */
function aboveLloydMax(entry, report) {
  const { format } = entry;
  if (format.kind === "block" || !report || format.grid.size > 257) return null;
  const best = remembered(`lloyd|${format.grid.size}`, () => lloydMax(state.density, format.grid.size));
  return best && best.mse > 0 && report.mse > 0 ? decibels(report.mse, best.mse) : null;
}

const lloydIsKnown = ({ format }) => format.kind === "block" || format.grid.size > 257
  || isKnown(`lloyd|${format.grid.size}`);

// ---- figures

const HUES = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4]];
const hues = new Map(); // of the theme: reading a style costs a frame's time

function hue(name) {
  if (!hues.has(name)) {
    hues.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return hues.get(name);
}

const short = (x, digits = 4) => {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? x.toExponential(digits - 1)
    : String(Number(x.toPrecision(digits)));
  return text.replace("e+", "e").replace("-", "−");
};
const inDb = (x) => (x === null || Number.isNaN(x) ? "–" : Number.isFinite(x) ? x.toFixed(2) : "∞");

/** The interval of values worth drawing: almost all of the density, and the levels near it. */
function visibleRange() {
  return remembered("visible", () => {
    const { density } = state;
    const [low, high] = density.support;
    if (Number.isFinite(low) && Number.isFinite(high)) {
      const room = 0.06 * (high - low) || Math.abs(high) || 1;
      return [low - room, high + room];
    }
    const beyond = (side) => {
      let size = typicalSize(density);
      for (let i = 0; i < 60; i++) {
        const mass = side > 0 ? massBetween(density, size, Infinity)
          : massBetween(density, -Infinity, -size);
        if (mass < 2e-4) break;
        size *= 1.25;
      }
      return side * size;
    };
    return [Number.isFinite(low) ? low - 0.05 * beyond(1) : beyond(-1),
      Number.isFinite(high) ? high + 0.05 * Math.abs(beyond(-1)) : beyond(1)];
  });
}

function densitySeries() {
  return remembered("series", () => {
    const { density } = state;
    const [low, high] = visibleRange();
    const count = 400;
    const x = [];
    const y = [];
    if (density.atoms.size > 12 && !density.pieces.length) {
      const bins = Math.min(80, Math.max(8, Math.round(2 * Math.cbrt(density.atoms.size))));
      const width = (high - low) / bins;
      for (let i = 0; i < bins; i++) {
        const from = low + i * width;
        const mass = density.atoms.about(0, countBelow(density.atoms.x, from),
          countBelow(density.atoms.x, from + width)).weight;
        x.push(from, from + width * (1 - 1e-9));
        y.push(mass / width, mass / width);
      }
      return { x, y };
    }
    const kinks = density.pieces.flatMap((part) => [part.low, part.high, part.loc])
      .filter((at) => at > low && at < high).flatMap((at) => [at - 1e-9, at, at + 1e-9]);
    const places = [...kinks];
    for (let i = 0; i <= count; i++) places.push(low + ((high - low) * i) / count);
    places.sort((a, b) => a - b);
    const values = places.map((at) => pdfOf(density, at));
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const cap = 3 * (sorted[Math.floor(0.98 * (sorted.length - 1))] || 1);
    places.forEach((at, i) => {
      if (i && at === places[i - 1]) return;
      x.push(at);
      y.push(Math.min(values[i], cap));
    });
    return { x, y };
  });
}

function levelsFigure() {
  const entry = activeEntry();
  const report = shownReport(entry, true);
  const { x, y } = densitySeries();
  const scalar = entry.format.kind !== "block" && report;
  const levels = scalar ? levelsOf(entry.format.grid, report.scale, 1025) : [];
  const all = scalar ? entry.format.grid.size : 0;
  const { atoms, pieces } = state.density;
  const points = pieces.length && atoms.size && atoms.size < 200
    ? Array.from(atoms.x, (at, i) => ({ x: at, label: `${short((100 * atoms.w[i]) / atoms.unit, 3)} % at ${short(at)}` }))
    : [];
  let caption = `${entry.format.name} takes a scale of its own in each block.`;
  if (scalar) {
    caption = `${all.toLocaleString("en")} levels, largest ${short(report.maxValue)}`
      + (levels.length < all ? `; drawn are the ${levels.length} nearest 0.` : ".");
  } else if (entry.format.kind !== "block") caption = "No range is best here; set one.";
  return {
    id: "levels", title: "Levels on the density", caption, xLabel: "x", yLabel: "density",
    series: [{ label: densityName(), x, y, hue: "--ink", fill: true }],
    ticks: levels, tickHue: HUES[state.active], marks: points, xRange: visibleRange(),
    yRange: [0, 1.08 * (Math.max(...y) || 1)],
  };
}

function errorFigure() {
  const entry = activeEntry();
  const report = shownReport(entry, true);
  const x = [];
  const y = [];
  let caption = `${entry.format.name} has no one error function: its scale follows the block.`;
  const [low, high] = visibleRange();
  if (entry.format.kind !== "block" && report) {
    const levels = levelsOf(entry.format.grid, report.scale, 1025);
    levels.forEach((level, i) => {
      const from = i ? 0.5 * (levels[i - 1] + level) : Math.min(low, level);
      const to = i + 1 < levels.length ? 0.5 * (level + levels[i + 1]) : Math.max(high, level);
      x.push(from + (i ? 1e-12 * Math.abs(from) : 0), to);
      y.push(level - from, level - to);
    });
    caption = "How far each value moves: Q(x) − x. Beyond the largest level it is clipped.";
  } else if (entry.format.kind !== "block") caption = "";
  return {
    id: "error", title: "Error of each value", caption, xLabel: "x", yLabel: "Q(x) − x",
    series: [{ label: entry.format.name, x, y, hue: HUES[state.active] }], xRange: [low, high],
    marks: [],
  };
}

/** A scan as the arrays that are drawn, the same ones every time. */
function curvesOf(entry) {
  return remembered(`curves|${entry.text}`, () => {
    const { curve = [] } = optimumOf(entry);
    return {
      x: curve.map((point) => point.maxValue),
      sqnr: curve.map((point) => decibels(state.density.power, point.mse)),
      rounding: curve.map((point) => point.rounding),
      clipping: curve.map((point) => point.clippingLow + point.clippingHigh),
      mse: curve.map((point) => point.mse),
    };
  });
}

/** The scans of all scalar formats, and the active one's optimum and plateau. */
function rangeFigure() {
  const series = [];
  state.formats.forEach((entry, i) => {
    if (entry.format.kind === "block" || !(optimumIsKnown(entry) || i === state.active)) return;
    const { x, sqnr } = curvesOf(entry);
    series.push({
      label: entry.format.name, x, y: sqnr, hue: HUES[i], dash: DASHES[i], wide: i === state.active,
    });
  });
  const figure = {
    id: "range", title: "SQNR against the range", caption: "", xLabel: "largest value",
    yLabel: "SQNR in dB", xLog: true, series, marks: [],
  };
  const entry = activeEntry();
  const { best, plateau, undefinedPower, message, block, atEdge } = optimumOf(entry);
  if (block) {
    figure.caption = `${entry.format.name} has no range to choose, and ${inDb(block.sqnr)} dB.`;
  } else if (message) figure.caption = message;
  else if (undefinedPower) figure.caption = "E[x²] is infinite: every range has an infinite error.";
  else {
    figure.marks.push({ x: best.maxValue, label: `best ${short(best.maxValue)}`, dash: [4, 3] });
    if (plateau) figure.band = plateau;
    figure.caption = atEdge
      ? "No best range was found: the error still falls where the search ends."
      : plateau ? `Best at ${short(best.maxValue)}; from ${short(plateau[0])} to `
        + `${short(plateau[1])} it loses less than 0.1 dB.` : `Best at ${short(best.maxValue)}.`;
  }
  if (state.top !== null) figure.marks.push({ x: state.top, label: "", hue: HUES[state.active] });
  figure.xRange = rangeToShow(series);
  series.push(...blockLines(figure.xRange || [0.1, 10]));
  return figure;
}

/** The ranges drawn: all of the active format's, and a thousandfold more for wide ones. */
/** A level line for each block format, which any range of the others may be compared with. */
function blockLines(ends) {
  return state.formats.flatMap((entry, i) => {
    if (!(optimumIsKnown(entry) || i === state.active)) return [];
    const { block } = optimumOf(entry);
    if (!block || !Number.isFinite(block.sqnr)) return [];
    return [{
      label: entry.format.name, x: ends, y: ends.map(() => block.sqnr), hue: HUES[i],
      dash: DASHES[i], wide: i === state.active,
    }];
  });
}

function rangeToShow(series) {
  const own = curvesOf(activeEntry()).x;
  const all = series.flatMap(({ x }) => x);
  if (!all.length) return null;
  const low = Math.min(...all, state.top ?? Infinity);
  const wide = Math.max(...own, low * 2e4, state.top ?? 0);
  return [low, Math.min(Math.max(...all, state.top ?? 0), wide)];
}

function partsFigure() {
  const entry = activeEntry();
  const { x, rounding, clipping, mse } = curvesOf(entry);
  const figure = {
    id: "parts", title: "Rounding and clipping", caption: "", xLabel: "largest value",
    yLabel: "mean squared error", xLog: true, yLog: true, marks: [],
    series: [
      { label: "rounding", x, y: rounding, hue: "--c0" },
      { label: "clipping", x, y: clipping, hue: "--c1", dash: DASHES[1] },
      { label: "both", x, y: mse, hue: "--ink", wide: true },
    ],
  };
  const report = shownReport(entry, true);
  if (report) {
    const share = report.mse > 0 ? (100 * report.clipping) / report.mse : 0;
    const where = entry.format.kind === "block" ? "" : " at this range";
    figure.caption = Number.isFinite(report.mse)
      ? `${short(share, 3)} % of the error of ${entry.format.name} is clipping${where}.`
      : `The clipping error of ${entry.format.name} is infinite.`;
    if (report.maxValue) figure.marks.push({ x: report.maxValue, label: "", hue: HUES[state.active] });
  }
  // A clipping error that has vanished must not stretch the axis.
  const least = mse.length ? Math.min(...mse) : 1;
  const most = mse.length ? Math.max(...mse) : 1;
  figure.yRange = [least * 1e-3 || 1e-12, most * 1.5 || 1];
  return figure;
}

const BITS = [2, 3, 4, 5, 6, 7, 8, 9, 10];

/** What is still to compute for the figure of bits: functions, each some milliseconds. */
function bitsTasks() {
  if (!Number.isFinite(state.density.power)) return [];
  const tasks = [];
  for (const bits of BITS) {
    tasks.push([`bits|int|${bits}`, () => bestSqnr(parseFormat(`int${bits}`))]);
    if (bits < 3 || bits > 8) continue;
    for (let exponent = 1; exponent <= bits - 1; exponent++) {
      const name = `${bits - 1 - exponent}m${exponent}e`;
      tasks.push([`bits|float|${name}`, () => bestSqnr(parseFormat(name))]);
    }
  }
  for (const bits of [1, 2, 3, 4, 5, 6, 7, 8]) {
    tasks.push([`bits|lloyd|${bits}`, () => {
      const best = lloydMax(state.density, 2 ** bits);
      return best ? decibels(state.density.power, best.mse) : NaN;
    }]);
  }
  tasks.push(["bits|entropy", () => differentialEntropy(state.density)]);
  return tasks.filter(([key]) => !isKnown(key));
}

function bestSqnr(format, density = state.density) {
  try {
    if (format.kind === "block") return blockErrors(format, density).sqnr;
    const { best } = optimum(format, density, 8);
    return best ? decibels(density.power, best.mse) : NaN;
  } catch (error) {
    if (error instanceof Refusal) return NaN;
    throw error;
  }
}

const known = (key) => (isKnown(key) ? results.get(`${state.version}|${key}`) : NaN);

function bitsFigure() {
  const float = { x: [], y: [], names: [] };
  for (const bits of BITS.filter((b) => b >= 3 && b <= 8)) {
    let [best, name] = [-Infinity, ""];
    for (let exponent = 1; exponent <= bits - 1; exponent++) {
      const key = `${bits - 1 - exponent}m${exponent}e`;
      const value = known(`bits|float|${key}`);
      if (value > best) [best, name] = [value, key.toUpperCase()];
    }
    if (best > -Infinity) {
      float.x.push(bits);
      float.y.push(best);
      float.names.push(name);
    }
  }
  const entropy = known("bits|entropy");
  const bound = [1, ...BITS];
  const last = float.names.length - 1;
  return {
    id: "bits", title: "Bits against SQNR", xLabel: "bits a value", yLabel: "SQNR in dB, best range",
    caption: last < 0 ? (Number.isFinite(state.density.power) ? "Computing ..." : "E[x²] is infinite.")
      : `Best splits of mantissa and exponent: ${float.names.join(", ")}.`,
    series: [
      { label: "INT", x: BITS, y: BITS.map((b) => known(`bits|int|${b}`)), hue: "--c0", dots: true },
      { label: "best xMyE", ...float, hue: "--c1", dash: DASHES[1], dots: true },
      { label: "Lloyd-Max", x: [1, 2, 3, 4, 5, 6, 7, 8], y: [1, 2, 3, 4, 5, 6, 7, 8].map((b) => known(`bits|lloyd|${b}`)), hue: "--c2", dash: DASHES[2] },
      { label: "Shannon's bound", x: bound, y: bound.map((b) => (typeof entropy === "number" ? shannonBound(state.density, b, entropy) : NaN)), hue: "--c5", dash: DASHES[3] },
      ...state.formats.map((entry, i) => {
        const report = optimumIsKnown(entry) ? shownReport(entry, i === state.active) : null;
        return { label: entry.format.name, x: [entry.format.bits], y: [report ? report.sqnr : NaN], hue: HUES[i], dots: true, only: true };
      }),
    ],
    marks: [],
  };
}

// ---- one parameter of a density, swept

const PRESETS = {
  "student-t: nu": { tree: (x) => ({ family: "student-t", given: { nu: x } }), low: 2.1, high: 100, log: true },
  "generalized-gaussian: beta": { tree: (x) => ({ family: "generalized-gaussian", given: { beta: x } }), low: 0.5, high: 8, log: true },
  "gaussian with 1 % outliers: their std": {
    tree: (x) => ({ family: "mixture", given: { components: [{ family: "gaussian", given: {} }, { family: "gaussian", given: { std: x } }], weights: [0.99, 0.01] } }),
    low: 1, high: 50, log: true,
  },
};
const SWEPT = 25;
const swept = new Map(); // by format and density: does not depend on the density shown

/** What can be swept, by name: the presets, and every parameter of the density shown. */
function sweeps() {
  const found = new Map(Object.entries(PRESETS));
  if (!state.tree) return found;
  parametersOf(state.tree).forEach(({ label, group, slider, get }, i) => {
    const tree = (x) => {
      const copy = structuredClone(state.tree);
      parametersOf(copy)[i].set(x);
      return copy;
    };
    found.set(`this density: ${label}${group ? ` of ${group}` : ""}`, { ...slider, tree, now: get });
  });
  return found;
}

const currentSweep = () => sweeps().get(state.sweep) || PRESETS[SWEPT_FIRST];

function sweepValues({ low, high, log }) {
  if (log) return logSpaced(low, high, SWEPT);
  return Array.from({ length: SWEPT }, (_, i) => low + ((high - low) * i) / (SWEPT - 1));
}

/** The density at a value, as text and as such; the text alone where there is none. */
function sweptDensity({ tree }, x) {
  try {
    const at = tree(x);
    return { text: textOfTree(at), make: () => densityOfTree(at) };
  } catch (error) {
    if (error instanceof Refusal) return { text: null };
    throw error;
  }
}

const sweepKey = (entry, text) => `${entry.text}|${text}`;

function sweptSqnr(entry, make) {
  try {
    return bestSqnr(entry.format, make());
  } catch (error) {
    if (error instanceof Refusal) return NaN;
    throw error;
  }
}

function sweepTasks() {
  if (swept.size > 5000) swept.clear();
  const sweep = currentSweep();
  const tasks = [];
  for (const x of sweepValues(sweep)) {
    const { text, make } = sweptDensity(sweep, x);
    for (const entry of text === null ? [] : state.formats) {
      const key = sweepKey(entry, text);
      if (!swept.has(key)) tasks.push([key, () => swept.set(key, sweptSqnr(entry, make))]);
    }
  }
  return tasks;
}

function sweepFigure() {
  const sweep = currentSweep();
  const x = sweepValues(sweep);
  const texts = x.map((at) => sweptDensity(sweep, at).text);
  const known = (entry, k) => texts[k] === null || swept.has(sweepKey(entry, texts[k]));
  const series = state.formats.map((entry, i) => ({
    label: entry.format.name, x, y: texts.map((text) => swept.get(sweepKey(entry, text)) ?? NaN),
    hue: HUES[i], dash: DASHES[i], wide: i === state.active,
  }));
  const winners = [];
  x.forEach((at, k) => {
    if (!series.every(({ y }) => y[k] === y[k])) return;
    const best = series.reduce((a, b) => (b.y[k] > a.y[k] ? b : a)).label;
    if (!winners.length || winners[winners.length - 1].name !== best) winners.push({ name: best, at });
  });
  const isDone = state.formats.every((entry) => x.every((_, k) => known(entry, k)));
  const figure = {
    id: "sweep", title: "As the density changes", xLabel: state.sweep, yLabel: "SQNR in dB, best range",
    xLog: Boolean(sweep.log), series, marks: [],
    caption: winners.length ? `Best: ${winners.map(({ name, at }, i) => (i ? `${name} from about ${short(at, 2)}` : name)).join(", ")}.`
      : isDone ? "No density in this stretch has a finite error for all formats." : "Computing ...",
  };
  const [family, key] = state.sweep.split(": ");
  if (sweep.now) figure.marks.push({ x: sweep.now(), label: "now", dash: [4, 3] });
  else if (state.tree && state.tree.family === family) {
    figure.marks.push({ x: parameterOf(state.tree, key), label: "now", dash: [4, 3] });
  }
  return figure;
}
