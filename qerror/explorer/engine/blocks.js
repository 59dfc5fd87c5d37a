// Block-scaled formats: n values share a scale that follows from their largest magnitude M.
//
// With F the distribution function of |X| and s_j the scale while a <= M < b,
//
//   E[phi(X_1)] = sum_j (F(b)^(n-1) - F(a)^(n-1)) A_j + F(b)^(n-1) B_j,
//
// A_j the integral of phi at scale s_j over |x| < a and B_j that over a <= |x| < b. A scale that
// is proportional to M leaves an integral over M, and a sum over point masses. No term is negative
// for phi = e^2.

const BLOCK_OPTIONS = [
  "n", "channel", "floor", "ceil", "rceil", "even", "theta", "scale", "tensor", "of", "smallest",
  "divisor", "alpha", "affine", "4over6",
];
const POWER_RULES = ["floor", "ceil", "rceil", "even"];
const MOST_MASSES = 64; // point masses beside a continuous part
const MOST_WORK = 1.2e6; // scales times levels: a second or two
const ELSEWHERE = "the page does not compute blocks with affine scales, four-over-six or a tensor "
  + "scale from the data; the command does: qerror error FORMAT --dist DENSITY";

/** Read options of blocks after the name of any scalar format: int4:g32. */
function blockOf(element, options) {
  const description = { kind: "block", element, rule: { kind: "absmax", alpha: 1 }, size: null };
  return blockWithOptions(description, options);
}

function blockWithOptions(description, options) {
  const rest = { ...options };
  let { size } = description;
  const changed = { ...description };
  if (Object.keys(options).length) delete changed.name;
  if ("n" in rest && "channel" in rest) refuse("gN and channel=N each set the block size");
  for (const key of ["n", "channel"]) {
    if (key in rest) size = integerIn("the block size", Number(rest[key] || NaN), 1, 2 ** 53);
    delete rest[key];
  }
  if (size === null) {
    refuse("these options share scales, but between how many values? Give a block size: int4:g32");
  }
  const keys = Object.keys(rest);
  let { rule } = changed;
  if (keys.some((key) => ["affine", "4over6", "of"].includes(key))) refuse(ELSEWHERE);
  const powers = keys.filter((key) => POWER_RULES.includes(key) || key === "theta");
  if (powers.length) {
    if (keys.length > 1) refuse(`one rule sets the scale, got ${keys.join(" and ")}`);
    const [key] = powers;
    if (key !== "theta" && rest[key]) refuse(`${key} takes no value`);
    const theta = key === "theta" ? positive("theta", realOf("theta", rest.theta)) : key;
    rule = { kind: "power-of-two", rule: theta };
  } else if (keys.length) {
    if ("scale" in rest && rule.kind !== "stored") {
      rule = { kind: "stored", tensor: 1, smallest: null, divisor: rule.divisor ?? null };
    }
    const takes = { stored: ["scale", "tensor", "smallest", "divisor"], absmax: ["alpha", "divisor"] };
    rule = { ...rule };
    for (const key of keys) {
      if (!(takes[rule.kind] || []).includes(key)) {
        refuse(`"${key}" does not go with this block format's scale`);
      }
      if (key === "scale") rule.format = parseFormat(rest.scale.replaceAll("/", ":")).description;
      else rule[key] = positive(key, realOf(key, rest[key]));
    }
  }
  return { ...changed, rule, size };
}

/** Make a block format of its description. */
function blockFormat(description) {
  const { rule, size } = description;
  if (rule.kind === "command-line" || rule.tensor === null) refuse(ELSEWHERE);
  const element = formatOf(description.element);
  const scaleBits = rule.kind === "power-of-two" ? 8 : rule.kind === "absmax" ? 16
    : formatOf(rule.format).bits;
  if (!(element.grid.max > 0)) refuse(`${element.name} has no positive level`);
  if (rule.kind === "power-of-two") thetaOf(rule, element);
  const name = description.name || `${element.name}:g${size}`;
  return {
    kind: "block", name, bits: element.bits + scaleBits / size, element, rule, size, bias: null,
    description,
  };
}

const largestOf = (element) => Math.max(-element.grid.min, element.grid.max);

/** The smallest M / s of a power-of-two rule. */
function thetaOf({ rule }, element) {
  const top = Math.floor(Math.log2(largestOf(element)));
  if (rule === "floor") return 2 ** top;
  if (rule === "ceil") return 2 ** (top - 1);
  if (rule === "rceil") return 0.5 * largestOf(element);
  if (rule !== "even") return rule;
  const { kind, mantissa, fraction } = element.description;
  if (!["float", "integer", "fixed"].includes(kind)) {
    refuse("the rule even needs elements with binary digits");
  }
  const digits = kind === "float" ? mantissa : top + (kind === "fixed" ? fraction : 0);
  return 2 ** top * (1 - 2 ** (-digits - 2));
}

/**
 * The scales of a rule and the maxima between which each holds: edges has one more entry, and
 * upward says whether a maximum on the edge below a scale takes it.
 */
function scaleSteps({ rule, element }) {
  const edges = [0];
  const scales = [];
  const upward = [true];
  if (rule.kind === "power-of-two") {
    const theta = thetaOf(rule, element);
    for (let k = -127; k <= 127; k++) {
      scales.push(2 ** k);
      if (k === -127) continue;
      edges.push(theta * 2 ** k);
      upward.push(!["ceil", "rceil"].includes(rule.rule));
    }
  } else {
    const { grid } = formatOf(rule.format);
    const levels = levelsOf(grid).filter((x) => x >= 0 && !(rule.smallest && x < rule.smallest));
    const unit = rule.divisor || largestOf(element);
    levels.forEach((level, i) => {
      scales.push(level * rule.tensor);
      if (!i) return;
      const cut = 0.5 * (levels[i - 1] + level);
      edges.push(cut * unit * rule.tensor);
      upward.push(nearestLevel(grid, cut, grid.factor) * grid.factor > cut);
    });
  }
  edges.push(Infinity);
  return { edges, scales, upward };
}

/** The errors of one value of a block. */
function blockErrors(format, density) {
  if (density.pieces.length && density.atoms.size > MOST_MASSES) {
    refuse(`${density.atoms.size} point masses beside a continuous part are too many for `
      + `${format.name} in this page; the command takes them: qerror error FORMAT --dist DENSITY`);
  }
  if (density.power === Infinity) {
    refuse(`E[x²] is infinite: the page leaves ${format.name} to the command, qerror error `
      + `${format.name.toLowerCase()} --dist DENSITY`);
  }
  const found = format.rule.kind === "absmax" ? absmaxErrors(format, density)
    : steppedErrors(format, density);
  found.mse = found.rounding + found.clippingLow + found.clippingHigh;
  return {
    ...found, clipping: found.clippingLow + found.clippingHigh, signalPower: density.power,
    signalMean: density.mean, sqnr: decibels(density.power, found.mse), scale: null,
    maxValue: null, bias: null,
  };
}

const NO_ERRORS = { rounding: 0, clippingLow: 0, clippingHigh: 0, meanError: 0, crossMoment: 0 };

function addScaled(total, part, factor) {
  for (const key of Object.keys(NO_ERRORS)) total[key] += factor * part[key];
}

/** Errors at one scale over low <= x <= high; a scale of 0 makes every value 0. */
function windowErrors(grid, density, scale, low, high) {
  if (!(high >= low)) return NO_ERRORS;
  if (scale > 0) return errorsAt(grid, density, scale, low, high);
  const found = { ...NO_ERRORS };
  const points = density.atoms.between(low, high);
  found.rounding += points.second;
  found.meanError -= points.first;
  found.crossMoment -= points.second;
  for (const part of density.pieces) {
    const { first, second } = pieceIntegrals(part, 0, low, high);
    found.rounding += second;
    found.meanError -= first;
    found.crossMoment -= second;
  }
  return found;
}

/** Errors over a <= |x| <= b. */
function shellErrors(grid, density, scale, a, b) {
  if (!(a > 0)) return windowErrors(grid, density, scale, -b, b);
  const total = { ...NO_ERRORS };
  addScaled(total, windowErrors(grid, density, scale, a, b), 1);
  addScaled(total, windowErrors(grid, density, scale, -b, -a), 1);
  return total;
}

/** P(a <= |X| <= b). */
function shellMass(density, a, b) {
  if (!(a > 0)) return massBetween(density, -b, b);
  return massBetween(density, a, b) + massBetween(density, -b, -a);
}

function steppedErrors(format, density) {
  const { element: { grid }, size: n } = format;
  const { edges, scales, upward } = scaleSteps(format);
  // Point masses on an edge belong to one side of it: the other begins at the next float.
  const lows = scales.map((_, j) => (upward[j] ? edges[j] : nextFloat(edges[j], 1)));
  const highs = scales.map((_, j) => (upward[j + 1] ? nextFloat(edges[j + 1], -1) : edges[j + 1]));
  highs[scales.length - 1] = Infinity;
  const shells = scales.map((_, j) => shellMass(density, lows[j], highs[j]));
  const total = { ...NO_ERRORS };
  const above = new Float64Array(shells.length + 1);
  for (let j = shells.length - 1; j >= 0; j--) above[j] = above[j + 1] + shells[j];
  let below = 0;
  const steps = shells.map((shell, j) => {
    below += shell;
    const upTo = below < 0.5 ? below : 1 - above[j + 1];
    const logUp = below < 0.5 ? Math.log(below) : Math.log1p(-above[j + 1]);
    const up = n > 1 ? Math.exp((n - 1) * logUp) : 1;
    const drop = Math.log1p(-Math.min(shell / upTo, 1));
    const grown = n > 1 ? up * -Math.expm1((n - 1) * drop) : j === 0 ? 1 : 0;
    const outer = Math.min(edges[j + 1], Math.max(2 * edges[j], scales[j]) || 1);
    return { j, up, grown, bound: (up * shell + grown) * outer * outer };
  }).filter((step) => step.up > 0);
  const most = Math.max(...steps.map((step) => step.bound));
  for (const { j, up, grown, bound } of steps) {
    if (!(bound > 1e-22 * most)) continue;
    if (grown > 0 && j) {
      addScaled(total, windowErrors(grid, density, scales[j], -highs[j - 1], highs[j - 1]), grown);
    }
    addScaled(total, shellErrors(grid, density, scales[j], lows[j], highs[j]), up);
  }
  return total;
}

const ABSMAX_NODES = 10;
const ABSMAX_PANELS = 12;

/** Integrate over the maximum: the other values below it first, then the maximum itself. */
function absmaxErrors(format, density) {
  const { element: { grid }, rule, size: n } = format;
  const gain = (rule.alpha || 1) / (rule.divisor || largestOf(format.element));
  const ends = [1 / gain, -1 / gain].map((x) => {
    const error = nearestLevel(grid, x, grid.factor) * grid.factor - x;
    return Math.abs(error) <= 4e-16 * Math.abs(x) ? 0 : error * gain;
  });
  const places = [1 / gain > grid.max ? "clippingHigh" : "rounding",
    -1 / gain < grid.min ? "clippingLow" : "rounding"];
  const within = (sum) => { // what the rounding of gain * m leaves beyond a level at m is no clipping
    ["clippingHigh", "clippingLow"].forEach((name, i) => {
      if (ends[i] === 0) [sum.rounding, sum[name]] = [sum.rounding + sum[name], 0];
    });
    return sum;
  };
  const at = (m) => {
    const outside = massBetween(density, m, Infinity) + massBetween(density, -Infinity, -m);
    const logF = outside < 0.5 ? Math.log1p(-outside) : Math.log(massBetween(density, -m, m));
    const found = { ...NO_ERRORS };
    const sides = [pdfOf(density, m), pdfOf(density, -m)];
    if (n > 1) {
      const others = (n - 1) * Math.exp((n - 2) * logF) * (sides[0] + sides[1]);
      if (others > 0) addScaled(found, within(errorsAt(grid, density, gain * m, -m, m)), others);
    }
    const own = n > 1 ? Math.exp((n - 1) * logF) : 1;
    sides.forEach((p, i) => {
      const error = ends[i] * m;
      found[places[i]] += own * p * error * error;
      found.meanError += own * p * error;
      found.crossMoment += own * p * error * (i ? -m : m);
    });
    return found;
  };
  const total = { ...NO_ERRORS };
  if (density.atoms.size) addAtPoints(format, density, gain, total);
  if (!density.pieces.length) return total;
  const rule10 = gaussLegendre(ABSMAX_NODES);
  const panel = (a, b) => {
    const sum = { ...NO_ERRORS };
    for (let i = 0; i < ABSMAX_NODES; i++) {
      addScaled(sum, at(a + (b - a) * rule10.nodes[i]), (b - a) * rule10.weights[i]);
    }
    return sum;
  };
  const square = (sum) => sum.rounding + sum.clippingLow + sum.clippingHigh;
  const edges = withKinks(maximumEdges(density, n), density, grid, gain);
  const first = edges.slice(1).map((b, i) => panel(edges[i], b));
  const scale = first.reduce((sum, part) => sum + square(part), 0);
  const refine = (a, b, whole, depth) => {
    const middle = 0.5 * (a + b);
    const [left, right] = [panel(a, middle), panel(middle, b)];
    const off = Math.abs(square(left) + square(right) - square(whole));
    if (off <= 1e-12 * scale || depth >= 10) {
      addScaled(total, left, 1);
      addScaled(total, right, 1);
    } else {
      refine(a, middle, left, depth + 1);
      refine(middle, b, right, depth + 1);
    }
  };
  first.forEach((part, i) => refine(edges[i], edges[i + 1], part, 0));
  return total;
}

/** Blocks whose largest magnitude is that of a point mass: a scale for each of them. */
function addAtPoints(format, density, gain, total) {
  const { element: { grid }, size: n } = format;
  const { atoms } = density;
  const magnitudes = [...new Set(Array.from(atoms.x, Math.abs))].filter((m) => m > 0);
  const work = Math.min(grid.size, atoms.size);
  const tooMuch = () => refuse(`${magnitudes.length.toLocaleString("en")} different values are too `
    + `many for ${format.name} in this page; the command takes them: qerror sweep --formats `
    + `${format.name.toLowerCase()} --data FILE`);
  if (magnitudes.length * work > 8 * MOST_WORK) tooMuch();
  const likely = magnitudes.map((m) => {
    const own = shellMass(density, m, m);
    const beyond = nextFloat(m, 1);
    const outside = massBetween(density, beyond, Infinity) + massBetween(density, -Infinity, -beyond);
    const logUp = Math.log1p(-Math.min(outside, 1));
    const drop = Math.log1p(-Math.min(own / (1 - outside), 1));
    const power = (k) => (k ? Math.exp(k * logUp) : 1);
    const growth = (k) => power(k) * -Math.expm1(k * drop);
    return { m, up: power(n - 1), grown: n > 1 ? growth(n - 1) : 0, share: growth(n) };
  }).filter(({ share }) => share > 1e-22);
  if (likely.length * work > MOST_WORK) tooMuch();
  for (const { m, up, grown } of likely) {
    const below = nextFloat(m, -1);
    if (grown > 0) addScaled(total, windowErrors(grid, density, gain * m, -below, below), grown);
    addScaled(total, shellErrors(grid, density, gain * m, m, m), up);
  }
}

/** Panels over where the largest of n magnitudes lies. */
function maximumEdges(density, n) {
  const reach = Math.max(...density.support.map(Math.abs));
  const tail = (m) => shellMass(density, m, Infinity);
  const solve = (good) => {
    let [low, high] = [Math.log(1e-12 * Math.sqrt(density.power)), Math.log(1e12)];
    high = Math.min(high + Math.log(Math.sqrt(density.power)), Math.log(reach));
    for (let i = 0; i < 60; i++) {
      const middle = 0.5 * (low + high);
      if (good(Math.exp(middle))) low = middle;
      else high = middle;
    }
    return Math.exp(high);
  };
  const heavy = density.pieces.some((part) => part.law.tailExponent && part.high === Infinity);
  const least = heavy ? 1e-30 : 1e-19;
  const bottom = n > 20 ? solve((m) => -(n - 1) * Math.log1p(-tail(m)) > 80) : 0;
  const top = Math.min(solve((m) => n * tail(m) > least), reach);
  // Below a fifth of the usual size there is little but for blocks of few values.
  const start = bottom > 0 ? bottom : Math.min(0.2 * Math.sqrt(density.power), 0.5 * top);
  const edges = bottom > 0 ? [] : [0];
  for (let i = 0; i <= ABSMAX_PANELS; i++) edges.push(start * (top / start) ** (i / ABSMAX_PANELS));
  return edges;
}

/** The edges, and the maxima at which a threshold or an end of the range crosses a kink. */
function withKinks(edges, density, grid, gain) {
  const marks = density.pieces.flatMap(({ law, loc, low, high }) =>
    [low, high, ...(law.kinkAtZero ? [loc] : [])].map(Math.abs))
    .concat(Array.from(density.atoms.x, Math.abs));
  const kinks = [...new Set(marks)].filter((x) => x > 0 && Number.isFinite(x));
  if (!kinks.length) return edges;
  const ratios = [1];
  if (grid.size <= 256) {
    const levels = levelsOf(grid).map((x) => x * gain);
    levels.forEach((x, i) => {
      if (i) ratios.push(Math.abs(0.5 * (x + levels[i - 1])));
    });
    ratios.push(Math.abs(levels[0]), Math.abs(levels[levels.length - 1]));
  }
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const found = kinks.flatMap((x) => ratios.filter((r) => r > 0).map((r) => x / r));
  const all = [...edges, ...found.filter((m) => m > low && m < high)].sort((a, b) => a - b);
  return all.filter((m, i) => !i || m > all[i - 1] * (1 + 1e-12));
}
