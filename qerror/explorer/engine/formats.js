// Number formats by name, as qerror reads them, and the grids of their levels.
//
// `FORMATS` maps folded names to descriptions of the registered formats; both come with the page.
// A grid is uniform segments: segment i leads from edges[i] to edges[i + 1] in counts[i] steps of
// steps[i], and all of it is multiplied by a factor.

const CONVENTIONS = {
  none: { offset: 0, above: () => 0 },
  ieee: { offset: 1, above: (m) => 2 ** m },
  fn: { offset: 1, above: () => 1 },
  fnuz: { offset: 0, above: () => 0 },
  p3109: { offset: 0, above: (m, signed, infinities) => (signed ? 0 : 1) + (infinities ? 1 : 0) },
};

const integerIn = (name, value, low, high) => {
  if (!Number.isInteger(value) || value < low || value > high) {
    refuse(`${name} must be an integer in ${low}..${high}, got ${shortest(value)}`);
  }
  return value;
};

/** A grid of `count` equal steps. */
function uniformGrid(start, step, count, evenFirst) {
  return makeGrid([start, start + count * step], [step], [count], 1, evenFirst);
}

function makeGrid(edges, steps, counts, factor = 1, evenFirst = true) {
  const n = steps.length;
  let symmetric = true;
  for (let i = 0; i <= n; i++) symmetric = symmetric && edges[i] === -edges[n - i];
  for (let i = 0; i < n; i++) {
    symmetric = symmetric && steps[i] === steps[n - 1 - i] && counts[i] === counts[n - 1 - i];
  }
  const size = counts.reduce((a, b) => a + b, 1);
  const parity = [];
  let odd = 0;
  for (let i = 0; i < n; i++) {
    parity.push(odd);
    odd = (odd + counts[i]) % 2;
  }
  return {
    edges: Float64Array.from(edges), steps: Float64Array.from(steps), counts, factor, evenFirst,
    size, symmetric, parity, min: edges[0] * factor, max: edges[n] * factor,
  };
}

function gridOfPoints(values) {
  const points = [...values].sort((a, b) => a - b);
  const steps = points.slice(1).map((x, i) => x - points[i]);
  if (!steps.every((step) => step > 0)) refuse("the levels of a codebook must differ");
  return makeGrid(points, steps, steps.map(() => 1));
}

/** The levels at a scale, or those next to 0 where there are more than `most`. */
function levelsOf(grid, scale = 1, most = Infinity) {
  const found = [];
  const factor = grid.factor * scale;
  let [low, high] = [-Infinity, Infinity];
  if (grid.size > most) {
    // a symmetric window about 0 with no more levels than that
    let [small, large] = [0, Math.max(Math.abs(grid.min), Math.abs(grid.max)) / grid.factor];
    for (let i = 0; i < 80; i++) {
      const middle = small > 0 ? Math.sqrt(small * large) : large / 2 ** 40;
      if (countLevels(grid, middle) > most) large = middle;
      else small = middle;
    }
    [low, high] = [-small, small];
  }
  grid.steps.forEach((step, i) => {
    const first = Math.max(0, Math.ceil((low - grid.edges[i]) / step));
    const last = Math.min(grid.counts[i] - 1, Math.floor((high - grid.edges[i]) / step));
    // One binade alone may have more than that: a share of its levels then stands for all.
    const stride = Math.max(1, Math.ceil((last - first + 1) / most));
    const count = Math.floor((last - first) / stride) + 1;
    for (let j = 0; j < count; j++) {
      found.push((grid.edges[i] + (first + j * stride) * step) * factor);
    }
  });
  const end = grid.edges[grid.edges.length - 1];
  if (end >= low && end <= high) found.push(end * factor);
  return found;
}

function countLevels(grid, radius) {
  let count = 0;
  grid.steps.forEach((step, i) => {
    const first = Math.max(0, Math.ceil((-radius - grid.edges[i]) / step));
    const last = Math.min(grid.counts[i] - 1, Math.floor((radius - grid.edges[i]) / step));
    count += Math.max(0, last - first + 1);
  });
  return count;
}

/** The base level that x is rounded to at a factor; ties go to the even code. */
function nearestLevel(grid, x, factor) {
  const { edges, steps, counts, parity, evenFirst } = grid;
  const n = steps.length;
  if (!n) return edges[0];
  // By the quotient, as the simulator decides it: at a tie products are a last digit off.
  const base = x / factor;
  const i = Math.min(Math.max(countBelow(edges, base, true) - 1, 0), n - 1);
  let rank = Math.floor((base - edges[i]) / steps[i]);
  rank = Math.min(Math.max(rank, 0), counts[i] - 1);
  const level = (k) => (k <= counts[i] - k ? edges[i] + k * steps[i]
    : edges[i + 1] - (counts[i] - k) * steps[i]);
  if (rank > 0 && level(rank) > base) rank -= 1;
  const middle = level(rank) + 0.5 * (level(rank + 1) - level(rank));
  const evenLow = ((parity[i] + rank) % 2 === 0) === evenFirst;
  return base > middle || (base === middle && !evenLow) ? level(rank + 1) : level(rank);
}

// ---- families

function integerFormat({ bits, signed, full, zero_point: zero = 0 }) {
  integerIn("the bits of an integer", bits, signed ? 2 : 1, 53);
  const high = 2 ** (bits - (signed ? 1 : 0)) - 1;
  const low = signed ? -high - (full ? 1 : 0) : 0;
  integerIn("zp", zero, low, high);
  const grid = uniformGrid(low - zero, 1, high - low, low % 2 === 0);
  const name = `${signed ? "" : "U"}INT${bits}${signed && full ? ":full" : ""}`
    + (zero ? `:zp=${zero}` : "");
  return { kind: "integer", name, bits, grid, bias: null };
}

function fixedFormat({ word, fraction, signed, full }) {
  integerIn("the word length", word, signed ? 2 : 1, 53);
  integerIn("the fractional length", fraction, word - 1024, 1074);
  const high = 2 ** (word - (signed ? 1 : 0)) - 1;
  const low = signed ? -high - (full ? 1 : 0) : 0;
  const step = 2 ** -fraction;
  const grid = uniformGrid(low * step, step, high - low, low % 2 === 0);
  const name = `${signed ? "" : "U"}FIXED${word}.${fraction}${signed && full ? ":full" : ""}`;
  return { kind: "fixed", name, bits: word, grid, bias: null, powersOfTwo: true };
}

function floatFormat({ mantissa, exponent, bias = null, signed, specials, infinities = false }) {
  integerIn("the mantissa bits", mantissa, 0, 52);
  integerIn("the exponent bits", exponent, 1, 11);
  const convention = CONVENTIONS[specials];
  if (!convention) {
    refuse(`specials must be one of ${Object.keys(CONVENTIONS).join(", ")}, got ${specials}`);
  }
  if (!signed && specials === "fnuz") refuse("fnuz is only for formats with a sign");
  const own = 2 ** (exponent - 1) - convention.offset;
  const chosen = bias === null ? own : bias;
  if (!Number.isFinite(chosen)) refuse(`bias must be a real number, got ${shortest(chosen)}`);
  // The codes of 64-bit formats are beyond float64.
  const reserved = BigInt(convention.above(mantissa, signed, infinities));
  const top = (1n << BigInt(mantissa + exponent)) - 1n - reserved;
  const last = Number(top >> BigInt(mantissa));
  if (last < 1) refuse(`specials=${specials} leaves no normal number; give it more bits`);
  if (!(chosen >= Math.max(last, 2) - 1023 && chosen <= last - mantissa + 1074)) {
    refuse(`bias must lie in ${Math.max(last, 2) - 1023}..${last - mantissa + 1074}, got ${chosen}`);
  }
  const shape = `${signed ? "" : "U"}${mantissa}M${exponent}E`;
  const stem = shape + (specials === "none" ? "" : `:specials=${specials}`);
  const name = stem + (chosen === own ? "" : `:bias=${shortest(chosen)}`);
  const grid = floatGrid(mantissa, top, chosen, signed);
  return {
    kind: "float", name, bits: (signed ? 1 : 0) + mantissa + exponent, grid, bias: chosen,
    split: [mantissa, exponent],
  };
}

/** The levels of the magnitude codes 0..top: a run around zero, then one per binade. */
function floatGrid(mantissa, top, bias, signed) {
  const whole = Math.ceil(bias);
  const factor = 2 ** (whole - bias);
  const mantissas = 2 ** mantissa;
  const lowest = Math.max(1, whole + mantissa - 1074);
  const last = Number(top >> BigInt(mantissa));
  const rest = Number(top & (BigInt(mantissas) - 1n));
  const above = top - BigInt(lowest - 1) * BigInt(mantissas);
  const middle = above < 2n * BigInt(mantissas) ? Number(above) : 2 * mantissas;
  const edges = [];
  const steps = [];
  const counts = [];
  for (let e = lowest + 1; e < last + (rest ? 1 : 0); e++) {
    edges.push(2 ** (e - whole));
    steps.push(2 ** (e - whole - mantissa));
    counts.push(mantissas);
  }
  edges.push((mantissas + rest) * 2 ** (last - whole - mantissa));
  if (rest && counts.length) counts[counts.length - 1] = rest;
  const step = 2 ** (lowest - whole - mantissa);
  if (!signed) {
    return makeGrid([0, ...edges], [step, ...steps], [middle, ...counts], factor);
  }
  return makeGrid(
    [...edges.map((x) => -x).reverse(), ...edges],
    [...[...steps].reverse(), step, ...steps],
    [...[...counts].reverse(), 2 * middle, ...counts],
    factor,
    above % 2n === 0n,
  );
}

function powerFormat({ exponent, bias = null }) {
  integerIn("the exponent bits", exponent, 2, 11);
  const own = 2 ** (exponent - 1) - 1;
  const chosen = bias === null ? own : bias;
  const count = 2 ** exponent - 1;
  integerIn("bias", chosen, count - 1 - 1023, 1074);
  const points = Array.from({ length: count }, (_, k) => 2 ** (k - chosen));
  const name = `E${exponent}M0${chosen === own ? "" : `:bias=${chosen}`}`;
  const grid = makeGrid(points, points.slice(0, -1), points.slice(1).map(() => 1));
  return { kind: "power", name, bits: exponent, grid, bias: chosen };
}

function codebookFormat({ values, name = null }) {
  if (!values.length) refuse("a codebook needs at least one level: codebook:-1,0,0.5,1");
  values.forEach((x) => finite("a level of a codebook", x));
  const bits = Math.max(1, Math.ceil(Math.log2(values.length)));
  const grid = gridOfPoints(values.map((x) => x + 0));
  const sorted = [...grid.edges];
  return {
    kind: "codebook", name: name || `codebook:${sorted.map(shortest).join(",")}`, bits, grid,
    bias: null,
  };
}

const SCALAR_MAKERS = {
  integer: integerFormat, fixed: fixedFormat, float: floatFormat, power: powerFormat,
  codebook: codebookFormat,
};

/** Make the format that a description from the registry describes. */
function formatOf(description) {
  if (description.kind === "block") return blockFormat(description);
  const made = SCALAR_MAKERS[description.kind](description);
  return { ...made, name: description.name || made.name, description };
}

// ---- names

const PATTERNS = [
  [/^(u?)int(\d{1,4})(?=:|$)/, (m) => ({ kind: "integer", bits: +m[2], signed: !m[1], full: false })],
  [/^(u?)fixed(\d{1,4})\.(-?\d{1,5})(?=:|$)/, (m) =>
    ({ kind: "fixed", word: +m[2], fraction: +m[3], signed: !m[1], full: false })],
  [/^q:(ti|arm)(-?\d{1,5})\.(-?\d{1,5})(?=:|$)/, (m) => ({
    kind: "fixed", word: +m[2] + +m[3] + (m[1] === "ti" ? 1 : 0), fraction: +m[3], signed: true,
    full: false,
  })],
  [/^codebook:([^:]*)(?=:|$)/, (m) => ({
    kind: "codebook",
    values: m[1].trim() ? m[1].split(",").map((text) => realOf("a level of a codebook", text)) : [],
  })],
  [/^(u?)(\d{1,4})m(\d{1,4})e(?=:|$)/, (m) =>
    ({ kind: "float", mantissa: +m[2], exponent: +m[3], signed: !m[1], specials: "none" })],
  [/^(?:p3109k|binary)(\d{1,4})p(\d{1,4})([su])([ef])(?=:|$)/, (m) => {
    const [width, precision, signed] = [+m[1], +m[2], m[3] === "s"];
    integerIn("P", precision, 1, width - (signed ? 1 : 0));
    return {
      kind: "float", mantissa: precision - 1, exponent: width - precision + (signed ? 0 : 1),
      signed, specials: "p3109", infinities: m[4] === "e",
    };
  }],
  [/^u?e(\d{1,4})m0(?:fnu)?(?=:|$)/, (m) => ({ kind: "power", exponent: +m[1] })],
];

function realOf(name, text) {
  const clean = text.trim();
  const value = Number(clean);
  if (!clean || !Number.isFinite(value)) refuse(`${name} must be a finite number, got "${text}"`);
  return value;
}

/** Return the format that a text names; refuses by a message what it cannot read. */
function parseFormat(text) {
  if (!text.trim()) refuse("write the name of a format, for example 4M3E, int8 or mxfp4");
  if (text.length > 2 ** 16) refuse("this name is too long");
  const [head, ...tail] = text.trim().toLowerCase().split(":");
  const clean = [head.replace(/(?<!\.)-|_|\s/g, ""), ...tail].join(":");
  for (const [pattern, describe] of PATTERNS) {
    const found = pattern.exec(clean);
    if (found) return withOptions(text, describe(found), clean.slice(found[0].length));
  }
  const [name, ...rest] = clean.split(":");
  const key = foldName(name);
  if (AMBIGUOUS[key]) {
    refuse(`"${text.trim()}" may be any of ${AMBIGUOUS[key].join(", ")}; name one`);
  }
  const whole = FORMATS[foldName(clean)];
  if (whole && whole.kind !== "block") return formatOf(whole);
  if (!FORMATS[key]) {
    refuse(`unknown format "${text.trim()}"; names look like int8, 4M3E, e4m3, fixed8.4, `
      + "codebook:-1,0,1, mxfp4, nf4:g64");
  }
  return withOptions(text, FORMATS[key], rest.map((part) => `:${part}`).join(""));
}

/** Apply the options that follow a name, ":a=1:b". */
function withOptions(text, description, tail) {
  const options = {};
  for (const part of tail.split(":").slice(1)) {
    const [rawKey, ...more] = part.split("=");
    let key = rawKey.trim();
    let value = more.join("=").trim();
    if (value.includes(",")) refuse(`"${text}": options are parted by colons, not commas`);
    if (/^g\d+$/.test(key) && !more.length) [key, value] = ["n", key.slice(1)];
    if (key in options) refuse(`"${text}" gives the option "${key}" twice`);
    options[key] = value;
  }
  if (description.kind === "block") return formatOf(blockWithOptions(description, options));
  const keys = Object.keys(options);
  if (keys.some((key) => BLOCK_OPTIONS.includes(key))) {
    const own = keys.filter((key) => !BLOCK_OPTIONS.includes(key));
    const element = scalarWithOptions(description, pick(options, own));
    const rest = pick(options, keys.filter((key) => BLOCK_OPTIONS.includes(key)));
    return formatOf(blockOf(element, rest));
  }
  return formatOf(scalarWithOptions(description, options));
}

const pick = (options, keys) => Object.fromEntries(keys.map((key) => [key, options[key]]));

const OPTIONS_OF = {
  integer: ["full", "zp"], fixed: ["full"], float: ["bias", "specials"], power: ["bias"],
  codebook: [],
};

function scalarWithOptions(description, options) {
  const changed = { ...description };
  for (const [key, value] of Object.entries(options)) {
    if (!OPTIONS_OF[description.kind].includes(key)) {
      const takes = OPTIONS_OF[description.kind].join(", ") || "none";
      refuse(`${description.name || "this format"} has no option "${key}"; it takes ${takes}`);
    }
    delete changed.name;
    if (key === "full") {
      if (value) refuse(`full takes no value, got "${value}"`);
      if (!description.signed) refuse("full is for signed codes");
      changed.full = true;
    } else if (key === "zp") changed.zero_point = realOf("zp", value);
    else if (key === "specials") {
      changed.specials = value;
      if (!("bias" in options)) changed.bias = null;
    } else changed.bias = realOf("bias", value);
  }
  return changed;
}

/** The scale at which the largest level is `top`. */
function scaleFor(format, top) {
  if (!(format.grid.max > 0)) refuse(`${format.name} has no positive level, so no scale gives it one`);
  return top / format.grid.max;
}
