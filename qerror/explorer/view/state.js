// What the page shows, and the link that says it: #f=int8&f=4M3E&a=1&d=student-t(nu%3D3)&m=12.

const MOST_FORMATS = 6;
const DEFAULTS = { formats: ["int8", "4M3E", "3M4E", "e5m2"], active: 1, density: "student-t(nu=5)" };

const state = {
  formats: [], // { text, format }
  active: 0,
  tree: null, // of the density, null for a file's data
  density: null,
  version: 0, // of the density
  top: null, // the active format's largest value; null: the best one
  source: null, // the file that the data came from
};

function setDensity(tree, density, source = null) {
  Object.assign(state, { tree, density, source });
  state.version += 1;
}

const activeEntry = () => state.formats[state.active];

const densityName = () => (state.tree ? textOfTree(state.tree)
  : state.source ? state.source.name : `${state.density.sample.size} numbers`);

/** The link's part after "#"; data of a file are not in it. */
function hashOfState() {
  const parts = state.formats.map(({ text }) => `f=${encodeURIComponent(text)}`);
  parts.push(`a=${state.active}`);
  if (state.tree) parts.push(`d=${encodeURIComponent(textOfTree(state.tree))}`);
  if (state.top !== null) parts.push(`m=${state.top}`);
  return parts.join("&");
}

/** Take what a link says; returns what of it could not be read. */
function readHash(hash) {
  const problems = [];
  const found = { formats: [], active: 0, density: null, top: null };
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
      found.top = Number(value);
      if (!(found.top > 0 && Number.isFinite(found.top))) {
        problems.push(`the range "${value.slice(0, 40)}" is no positive number`);
        found.top = null;
      }
    } else problems.push(`"${key.slice(0, 40)}" means nothing here`);
  }
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
  state.formats = [];
  if (found.formats.length > MOST_FORMATS) problems.push("only the first six formats are shown");
  for (const text of found.formats.slice(0, MOST_FORMATS)) {
    attempt(() => state.formats.push({ text, format: parseFormat(text) }));
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
  return problems;
}
