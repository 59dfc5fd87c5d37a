// What no quantizer can beat: the best levels (Lloyd 1957, Max 1960) and Shannon's bound.

const CURVE_POINTS = 4001;

/** Points that cover a density on all scales, x = centre + size sinh(u), and the weights du dx/du. */
function coveringPoints(density, count = CURVE_POINTS) {
  const centre = Number.isFinite(density.mean) ? density.mean : density.pieces[0].loc;
  const size = Math.min(...density.pieces.map((part) => part.spread)) / 2;
  const ends = density.support.map((end) => Math.abs(end - centre));
  const far = Math.min(Math.max(...ends), Math.max(...density.pieces.map((part) =>
    Math.abs(part.loc - centre) + part.spread * Math.min(part.law.horizon, 1e9))));
  const most = Math.asinh(Math.min(far, 1e12 * size) / size);
  const points = [];
  for (let i = 0; i < count; i++) {
    const u = most * ((2 * i) / (count - 1) - 1);
    const x = centre + size * Math.sinh(u);
    if (x < density.support[0] || x > density.support[1]) continue;
    points.push({ x, weight: ((2 * most) / (count - 1)) * size * Math.cosh(u) });
  }
  return points;
}

/** -int p ln p in nats, to drawing accuracy; null with point masses. */
function differentialEntropy(density) {
  if (density.atoms.size || !density.pieces.length) return null;
  if (density.pieces.length === 1 && isWhole(density.pieces[0])) {
    const { law, spread } = density.pieces[0];
    if (law.entropy !== null && law.entropy !== undefined) return law.entropy + Math.log(spread);
  }
  let total = 0;
  for (const { x, weight } of coveringPoints(density)) {
    const p = pdfOf(density, x);
    if (p > 0 && Number.isFinite(p)) total -= weight * p * Math.log(p);
  }
  return total;
}

/** The SQNR in dB that no code of so many bits a value exceeds (Shannon's lower bound). */
function shannonBound(density, bits, entropy = differentialEntropy(density)) {
  if (entropy === null || !Number.isFinite(density.power)) return NaN;
  const least = (Math.exp(2 * entropy) / (2 * Math.PI * Math.E)) * 4 ** -bits;
  return decibels(density.power, least);
}

/** Levels spread as p^(1/3), where Newton's method starts (Panter and Dite 1951). */
function compandedLevels(density, count, shift) {
  const points = coveringPoints(density);
  const sums = new Float64Array(points.length + 1);
  points.forEach(({ x, weight }, i) => {
    const p = Math.cbrt(pdfOf(density, x));
    sums[i + 1] = sums[i] + (Number.isFinite(p) ? weight * p : 0);
  });
  const total = sums[points.length];
  return Array.from({ length: count }, (_, k) => {
    const wanted = ((k + 0.5 + shift) / count) * total;
    const i = Math.min(Math.max(countBelow(sums, wanted) - 1, 0), points.length - 2);
    const share = (wanted - sums[i]) / (sums[i + 1] - sums[i] || 1);
    const before = i ? points[i - 1].x : points[0].x;
    return before + share * (points[i].x - before);
  });
}

/** The best levels of a continuous density and their MSE; null where none were found. */
function lloydMax(density, count) {
  if (density.atoms.size || !density.pieces.length || !Number.isFinite(density.power)) return null;
  // About a peak an odd number of levels on one side may be better than the same on both.
  const starts = count > 2 ? [0, 0.4] : [0];
  const found = starts.map((shift) => settledLevels(density, compandedLevels(density, count, shift)));
  return found.reduce((a, b) => (!b || (a && a.mse <= b.mse) ? a : b));
}

/** Newton's method, its steps shortened where they would go up, and Lloyd's where they do. */
function settledLevels(density, start) {
  let levels = start;
  const ascends = (list) => list.every((q, i) => Number.isFinite(q) && (!i || q > list[i - 1]));
  if (!ascends(levels)) return null;
  let state = cellsOf(density, levels);
  const gainOf = ({ mass, first }) =>
    mass.reduce((sum, m, i) => sum + (m > 0 ? first[i] ** 2 / m : 0), 0);
  for (let step = 0; step < 300 && gainOf(state) > 1e-15 * state.mse; step++) {
    const newton = newtonStep(density, levels, state);
    const lloyd = state.mass.map((m, i) => (m > 0 ? state.first[i] / m : 0));
    const moves = [[newton, 1], [newton, 0.5], [newton, 0.2], [lloyd, 1]];
    const accepted = moves.some(([move, share]) => {
      const moved = levels.map((q, i) => q + share * move[i]);
      if (!ascends(moved)) return false;
      const next = cellsOf(density, moved);
      if (!(next.mse <= state.mse * (1 + 1e-14))) return false;
      [levels, state] = [moved, next];
      return true;
    });
    if (!accepted) break;
  }
  return gainOf(state) <= 1e-9 * state.mse ? { levels, mse: state.mse } : null;
}

function cellsOf(density, levels) {
  const mass = [];
  const first = [];
  let mse = 0;
  levels.forEach((q, i) => {
    const low = i ? 0.5 * (levels[i - 1] + q) : -Infinity;
    const high = i + 1 < levels.length ? 0.5 * (q + levels[i + 1]) : Infinity;
    let [m, f] = [0, 0];
    for (const part of density.pieces) {
      const found = pieceIntegrals(part, q, low, high);
      m += found.mass;
      f += found.first;
      mse += found.second;
    }
    mass.push(m);
    first.push(f);
  });
  return { mass, first, mse };
}

/** Newton's step on the MSE: its Hessian is tridiagonal. */
function newtonStep(density, levels, { mass, first }) {
  const n = levels.length;
  const joint = levels.slice(1).map((q, i) => {
    const half = 0.5 * (q - levels[i]);
    return half * pdfOf(density, levels[i] + half);
  });
  const diagonal = mass.map((m, i) => 2 * m - (joint[i - 1] || 0) - (joint[i] || 0));
  const right = first.map((f) => 2 * f);
  for (let i = 1; i < n; i++) {
    const factor = -joint[i - 1] / diagonal[i - 1];
    diagonal[i] += factor * joint[i - 1];
    right[i] -= factor * right[i - 1];
  }
  for (let i = n - 1; i >= 0; i--) {
    right[i] = (right[i] + (i + 1 < n ? joint[i] * right[i + 1] : 0)) / diagonal[i];
  }
  return right;
}
