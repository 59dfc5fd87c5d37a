// What happens when something changes: the active format at once, the rest in slices of time.

const SLICE = 12; // ms: less than a frame
const QUIET = 160; // ms without a change before the slow figures are computed

const plots = {};
let generation = 0;
let quietTimer = null;
let drawnFrame = null;

/** Draw what has changed, soon: once a frame, however often it is asked for. */
function refresh() {
  generation += 1;
  delete document.documentElement.dataset.settled;
  delete document.documentElement.dataset.ready;
  if (drawnFrame === null) {
    drawnFrame = requestAnimationFrame(() => {
      drawnFrame = null;
      const started = performance.now();
      drawActive();
      // uPlot draws in microtasks that are queued by now.
      queueMicrotask(() => {
        window.qerrorTimes = (window.qerrorTimes || []).slice(-500);
        window.qerrorTimes.push(performance.now() - started);
      });
      clearTimeout(quietTimer);
      quietTimer = setTimeout(settle, QUIET);
      runTasks(generation, optimumTasks());
    });
  }
}

/** Figures and numbers of the active format. */
function drawActive() {
  showRange();
  plots.levels.show(levelsFigure());
  plots.error.show(errorFigure());
  plots.range.show(rangeFigure());
  plots.parts.show(partsFigure());
  showTable();
}

function drawAll() {
  drawActive();
  plots.bits.show(bitsFigure());
  plots.sweep.show(sweepFigure());
}

function optimumTasks() {
  return state.formats.filter((entry) => !optimumIsKnown(entry)).map((entry) => ["", () => optimumOf(entry)]);
}

/** After a while without changes: texts, the link, and the slow figures. */
function settle() {
  byId("command").textContent = commandText();
  byId("python").textContent = pythonText();
  byId("compare").textContent = compareText();
  showSummary();
  const hash = `#${hashOfState()}`;
  if (hash.length < 20000 && hash !== location.hash) history.replaceState(null, "", hash);
  plots.bits.show(bitsFigure());
  plots.sweep.show(sweepFigure());
  const mine = generation;
  document.documentElement.dataset.ready = String(mine);
  const lloyd = state.formats.map((entry, i) => ["", () => {
    if (!lloydIsKnown(entry)) aboveLloydMax(entry, shownReport(entry, i === state.active));
  }]);
  const bits = bitsTasks().map(([key, compute]) => ["bits", () => remembered(key, compute)]);
  const sweep = sweepTasks().map(([, compute]) => ["sweep", compute]);
  runTasks(mine, [...optimumTasks(), ...lloyd, ...bits, ...sweep], () => {
    document.documentElement.dataset.settled = String(mine);
  });
}

/** Run tasks in slices; stop when something changes. Each slice draws what it has changed. */
function runTasks(mine, tasks, done = null) {
  let next = 0;
  const slice = () => {
    if (mine !== generation) return;
    const start = performance.now();
    const touched = new Set();
    while (next < tasks.length && performance.now() - start < SLICE) {
      const [kind, compute] = tasks[next];
      compute();
      touched.add(kind);
      next += 1;
    }
    if (touched.has("")) {
      plots.range.show(rangeFigure());
      showTable();
    }
    if (touched.has("bits")) plots.bits.show(bitsFigure());
    if (touched.has("sweep")) plots.sweep.show(sweepFigure());
    if (next < tasks.length) setTimeout(slice, 4);
    else if (done) done();
  };
  if (tasks.length || done) setTimeout(slice, 0);
}

function showTable() {
  const body = byId("table").tBodies[0];
  while (body.rows.length > state.formats.length) body.lastChild.remove();
  state.formats.forEach((entry, i) => {
    const row = tableRow(entry, i);
    const before = body.rows[i];
    if (!before) body.append(row);
    else if (before.dataset.report !== row.dataset.report || before.outerHTML !== row.outerHTML) {
      before.replaceWith(row);
    }
  });
}

const PLAIN = (key, value) =>
  (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);

function tableRow(entry, i) {
  const isActive = i === state.active;
  const isReady = isActive || optimumIsKnown(entry);
  const report = isReady ? shownReport(entry, isActive) : null;
  const { plateau, message } = isReady ? optimumOf(entry) : {};
  const above = report && lloydIsKnown(entry) ? aboveLloydMax(entry, report) : null;
  const row = document.createElement("tr");
  row.className = isActive ? "active" : "";
  row.dataset.format = entry.text;
  if (report) row.dataset.report = JSON.stringify(report, PLAIN);
  if (message && !report) row.title = message;
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = entry.format.name;
  head.title = entry.format.name;
  head.style.setProperty("--hue", `var(${HUES[i]})`);
  const cells = [
    short(entry.format.bits), report && report.maxValue !== null ? short(report.maxValue) : "–",
    report ? inDb(report.sqnr) : "–", report ? short(report.rounding) : "–",
    report ? short(report.clipping) : "–",
    plateau ? `${short(plateau[0])} .. ${short(plateau[1])}` : "–",
    above === null ? "–" : above.toFixed(2),
  ].map((text) => {
    const node = document.createElement("td");
    node.textContent = text;
    return node;
  });
  row.append(head, ...cells);
  return row;
}

function showSummary() {
  const entry = activeEntry();
  const report = shownReport(entry, true);
  const { message, undefinedPower } = optimumOf(entry);
  const place = byId("summary");
  place.replaceChildren();
  if (message || undefinedPower || !report) {
    place.textContent = message || `${entry.format.name} on ${densityName()}: E[x²] is infinite, so every range has an infinite error.`;
    return;
  }
  const strong = document.createElement("strong");
  strong.textContent = `${inDb(report.sqnr)} dB`;
  const range = report.maxValue === null ? ", scales from the data"
    : ` at largest value ${short(report.maxValue)}${state.top === null ? ", its best range" : ""}`;
  const bias = report.bias === null ? "" : ` (exponent bias ${short(report.bias)})`;
  const name = densityName();
  place.append(`${entry.format.name} on ${name.length > 80 ? `${name.slice(0, 79)}…` : name}: `, strong, `${range}${bias}.`);
}

function openLink() {
  const problems = readHash(location.hash);
  tell("state-message", problems.length ? `Not all of the link could be read: ${problems.join("; ")}.` : "");
  showChips();
  showDensity();
  refresh();
}

function start() {
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  fillLists();
  listen();
  const choice = document.createElement("select");
  choice.id = "sweep-choice";
  choice.setAttribute("aria-label", "Which parameter changes");
  choice.addEventListener("change", () => {
    state.sweep = choice.value;
    refresh();
  });
  const parent = byId("figures");
  for (const id of ["range", "levels", "error", "parts", "bits"]) plots[id] = new Plot(parent, id);
  plots.sweep = new Plot(parent, "sweep", choice);
  window.addEventListener("hashchange", openLink);
  openLink();
}

start();

/** For tests and for the console: the figures of any format on any density, at a largest value. */
window.qerrorReport = (format, density, top = null) => {
  const made = parseFormat(format);
  const law = densityOfTree(readDensity(density));
  if (made.kind === "block") return blockErrors(made, law);
  return reportOf(made, law, top === null ? optimum(made, law).best.scale : scaleFor(made, top));
};
