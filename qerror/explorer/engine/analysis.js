// The exact errors of rounding to a grid: e = Q(X) - X.
//
// Within the grid's range each run of equal steps is cut into zones. Where the step is small
// against the density the Euler-Maclaurin formula at half-integers gives a zone's errors,
// elsewhere each cell is integrated by itself; all integrands are positive. With
// b_m = B_2m(1/2) / (2m)!,
//
//   int e^2 p = D^2/12 P(A, E) - 2 sum_{m>=2} b_m D^2m [p^(2m-3)]
//   int e p   =                -   sum_{m>=1} b_m D^2m [p^(2m-2)]
//   int x e p =                -   sum_{m>=1} b_m D^2m [(x p)^(2m-2)].

const SERIES = [
  -1 / 24, 7 / 5760, -31 / 967680, 127 / 154828800, -73 / 3503554560,
  1414477 / 2678117105664000, -8191 / 612141052723200,
];
const FEW = 8; // cells next to a branch point at 0 that go one by one
const DERIVATIVES = new Float64Array(ORDER + 1);

/** The errors at a scale: rounding, clippingLow, clippingHigh, meanError, crossMoment. */
function errorsAt(grid, density, scale, low = -Infinity, high = Infinity) {
  const factor = grid.factor * scale;
  const lost = lostInProduct(grid.factor, scale, factor);
  const total = { rounding: 0, clippingLow: 0, clippingHigh: 0, meanError: 0, crossMoment: 0 };
  for (const part of density.pieces) addPiece(grid, factor, part, low, high, total);
  if (density.atoms.size) addPoints(grid, factor, lost, density.atoms, total, low, high);
  const mse = total.rounding + total.clippingLow + total.clippingHigh;
  if (mse === Infinity) total.crossMoment = -Infinity;
  total.mse = mse;
  return total;
}

/** All figures of a report, with the names of qerror's. */
function reportOf(format, density, scale) {
  const found = errorsAt(format.grid, density, scale);
  return {
    ...found,
    clipping: found.clippingLow + found.clippingHigh,
    signalPower: density.power,
    signalMean: density.mean,
    sqnr: decibels(density.power, found.mse),
    scale,
    maxValue: scale * format.grid.max,
    bias: format.bias === null ? null : format.bias - Math.log2(scale),
  };
}

function addPiece(grid, factor, part, from, to, total) {
  const { law, weight, loc, spread } = part;
  const low = Math.max(part.low, from);
  const high = Math.min(part.high, to);
  if (!(low < high)) return;
  const mirrored = grid.symmetric && loc === 0 && low === -high;
  const sums = { square: 0, mean: 0, cross: 0 };
  const context = { law, factor, loc, spread, low, high, centre: loc / spread, sums };
  // Beyond `spent` a law that is there with its centre has nothing of its error.
  context.end = low <= loc && loc <= high ? Math.min(law.spent, law.horizon) : law.horizon;
  for (let i = 0; i < grid.steps.length; i++) {
    addSegment(context, grid.edges[i], grid.steps[i], grid.counts[i], mirrored);
  }
  const unit = weight * spread * (mirrored ? 2 : 1);
  total.rounding += unit * spread * sums.square;
  if (!mirrored) total.meanError += unit * sums.mean;
  total.crossMoment += unit * spread * sums.cross;
  addTails(grid, context, weight, mirrored, total);
}

/** Add what lies beyond the outermost levels. */
function addTails(grid, context, weight, mirrored, total) {
  const { law, factor, loc, spread, low, high } = context;
  const tail = (level, from, to) => {
    const sums = { mass: 0, first: 0, second: 0 };
    if (to > from) {
      const q = (level - loc) / spread;
      addInterval(law, q, (from - level) / spread, (to - level) / spread, sums);
    }
    return sums;
  };
  const unit = weight * spread;
  const top = grid.edges[grid.edges.length - 1] * factor;
  const above = tail(top, Math.max(top, low), high);
  total.clippingHigh += unit * spread * above.second;
  if (mirrored) {
    total.clippingLow += unit * spread * above.second;
    total.crossMoment -= 2 * unit * spread * ((top / spread) * above.first + above.second);
    if (above.first === Infinity) total.meanError = NaN;
    return;
  }
  const bottom = grid.edges[0] * factor;
  const below = tail(bottom, low, Math.min(bottom, high));
  total.clippingLow += unit * spread * below.second;
  total.meanError -= unit * (above.first + below.first);
  total.crossMoment -= unit * spread
    * ((top / spread) * above.first + (bottom / spread) * below.first
      + above.second + below.second);
}

/** Add one segment: cut at the law's centre and at the limits. */
function addSegment(context, start, step, count, mirrored) {
  const { law, factor, loc, spread, low, high, sums } = context;
  const h = (factor * step) / spread;
  let from = 0;
  if (mirrored) {
    if (start + count * step <= 0) return;
    if (start < 0) {
      // The middle: its upper half. Zero is a level, or halfway between two.
      from = Math.ceil(count / 2);
      if (count % 2) addCell(context, start + from * step, -0.5 * h, 0);
    }
  }
  const x = (k) => factor * (start + k * step);
  if (x(from) >= high || x(count) <= low) return;
  const outermost = Math.max(Math.abs(x(from)), Math.abs(x(count)));
  if (loc === 0 && outermost <= law.flatWidth * spread && x(from) > low && x(count) < high) {
    // A floating-point grid has most of its binades where the density is constant.
    const square = h * h * h * (count - from) * law.pdf(0);
    sums.square += square / 12;
    sums.cross += square / 24;
    return;
  }
  const cuts = [];
  for (const cut of [loc, low, high]) {
    const t = (cut / factor - start) / step;
    if (t > from && t < count) cuts.push(t);
  }
  cuts.sort((a, b) => a - b);
  let begin = from;
  for (const t of cuts) {
    if (t <= begin) continue;
    const k = Math.round(t);
    const exact = Math.abs(t - k) <= 1e-15 * Math.max(1, k);
    const stop = exact ? k : Math.floor(t);
    addRun(context, start, step, begin, stop);
    begin = stop;
    if (!exact) {
      addCell(context, start + stop * step, 0, 0.5 * h);
      addCell(context, start + (stop + 1) * step, -0.5 * h, 0);
      begin = stop + 1;
    }
  }
  addRun(context, start, step, begin, count);
}

/** Add part of a level's cell, offsets a..b from it in units of the spread, within the limits. */
function addCell(context, level, a, b) {
  const { law, factor, loc, spread, low, high, sums } = context;
  const x = factor * level;
  const q = (x - loc) / spread;
  const local = { mass: 0, first: 0, second: 0 };
  addInterval(law, q, Math.max(a, (low - x) / spread), Math.min(b, (high - x) / spread), local);
  sums.square += local.second;
  sums.mean -= local.first;
  sums.cross -= (x / spread) * local.first + local.second;
}

/** Add the levels i..j of a run on one side of the centre; the outer two have half a cell. */
function addRun(context, start, step, i, j) {
  if (j <= i) return;
  const { law, factor, loc, spread, low, high, centre, end } = context;
  const [first, last] = [factor * (start + i * step), factor * (start + j * step)];
  const middle = 0.5 * (first + last);
  if (middle <= low || middle >= high) return;
  const sign = middle < loc ? -1 : 1;
  const h = (factor * step) / spread;
  const nearest = sign > 0 ? (first - loc) / spread : (loc - last) / spread;
  const z0 = Math.max(nearest, 0);
  if (!(h > 0) || z0 >= end) return;
  const n = Math.min(j - i, Math.ceil((end - z0) / h));
  let k = 0;
  let smoothBefore = false;
  while (k < n) {
    const z = z0 + k * h;
    const near = law.branchAtZero ? Math.max(z, FEW * h) : z;
    const edge = near + law.panelWidth(near);
    const next = Math.min(n, Math.max(k + 1, Math.floor((edge - z0) / h)));
    const outer = z0 + next * h;
    const smooth = h <= law.smoothStep(z) && h <= law.smoothStep(outer);
    if (smooth) {
      if (!smoothBefore) addEnd(context, z, h, sign, -1, centre);
      addSmooth(context, z, (next - k) * h, h);
    } else {
      if (smoothBefore) addEnd(context, z, h, sign, 1, centre);
      for (let m = k; m <= next; m++) {
        const q = z0 + m * h;
        const local = { mass: 0, first: 0, second: 0 };
        addInterval(law, q, m > k ? -0.5 * h : 0, m < next ? 0.5 * h : 0, local);
        context.sums.square += local.second;
        context.sums.mean -= sign * local.first;
        context.sums.cross -= (q + sign * centre) * local.first + local.second;
      }
    }
    smoothBefore = smooth;
    k = next;
  }
  if (smoothBefore) addEnd(context, z0 + n * h, h, sign, 1, centre);
}

/** Add D^2/12 times the probability of a zone. */
function addSmooth({ law, sums }, inner, width, h) {
  let shape = 0;
  const { nodes, weights } = RULE_16;
  for (let i = 0; i < 16; i++) {
    shape += weights[i] * Math.exp(law.logRatio(inner, width * nodes[i]));
  }
  sums.square += ((h * h) / 12) * law.pdf(inner) * width * shape;
}

/** Add the derivative terms at one end of a stretch of smooth zones. */
function addEnd({ law, sums }, z, h, sign, side, centre) {
  const x = z + sign * centre;
  law.derivatives(z, h, DERIVATIVES);
  let square = 0;
  let mean = 0;
  let cross = 0;
  for (let m = 0; m < SERIES.length; m++) {
    const b = SERIES[m];
    const k = 2 * m;
    mean -= b * DERIVATIVES[k];
    cross -= b * (x * DERIVATIVES[k] + (k ? k * h * DERIVATIVES[k - 1] : 0));
    if (m) square -= 2 * b * DERIVATIVES[k - 1];
  }
  const scale = side * h * h;
  sums.square += scale * h * square;
  sums.mean += sign * scale * mean;
  sums.cross += scale * cross;
}

/** Add the point masses: one by one, or cell by cell where there are more points than cells. */
function addPoints(grid, factor, lost, atoms, total, low, high) {
  const { x, w, unit } = atoms;
  const first = countBelow(x, low);
  const last = countBelow(x, high, true);
  const [bottom, top] = [grid.edges[0] * factor, grid.edges[grid.edges.length - 1] * factor];
  const enter = (level, from, to) => {
    const { first: off, second } = atoms.about(level, from, to);
    total.meanError -= off;
    total.crossMoment -= level * off + second;
    return second;
  };
  const start = Math.max(first, countQuotients(x, factor, grid.edges[0], false));
  const stop = Math.min(last, countQuotients(x, factor, grid.edges[grid.edges.length - 1], true));
  total.clippingLow += enter(bottom, first, Math.min(start, last));
  total.clippingHigh += enter(top, Math.max(stop, first), last);
  if (stop - start <= 4 * grid.size) {
    for (let i = start; i < stop; i++) {
      // Errors far below the last place of x need the rest of the product.
      const level = nearestLevel(grid, x[i], factor);
      const value = level * factor;
      const error = value - x[i] + (lostInProduct(level, factor, value) + level * lost);
      const share = w[i] / unit;
      total.rounding += share * error * error;
      total.meanError += share * error;
      total.crossMoment += share * x[i] * error;
    }
    return;
  }
  let from = start;
  for (let i = 0; i < grid.steps.length && from < stop; i++) {
    for (let k = 0; k < grid.counts[i] && from < stop; k++) {
      const level = grid.edges[i] + k * grid.steps[i];
      const evenLow = ((grid.parity[i] + k) % 2 === 0) === grid.evenFirst;
      const cut = level + 0.5 * grid.steps[i];
      const to = countQuotients(x, factor, cut, evenLow, from, stop);
      if (to > from) total.rounding += enter(level * factor, from, to);
      from = to;
    }
  }
  if (from < stop) total.rounding += enter(top, from, stop);
}

/** How many of the ascending x have a quotient with the factor below `base`, or equal to it. */
function countQuotients(x, factor, base, through, low = 0, high = x.length) {
  const isBelow = (value) => value / factor < base || (through && value / factor === base);
  let found = countBelow(x, base * factor, through, low, high);
  while (found < high && isBelow(x[found])) found += 1;
  while (found > low && !isBelow(x[found - 1])) found -= 1;
  return found;
}
