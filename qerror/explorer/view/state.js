// What the page shows, and the link that says it: #f=int8&f=4M3E&a=1&d=student-t(nu%3D3)&m=12&s=this%3A%20nu.

const MOST_FORMATS = 6;
const DEFAULTS = { formats: ["int8", "4M3E", "3M4E", "e5m2"], active: 1, density: "student-t(nu=5)" };

const SWEPT_FIRST = "student-t: nu";

const state = {
  formats: [], // { text, format }
  active: 0,
  tree: null, // of the density, null for a file's data
  density: null,
  version: 0, // of the density
  top: null, // the active format's largest value; null: the best one
  sweep: SWEPT_FIRST, // what the figure of a swept parameter sweeps
  source: null, // the file that the data came from
};

function setDensity(tree, density, source = null) {
  Object.assign(state, { tree, density, source });
  state.version += 1;
}

const activeEntry = () => state.formats[state.active];

const densityName = () => (state.tree ? textOfTree(state.tree)
  : state.source ? state.source.name : `${state.density.sample.size} numbers`);

/** Read a largest value; refuses what is none, and what float64 cannot square. */
function rangeOf(text) {
  const top = Number(text.trim() || NaN);
  if (!(top > 0) || !Number.isFinite(top)) {
    refuse(`the largest value must be a positive number, got "${text.slice(0, 30)}"`);
  }
  if (top < 1e-150 || top > 1e150) refuse("squares of this range leave float64; choose other units");
  return top;
}

/** The link's part after "#"; data of a file are not in it. */
function hashOfState() {
  const parts = state.formats.map(({ text }) => `f=${encodeURIComponent(text)}`);
  parts.push(`a=${state.active}`);
  if (state.tree) parts.push(`d=${encodeURIComponent(textOfTree(state.tree))}`);
  if (state.top !== null) parts.push(`m=${state.top}`);
  if (state.sweep !== SWEPT_FIRST) parts.push(`s=${encodeURIComponent(state.sweep)}`);
  return parts.join("&");
}

/** Take what a link says; returns what of it could not be read. */
function readHash(hash) {
  const problems = [];
  const found = { formats: [], active: 0, density: null, top: null, sweep: SWEPT_FIRST };
  const attempt = (action) => {
    try {
      action();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push(error.message);
      return false;
    }
  };
  for (const part of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, ...rest] = part.split("=");
    let value;
    try {
      value = decodeURIComponent(rest.join("="));
    } catch {
      problems.push(`"${part.slice(0, 40)}" is damaged`);
      continue;
    }
    if (key === "f") found.formats.push(value);
    else if (key === "d") found.density = value;
    else if (key === "a") found.active = Number(value);
    else if (key === "m") {
      attempt(() => { found.top = rangeOf(value); });
    } else if (key === "s") found.sweep = value;
    else problems.push(`"${key.slice(0, 40)}" means nothing here`);
  }
  state.formats = [];
  if (found.formats.length > MOST_FORMATS) problems.push("only the first six formats are shown");
  for (const text of found.formats.slice(0, MOST_FORMATS)) {
    attempt(() => {
      const format = parseFormat(text);
      if (state.formats.some((entry) => entry.format.name === format.name)) {
        refuse(`${format.name} is named twice`);
      }
      state.formats.push({ text, format });
    });
  }
  if (!state.formats.length) {
    state.formats = DEFAULTS.formats.map((text) => ({ text, format: parseFormat(text) }));
    if (!found.formats.length) found.active = DEFAULTS.active;
  }
  state.active = Number.isInteger(found.active) && state.formats[found.active] ? found.active : 0;
  const read = (text) => {
    const tree = readDensity(text);
    setDensity(tree, densityOfTree(tree));
  };
  if (found.density === null || !attempt(() => read(found.density))) {
    if (!state.density || found.density !== null) read(DEFAULTS.density);
  }
  state.top = found.top;
  if (sweeps().has(found.sweep)) state.sweep = found.sweep;
  else problems.push(`"${found.sweep.slice(0, 40)}" is no parameter that can change here`);
  return problems;
}
