// Messages, Gauss-Legendre rules, the gamma function, and sums in two floats.

class Refusal extends Error {}

/** Stop with a message that is meant for the reader of the page. */
function refuse(message) {
  throw new Refusal(message);
}

/** Write a number so that it reads back as the same float64, as Python would. */
function shortest(value) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return String(Object.is(value, -0) ? 0 : value).replace("e+", "e");
}

const FLOAT_BITS = new DataView(new ArrayBuffer(8));

/** The float64 next to a positive one, above it for a direction of 1, below for -1. */
function nextFloat(value, direction) {
  if (!Number.isFinite(value)) return value;
  FLOAT_BITS.setFloat64(0, value);
  FLOAT_BITS.setBigInt64(0, FLOAT_BITS.getBigInt64(0) + BigInt(direction));
  return FLOAT_BITS.getFloat64(0);
}

const RULES = new Map();

/** Nodes and weights on [0, 1] of the Gauss-Legendre rule with `count` nodes. */
function gaussLegendre(count) {
  const known = RULES.get(count);
  if (known) return known;
  const nodes = new Float64Array(count);
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let step = 0; step < 50; step++) {
      let before = 1;
      let value = x;
      for (let k = 2; k <= count; k++) {
        [before, value] = [value, ((2 * k - 1) * x * value - (k - 1) * before) / k];
      }
      slope = (count * (x * value - before)) / (x * x - 1);
      const move = value / slope;
      x -= move;
      if (Math.abs(move) < 1e-16) break;
    }
    nodes[count - 1 - i] = 0.5 * (1 + x);
    weights[count - 1 - i] = 1 / ((1 - x * x) * slope * slope);
  }
  const rule = { nodes, weights, count };
  RULES.set(count, rule);
  return rule;
}

const RULE_4 = gaussLegendre(4);
const RULE_6 = gaussLegendre(6);
const RULE_8 = gaussLegendre(8);
const RULE_12 = gaussLegendre(12);
const RULE_16 = gaussLegendre(16);

/** The rule that reaches 1e-16 on this share of the panel on which 12 nodes do. */
function ruleFor(share) {
  if (share <= 0.005) return RULE_4;
  if (share <= 0.06) return RULE_6;
  return share <= 0.2 ? RULE_8 : RULE_12;
}

// Stirling's series, DLMF 5.11.1: B_2k / (2k (2k - 1)).
const STIRLING = [
  1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400,
];

/** ln Gamma(x) for x > 0. */
function logGamma(x) {
  let shift = 0;
  let product = 1;
  while (x < 15) {
    product *= x;
    if (product > 1e200) {
      shift -= Math.log(product);
      product = 1;
    }
    x += 1;
  }
  let series = 0;
  for (let k = STIRLING.length - 1; k >= 0; k--) series = STIRLING[k] + series / (x * x);
  const main = (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series / x;
  return main + shift - Math.log(product);
}

/** Gamma(x) for 0 < x < 170. */
function gamma(x) {
  let product = 1;
  while (x < 15) {
    product *= x;
    x += 1;
  }
  return Math.exp(logGamma(x)) / product;
}

// ln Gamma(x + 1/2) - ln Gamma(x) - ln(x) / 2 = -sum c_k x^(1 - 2k), DLMF 5.11.8.
const HALF_RATIO = [1 / 8, -1 / 192, 1 / 640, -17 / 14336, 31 / 18432, -691 / 180224];

/** Gamma(x + 1/2) / (Gamma(x) sqrt(x)) for x > 0. */
function gammaHalfRatio(x) {
  let shift = 1;
  const start = x;
  while (x < 20) {
    shift *= x / (x + 0.5);
    x += 1;
  }
  let series = 0;
  HALF_RATIO.forEach((c, k) => (series += c * x ** (-1 - 2 * k)));
  return shift * Math.exp(-series) * Math.sqrt(x / start);
}

const SPLITTER = 134217729; // 2^27 + 1, Veltkamp's

/** The rounding error of the product a b, whose rounded value is `product` (Dekker 1971). */
function lostInProduct(a, b, product) {
  const ca = SPLITTER * a;
  const cb = SPLITTER * b;
  const ah = ca - (ca - a);
  const bh = cb - (cb - b);
  const al = a - ah;
  const bl = b - bh;
  return ah * bh - product + ah * bl + al * bh + al * bl;
}

/** The rounding error of the sum a + b, whose rounded value is `sum` (Knuth 1969). */
function lostInSum(a, b, sum) {
  const shadow = sum - a;
  return a - (sum - shadow) + (b - shadow);
}

/** 10 log10(signal / error), nan where either is not finite or there is no signal. */
function decibels(signal, error) {
  if (!Number.isFinite(signal) || !Number.isFinite(error) || !(signal > 0)) return NaN;
  return error > 0 ? 10 * (Math.log10(signal) - Math.log10(error)) : Infinity;
}

/** How many entries of an ascending array lie below x; with `through`, up to x. */
function countBelow(array, x, through = false, low = 0, high = array.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] < x || (through && array[middle] === x)) low = middle + 1;
    else high = middle;
  }
  return low;
}
