// Densities: continuous pieces and point masses, read from the text that qerror reads too.
//
// A piece is { law, weight, loc, spread, low, high }: the density weight / spread
// p((x - loc) / spread) on [low, high]. `FAMILIES` and `DENSITY_NAMES` come with the page.

const MOST_NESTED = 32;

function piece(law, weight = 1, loc = 0, spread = 1, low = -Infinity, high = Infinity) {
  return { law, weight, loc, spread, low, high };
}

/** Integrate (x - q)^k, k = 0, 1, 2, over from < x < to of one piece. */
function pieceIntegrals(part, q, from = -Infinity, to = Infinity) {
  const { law, weight, loc, spread } = part;
  const low = Math.max(from, part.low);
  const high = Math.min(to, part.high);
  const sums = { mass: 0, first: 0, second: 0 };
  if (high > low) {
    addInterval(law, (q - loc) / spread, (low - q) / spread, (high - q) / spread, sums);
  }
  const unit = weight * spread;
  return { mass: weight * sums.mass, first: unit * sums.first, second: unit * spread * sums.second };
}

const isWhole = (part) => part.low === -Infinity && part.high === Infinity;

/** Mass, E[x] and E[x^2] of one piece. */
function pieceMoments(part) {
  const { law, weight, loc, spread } = part;
  if (isWhole(part)) {
    const variance = spread * spread * law.variance;
    const mean = Number.isNaN(variance) ? NaN : weight * loc;
    const second = law.variance < Infinity ? weight * (loc * loc + variance) : Infinity;
    return { mass: weight, mean, second };
  }
  const at = Math.min(Math.max(loc, part.low), part.high);
  const { mass, first, second } = pieceIntegrals(part, at);
  const about = second === Infinity ? second : second + at * (2 * first + at * mass);
  const power = Math.abs(at) > 8 * spread ? about : pieceIntegrals(part, 0).second;
  return { mass, mean: first + at * mass, second: power };
}

/** A density of pieces and point masses; positions ascend, probabilities add up with the pieces. */
function makeDensity(pieces, positions = [], probabilities = []) {
  const atoms = new PointSums(positions, probabilities);
  let [mean, power] = [atoms.mean, atoms.power];
  for (const part of pieces) {
    const moments = pieceMoments(part);
    mean += moments.mean;
    power += moments.second;
  }
  const ends = pieces.flatMap((part) => [part.low, part.high]);
  if (atoms.size) ends.push(positions[0], positions[atoms.size - 1]);
  return {
    pieces, atoms, mean, power, support: [ends.reduce((a, b) => Math.min(a, b)),
      ends.reduce((a, b) => Math.max(a, b))],
  };
}

/** The density at x, without the point masses. */
function pdfOf(density, x) {
  let total = 0;
  for (const part of density.pieces) {
    if (x >= part.low && x <= part.high) {
      total += (part.weight / part.spread) * part.law.pdf((x - part.loc) / part.spread);
    }
  }
  return total;
}

/** P(low <= X <= high). */
function massBetween(density, low, high) {
  let total = density.atoms.between(low, high).weight;
  for (const part of density.pieces) {
    const [a, b] = [Math.max(low, part.low), Math.min(high, part.high)];
    if (b > a) total += pieceIntegrals(part, Math.min(Math.max(part.loc, a), b), a, b).mass;
  }
  return total;
}

/** Point masses with running sums of w, w x and w x^2, in two floats each, outwards from 0. */
class PointSums {
  constructor(positions, probabilities, unit = 1) {
    this.x = Float64Array.from(positions);
    this.w = Float64Array.from(probabilities);
    this.unit = unit;
    this.size = this.x.length;
    const whole = this.between(-Infinity, Infinity);
    this.mean = whole.first;
    this.power = whole.second;
  }

  get table() {
    if (!this.known) this.known = this.makeTable();
    return this.known;
  }

  makeTable() {
    const { x, w, size } = this;
    const table = new Float64Array(6 * (size + 1));
    const zero = countBelow(x, 0);
    const run = (index, from, to, sign) => {
      // from the row `from` to the row `to`, past the point `index`
      const square = x[index] * x[index];
      const rest = lostInProduct(x[index], x[index], square);
      const terms = [w[index], w[index] * x[index], w[index] * square];
      const lost = [0, lostInProduct(w[index], x[index], terms[1]),
        lostInProduct(w[index], square, terms[2]) + w[index] * rest];
      for (let k = 0; k < 3; k++) {
        const before = table[6 * from + 2 * k];
        const sum = before + sign * terms[k];
        table[6 * to + 2 * k] = sum;
        table[6 * to + 2 * k + 1] = table[6 * from + 2 * k + 1] + sign * lost[k]
          + lostInSum(before, sign * terms[k], sum);
      }
    };
    for (let i = zero; i < size; i++) run(i, i, i + 1, 1);
    for (let i = zero - 1; i >= 0; i--) run(i, i + 1, i, -1);
    return table;
  }

  /** Sums of w, w (x - q), w (x - q)^2 over the points first .. last - 1. */
  about(q, first, last) {
    if (last <= first) return { weight: 0, first: 0, second: 0 };
    const { x, w, unit } = this;
    if (last - first <= 16) {
      let [weight, sum, square] = [0, 0, 0];
      for (let i = first; i < last; i++) {
        const off = x[i] - q;
        weight += w[i];
        sum += w[i] * off;
        square += w[i] * off * off;
      }
      return { weight: weight / unit, first: sum / unit, second: square / unit };
    }
    const t = this.table;
    const part = (k) => {
      const [a, b] = [t[6 * last + 2 * k], -t[6 * first + 2 * k]];
      const high = a + b;
      return [high, lostInSum(a, b, high) + t[6 * last + 2 * k + 1] - t[6 * first + 2 * k + 1]];
    };
    const times = ([high, low], factor) => {
      const product = high * factor;
      return [product, lostInProduct(high, factor, product) + low * factor];
    };
    const minus = ([a, lowA], [b, lowB]) => {
      const high = a - b;
      return [high, lostInSum(a, -b, high) + lowA - lowB];
    };
    const [s0, s1, s2] = [part(0), part(1), part(2)];
    const moved = minus(s1, times(s0, q));
    // w (x - q)^2 = (w x^2 - q w x) - q (w x - q w)
    const square = minus(minus(s2, times(s1, q)), times(moved, q));
    return {
      weight: (s0[0] + s0[1]) / unit,
      first: (moved[0] + moved[1]) / unit,
      second: Math.max(square[0] + square[1], 0) / unit,
    };
  }

  between(low, high, q = 0) {
    return this.about(q, countBelow(this.x, low), countBelow(this.x, high, true));
  }
}

/** The sample itself as a density; `origin` says where it came from. */
function sampleDensity(values, origin = null) {
  const sorted = Float64Array.from(values).sort();
  if (!sorted.length) refuse("there are no numbers here; give at least one");
  const bad = sorted.length - countFinite(sorted);
  if (bad) refuse(`${bad} of ${sorted.length} numbers are nan or infinite; leave them out first`);
  const top = Math.max(Math.abs(sorted[0]), Math.abs(sorted[sorted.length - 1]));
  if (top > 1e150 || (top > 0 && top < 1e-140)) {
    refuse(`the largest magnitude is ${top}: squares leave float64; choose other units`);
  }
  const positions = [];
  const counts = [];
  for (let i = 0; i < sorted.length; i++) {
    if (i && sorted[i] === sorted[i - 1]) counts[counts.length - 1] += 1;
    else {
      positions.push(sorted[i] + 0);
      counts.push(1);
    }
  }
  const density = makeDensity([], positions, counts);
  density.atoms = new PointSums(positions, counts, sorted.length);
  density.mean = density.atoms.mean;
  density.power = density.atoms.power;
  density.sample = { size: sorted.length, origin };
  return density;
}

function countFinite(values) {
  let count = 0;
  for (const value of values) if (Number.isFinite(value)) count += 1;
  return count;
}

// ---- what each family is made of

// Squares, and their fourth moments' roots, stay within float64 between these sizes.
const [SMALLEST, LARGEST] = [1e-140, 1e140];
const sized = (name, value) => {
  const size = Math.abs(value);
  if (Number.isFinite(value) && (size > LARGEST || (size > 0 && size < SMALLEST))) {
    refuse(`${name} = ${shortest(value)}: float64 cannot hold the squares of such values; `
      + "choose other units");
  }
};
const positive = (name, value) => {
  if (!(value > 0) || !Number.isFinite(value)) {
    refuse(`${name} must be positive and finite, got ${shortest(value)}`);
  }
  return value;
};
const finite = (name, value) => {
  if (!Number.isFinite(value)) refuse(`${name} must be a finite number, got ${shortest(value)}`);
  return value;
};
const ordered = (low, high) => {
  if (!(low < high)) {
    refuse(`low must be below high, got low=${shortest(low)}, high=${shortest(high)}`);
  }
};

const MAKERS = {
  gaussian: ({ mean, std }) =>
    makeDensity([piece(GAUSSIAN, 1, finite("mean", mean), positive("std", std))]),
  laplace: ({ loc, scale }) =>
    makeDensity([piece(LAPLACE, 1, finite("loc", loc), positive("scale", scale))]),
  logistic: ({ loc, scale }) =>
    makeDensity([piece(LOGISTIC, 1, finite("loc", loc), positive("scale", scale))]),
  "student-t": ({ nu, loc, scale }) => {
    if (nu === Infinity) refuse("nu must be finite; its limit is a density: use gaussian");
    if (positive("nu", nu) < 1e-3) refuse(`nu must be at least 0.001 in this page, got ${nu}`);
    return makeDensity([piece(studentT(nu), 1, finite("loc", loc), positive("scale", scale))]);
  },
  "generalized-gaussian": ({ beta, loc, scale }) => {
    if (!(beta >= 0.05 && beta <= 1000)) {
      refuse(`beta must lie in [0.05, 1000], got ${shortest(beta)}`);
    }
    const law = generalizedGaussian(beta);
    return makeDensity([piece(law, 1, finite("loc", loc), positive("scale", scale))]);
  },
  uniform: ({ low, high }) => {
    ordered(finite("low", low), finite("high", high));
    const unit = 2 ** Math.ceil(Math.log2(Math.max(-low, high, high - low)));
    return makeDensity([piece(FLAT, unit / (high - low), 0, unit, low, high)]);
  },
  "log-uniform": ({ low, high }) => {
    ordered(positive("low", low), positive("high", high));
    const ratio = (high - low) / low;
    const length = ratio < 1 ? Math.log1p(ratio) : Math.log(high) - Math.log(low);
    const unit = 2 ** Math.floor(Math.log2(high));
    return makeDensity([piece(RECIPROCAL, 1 / length, 0, unit, low, high)]);
  },
  arcsine: ({ low, high }) => {
    ordered(finite("low", low), finite("high", high));
    const half = 0.5 * high - 0.5 * low;
    const middle = 0.5 * low + 0.5 * high;
    return makeDensity([
      piece(ARCSINE_END, 1, low, half, low, middle), piece(ARCSINE_END, 1, high, half, middle, high),
    ]);
  },
  "half-gaussian": ({ std }) => makeDensity([piece(GAUSSIAN, 2, 0, positive("std", std), 0)]),
  truncated: ({ density, low, high }) => {
    const cut = within(density, low, high);
    const kept = massBetween(density, low, high);
    if (!(kept >= 2 ** -1022)) {
      refuse(`there is no probability in [${shortest(low)}, ${shortest(high)}] to truncate to`);
    }
    const pieces = cut.pieces.map((part) => ({ ...part, weight: part.weight / kept }));
    return makeDensity(pieces, cut.positions, cut.probabilities.map((p) => p / kept));
  },
  clipped: ({ density, low, high }) => clipped(density, low, high),
  rectified: ({ density }) => clipped(density, 0, Infinity),
  mixture: ({ components, weights }) => {
    const shares = normalised("weights", weights);
    const pieces = components.flatMap(({ pieces: parts }, i) =>
      (shares[i] > 0 ? parts.map((part) => ({ ...part, weight: part.weight * shares[i] })) : []));
    const found = new Map();
    components.forEach(({ atoms }, i) => atoms.x.forEach((x, k) => {
      const p = (shares[i] * atoms.w[k]) / atoms.unit;
      if (p > 0) found.set(x, (found.get(x) || 0) + p);
    }));
    const positions = [...found.keys()].sort((a, b) => a - b);
    return makeDensity(pieces, positions, positions.map((x) => found.get(x)));
  },
  discrete: ({ values, probabilities }) => {
    const shares = normalised("probabilities", probabilities);
    if (values.length !== shares.length) {
      refuse(`there are ${values.length} values and ${shares.length} probabilities`);
    }
    values.forEach((x) => finite("a value", x));
    if (new Set(values).size < values.length) refuse("the values of a discrete density must differ");
    const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
    return makeDensity([], order.map((i) => values[i]), order.map((i) => shares[i]));
  },
  empirical: ({ values, counts }) => {
    if (counts !== null) {
      if (counts.length !== values.length || !counts.every((c) => Number.isInteger(c) && c > 0)) {
        refuse(`counts must be ${values.length} positive integers, one for each value`);
      }
      if (counts.reduce((a, b) => a + b, 0) > 1e7) refuse("more than 10 million values");
      return sampleDensity(values.flatMap((x, i) => new Array(counts[i]).fill(x)));
    }
    return sampleDensity(values);
  },
};

function normalised(name, shares) {
  if (!shares.length) refuse(`there are no ${name}`);
  if (!shares.every((share) => share >= 0)) refuse(`${name} must not be negative`);
  const total = shares.reduce((a, b) => a + b, 0);
  if (!(Math.abs(total - 1) < 1e-9)) {
    refuse(`${name} must add up to 1, got ${shortest(total)}`);
  }
  return shares.map((share) => share / total);
}

function within(density, low, high) {
  ordered(low, high);
  const pieces = density.pieces
    .map((part) => ({ ...part, low: Math.max(part.low, low), high: Math.min(part.high, high) }))
    .filter((part) => part.low < part.high);
  const { x, w, unit } = density.atoms;
  const inside = Array.from(x.keys()).filter((i) => x[i] >= low && x[i] <= high);
  return {
    pieces, positions: inside.map((i) => x[i]), probabilities: inside.map((i) => w[i] / unit),
  };
}

function clipped(density, low, high) {
  const cut = within(density, low, high);
  const strictly = cut.positions.map((x, i) => [x, cut.probabilities[i]])
    .filter(([x]) => x > low && x < high);
  const below = low > -Infinity ? massBetween(density, -Infinity, low) : 0;
  const above = high < Infinity ? massBetween(density, high, Infinity) : 0;
  const points = [[low, below], ...strictly, [high, above]].filter(([, p]) => p > 0);
  return makeDensity(cut.pieces, points.map(([x]) => x), points.map(([, p]) => p));
}

// ---- text

/** Read the text of a density into a tree { family, given }; densities within are trees too. */
function readDensity(text) {
  if (typeof text !== "string" || !text.trim()) {
    refuse("write a density, for example student-t(nu=3)");
  }
  if (text.length > 2 ** 20) refuse("this text is too long; give many numbers as a file");
  const reader = new DensityReader(text);
  const tree = reader.node(0);
  if (reader.peek()) reader.fail();
  if (!tree.family) reader.fail();
  return tree;
}

const TOKEN = /\s*(?:([A-Za-z_][\w]*(?:-[A-Za-z_]\w*)*)|((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(.))/y;

class DensityReader {
  constructor(text) {
    this.text = text;
    this.tokens = [];
    TOKEN.lastIndex = 0;
    const end = text.trimEnd().length;
    while (TOKEN.lastIndex < end) {
      const found = TOKEN.exec(text);
      if (!found) this.fail();
      if (found[1]) this.tokens.push({ kind: "name", value: found[1] });
      else if (found[2]) this.tokens.push({ kind: "number", value: Number(found[2]) });
      else this.tokens.push({ kind: "sign", value: found[3] });
    }
    this.at = 0;
  }

  fail() {
    const shown = this.text.length > 60 ? `${this.text.slice(0, 60)}...` : this.text;
    refuse(`cannot read the density "${shown}"; write a name or a call such as student-t(nu=3), `
      + "truncated(gaussian(std=2), low=-3, high=3) or "
      + "mixture(0.9*gaussian(), 0.1*gaussian(std=4))");
  }

  peek(value) {
    const token = this.tokens[this.at];
    if (value === undefined) return token;
    return token && token.kind === "sign" && token.value === value;
  }

  take(value) {
    if (!this.peek(value)) this.fail();
    this.at += 1;
  }

  /** A number, a list, a density, or weight * density. */
  node(depth) {
    if (depth > MOST_NESTED) refuse(`densities nest more than ${MOST_NESTED} deep`);
    const left = this.plain(depth);
    if (!this.peek("*")) return left;
    this.take("*");
    const right = this.plain(depth);
    if (typeof left !== "number" || !right.family) this.fail();
    return { weight: left, component: right };
  }

  plain(depth) {
    const token = this.tokens[this.at];
    if (!token) this.fail();
    this.at += 1;
    if (token.kind === "number") return token.value;
    if (token.value === "-" || token.value === "+") {
      const value = this.plain(depth + 1);
      if (typeof value !== "number") this.fail();
      return token.value === "-" ? -value : value;
    }
    if (token.value === "[" || token.value === "(") return this.list(token.value, depth);
    if (token.kind !== "name") this.fail();
    if (/^(inf|nan)$/i.test(token.value) && !this.peek("(")) {
      return token.value.toLowerCase() === "inf" ? Infinity : NaN;
    }
    return this.call(token.value, depth);
  }

  list(open, depth) {
    const close = open === "[" ? "]" : ")";
    const items = [];
    while (!this.peek(close)) {
      items.push(this.plain(depth + 1));
      if (!this.peek(close)) this.take(",");
    }
    this.take(close);
    return open === "(" && items.length === 1 ? items[0] : items;
  }

  call(name, depth) {
    const family = DENSITY_NAMES[foldName(name)];
    if (!family) {
      refuse(`unknown density "${name}"; there are ${Object.keys(FAMILIES).join(", ")}`);
    }
    const tree = { family, given: {} };
    const known = FAMILIES[family].map(([key]) => key);
    if (!this.peek("(")) return this.checked(tree, known);
    this.take("(");
    const terms = [];
    let place = 0;
    while (!this.peek(")")) {
      const next = this.tokens[this.at + 1];
      const token = this.tokens[this.at];
      let key = known[place];
      if (token && token.kind === "name" && next && next.kind === "sign" && next.value === "=") {
        key = token.value;
        this.at += 2;
      } else place += 1;
      const value = this.node(depth + 1);
      if (value && value.component) terms.push(value);
      else if (!known.includes(key)) {
        refuse(`${family} has no parameter "${key}"; it takes ${known.join(", ") || "none"}`);
      } else if (key in tree.given) refuse(`${family} got its parameter ${key} twice`);
      else tree.given[key] = value;
      if (!this.peek(")")) this.take(",");
    }
    this.take(")");
    if (terms.length) {
      if (family !== "mixture" || Object.keys(tree.given).length) this.fail();
      tree.given = {
        components: terms.map((term) => term.component), weights: terms.map((term) => term.weight),
      };
    }
    return this.checked(tree, known);
  }

  /** Check that every needed parameter is there and is of its kind. */
  checked(tree) {
    for (const [key, kind, standard] of FAMILIES[tree.family]) {
      const value = tree.given[key];
      if (value === undefined) {
        if (standard === undefined) refuse(`${tree.family} needs ${key}`);
        continue;
      }
      const right = kind === "number" ? typeof value === "number"
        : kind === "density" ? Boolean(value.family)
          : Array.isArray(value) && value.every((item) =>
            (kind === "densities" ? Boolean(item.family) : typeof item === "number"));
      if (!right) refuse(`${tree.family}: ${key} must be ${KIND_WORDS[kind]}`);
    }
    return tree;
  }
}

const KIND_WORDS = {
  number: "a number", density: "a density", numbers: "a list of numbers",
  densities: "a list of densities",
};

const foldName = (name) => name.toLowerCase().replace(/[-_\s]/g, "");

/** A tree's parameter, or its default. */
function parameterOf(tree, key) {
  if (key in tree.given) return tree.given[key];
  return FAMILIES[tree.family].find(([name]) => name === key)[2];
}

/** Make the density of a tree. */
function densityOfTree(tree) {
  if (!MAKERS[tree.family]) {
    refuse(`the page does not know ${tree.family}; the command does: qerror sweep --dist ${tree.family}`);
  }
  const given = {};
  for (const [key, kind] of FAMILIES[tree.family]) {
    const value = parameterOf(tree, key);
    if (kind === "density") given[key] = densityOfTree(value);
    else if (kind === "densities") given[key] = value.map(densityOfTree);
    else given[key] = value;
    if (["mean", "std", "loc", "scale", "low", "high"].includes(key)) sized(key, value);
  }
  return MAKERS[tree.family](given);
}

/** The text of a tree, as qerror reads it; parameters at their defaults are left out. */
function textOfTree(tree) {
  if (tree.family === "mixture") {
    const { components, weights } = tree.given;
    return `mixture(${components.map((part, i) =>
      `${shortest(weights[i])}*${textOfTree(part)}`).join(", ")})`;
  }
  const parts = [];
  for (const [key, kind, standard] of FAMILIES[tree.family]) {
    const value = parameterOf(tree, key);
    if (kind === "density") parts.push(textOfTree(value));
    else if (Array.isArray(value)) parts.push(`${key}=[${value.map(shortest).join(", ")}]`);
    else if (value !== null && value !== standard) parts.push(`${key}=${shortest(value)}`);
  }
  return parts.length ? `${tree.family}(${parts.join(", ")})` : tree.family;
}
