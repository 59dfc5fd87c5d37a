// The best range of a format: a scan of the exact MSE with its exact slope, roots refined.
//
// dMSE/ds = (2 / s) E[Q e], so that minima are where the cross moment is -MSE.

const PER_OCTAVE = 16;
const RIPPLED = 64; // scales per octave where the MSE ripples: jumps, point masses, far centres
const REFINED = 12; // minima
const TIE = 1e-13;
const ROUNDED = 1e-28; // of E[x^2]: what is left of an error that is 0
const WIDEST = 28; // octaves

/** The median of |X|, X not 0, within an octave. */
function typicalSize(density) {
  const widest = Number.isFinite(density.power) ? Math.sqrt(density.power) : 1;
  if (widest === 0) return 1;
  const atZero = density.atoms.between(0, 0).weight;
  const enough = 0.5 * (1 - atZero) * (1 - 1e-9);
  let size = 2 * widest;
  while (size / 2 > 1e-300 && massBetween(density, -size / 2, size / 2) - atZero >= enough) {
    size /= 2;
    if (widest / size > 2 ** 400) break;
  }
  return size;
}

/** The largest values between which the optimum is searched. */
function searchInterval(format, density) {
  const { grid } = format;
  const size = typicalSize(density);
  const low = (size / 8) * Math.min(grid.max / Math.max(grid.max, -grid.min), 1);
  const left = grid.min < 0 ? Math.min(-grid.min / grid.max, 1) : 0;
  const [a, b] = density.support;
  let reach;
  if (Number.isFinite(a) && Number.isFinite(b)) {
    reach = 2 * Math.max(size, b, left ? -a / left : 0);
  } else {
    const most = Math.ceil(Math.log2(Math.max(size, Math.sqrt(density.power)) / size)) + WIDEST;
    reach = size;
    for (let octave = 0; octave < most; octave++) {
      reach = size * 2 ** octave;
      if (clippedBeyond(density, reach, reach * left) <= 1e-32 * density.power) break;
    }
    reach *= 2;
  }
  if (format.kind === "codebook") {
    const sizes = levelsOf(grid).map(Math.abs).filter((x) => x > 0);
    reach *= Math.min(Math.max(...sizes) / Math.min(...sizes), 4096);
  }
  return [Math.max(low, 1e-150), Math.min(Math.max(reach, 16 * low), 1e150)];
}

/** E[(|x| - c)^2] beyond `above` on the right and `below` on the left (0: nowhere). */
function clippedBeyond(density, above, below) {
  let total = density.atoms.between(above, Infinity, above).second;
  if (below > 0) total += density.atoms.between(-Infinity, -below, -below).second;
  for (const part of density.pieces) {
    total += pieceIntegrals(part, above, above).second;
    if (below > 0) total += pieceIntegrals(part, -below, -Infinity, -below).second;
  }
  return total;
}

/** E[x^2; |x| <= r]: what rounding all of it to 0 costs. */
function lostWithin(density, radius) {
  let total = density.atoms.between(-radius, radius).second;
  for (const part of density.pieces) total += pieceIntegrals(part, 0, -radius, radius).second;
  return total;
}

const hasRipples = (density) => density.atoms.size > 0 || density.pieces.some((part) =>
  part.loc !== 0 || (part.low > -Infinity && part.low !== 0)
  || (part.high < Infinity && part.high !== 0));

/** A point of the curve: the errors at one scale, and half the slope of ln MSE over ln s. */
function pointAt(format, density, scale) {
  const found = errorsAt(format.grid, density, scale);
  found.scale = scale;
  found.maxValue = scale * format.grid.max;
  found.rise = found.mse > 0 ? (found.crossMoment + found.mse) / found.mse : 0;
  return found;
}

function logSpaced(low, high, count) {
  const step = Math.log(high / low) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? high : low * Math.exp(i * step)));
}

/** The scales between which the MSE can come within 6 dB of its least value. */
function promising(format, density, [low, high]) {
  const top = format.grid.max;
  const count = Math.max(3, Math.ceil(2 * Math.log2(high / low)) + 1);
  const points = logSpaced(low / top, high / top, count).map((s) => pointAt(format, density, s));
  const enough = 4 * Math.min(...points.map((point) => point.mse));
  const first = points.findIndex((point) => point.clippingLow + point.clippingHigh <= enough);
  const dead = deadZone(format.grid);
  let last = count - 1;
  while (last > 0 && dead > 0 && lostWithin(density, points[last].scale * dead) > enough) last -= 1;
  return [points[Math.max(first - 1, 0)].scale, points[Math.min(last + 1, count - 1)].scale];
}

/** How far around 0 everything is rounded to 0 at scale 1. */
function deadZone(grid) {
  if (nearestLevel(grid, 0, grid.factor) !== 0) return 0;
  let least = Infinity;
  grid.steps.forEach((step, i) => {
    if (grid.edges[i] <= 0 && grid.edges[i + 1] >= 0) least = Math.min(least, step);
  });
  return least === Infinity ? 0 : 0.5 * least * grid.factor;
}

/** The curve of the MSE over the range and its best point; `undefinedPower` where E[x^2] = inf. */
function optimum(format, density, perOctave = PER_OCTAVE) {
  if (!(format.grid.max > 0)) refuse(`${format.name} has no positive level to scale`);
  if (format.grid.size < 2) {
    refuse(`${format.name} has one level: the smaller its range, the better; give it more levels`);
  }
  if (format.grid.max < 1e-140) {
    refuse(`${format.name} has levels so small that scales leave float64; choose others`);
  }
  if (!Number.isFinite(density.power)) return { undefinedPower: true, curve: [], minima: [] };
  const interval = searchInterval(format, density);
  if (format.powersOfTwo) return optimumOfOctaves(format, density, interval);
  const [low, high] = promising(format, density, interval);
  const fine = density.sample ? samplesPerOctave(density) : hasRipples(density) ? RIPPLED : perOctave;
  const octaves = Math.log2(high / low);
  const count = Math.max(3, Math.ceil(octaves * fine) + 1);
  const curve = logSpaced(low, high, count).map((scale) => pointAt(format, density, scale));
  let points = curve;
  if (jumps(density)) {
    points = [...curve, ...rippledPoints(format, density, curve)].sort((a, b) => a.scale - b.scale);
  }
  const brackets = [];
  for (let i = 0; i + 1 < points.length; i++) {
    const [a, b] = [points[i], points[i + 1]];
    if (density.pieces.length ? a.rise < 0 && b.rise >= 0
      : i > 0 && a.mse <= points[i - 1].mse && a.mse <= b.mse) {
      brackets.push([a, b, Math.min(a.mse, b.mse)]);
    }
  }
  brackets.sort((p, q) => p[2] - q[2]);
  const refine = density.pieces.length ? rootOfSlope : settled;
  const minima = brackets.slice(0, REFINED).map(([a, b]) => refine(format, density, a, b));
  if (!density.pieces.length) minima.push(...exactOctave(format, density, minima));
  const ends = [curve[0], curve[count - 1]].sort((a, b) => a.mse - b.mse);
  const least = Math.min(ends[0].mse, ...minima.map((point) => point.mse));
  const tied = minima.filter((point) => point.mse <= least * (1 + TIE));
  tied.sort((a, b) => a.scale - b.scale);
  const best = tied.length ? tied[0] : ends[0];
  minima.sort((a, b) => a.scale - b.scale);
  return { best, minima, curve, atEdge: !tied.length };
}

/** Tell whether the density has point masses or jumps away from 0. */
const jumps = (density) => density.atoms.size > 0 || density.pieces.some((part) =>
  [part.low, part.high].some((end) => Number.isFinite(end) && end !== 0));

const samplesPerOctave = (density) => (density.atoms.size > 20000 ? 24 : RIPPLED);

/** Try every power-of-two scale of fixed point. */
function optimumOfOctaves(format, density, [low, high]) {
  const top = format.grid.max;
  const curve = [];
  for (let k = Math.ceil(Math.log2(low / top)); k <= Math.floor(Math.log2(high / top)); k++) {
    curve.push(pointAt(format, density, 2 ** k));
  }
  if (!curve.length) refuse(`no power of two scales ${format.name} to these data`);
  const best = curve.reduce((a, b) => (b.mse < a.mse ? b : a));
  const atEdge = best === curve[0] || best === curve[curve.length - 1];
  return { best, minima: atEdge ? [] : [best], curve, atEdge, octaves: true };
}

/** The root of the slope between two points, by regula falsi (Illinois) in ln s. */
function rootOfSlope(format, density, a, b) {
  let [left, right] = [a, b];
  let [f, g] = [a.rise * a.mse, b.rise * b.mse];
  let best = a.mse <= b.mse ? a : b;
  let side = 0;
  for (let step = 0; step < 60; step++) {
    const [u, v] = [Math.log(left.scale), Math.log(right.scale)];
    if (v - u < 1e-13 * Math.max(1, Math.abs(u))) break;
    let at = (u * g - v * f) / (g - f);
    if (!(at > u && at < v)) at = 0.5 * (u + v);
    const point = pointAt(format, density, Math.exp(at));
    if (point.mse <= best.mse) best = point;
    const value = point.rise * point.mse;
    if (Math.abs(point.rise) < 1e-10 || value === 0) break;
    if (value < 0) {
      [left, f] = [point, value];
      if (side === -1) g /= 2;
      side = -1;
    } else {
      [right, g] = [point, value];
      if (side === 1) f /= 2;
      side = 1;
    }
  }
  return best;
}

/** Settle on the parabola of a sample: while no value changes its level, the best scale is
 * E[x g] / E[g^2] with g the levels at scale 1; each step lowers the MSE. */
function settled(format, density, start) {
  let best = start;
  for (let step = 0; step < 100; step++) {
    const { scale, crossMoment, mse } = best;
    const square = density.power + 2 * crossMoment + mse;
    const next = (scale * (density.power + crossMoment)) / square;
    if (!(next > 0) || !Number.isFinite(next) || next === scale) break;
    const point = pointAt(format, density, next);
    if (!(point.mse < mse)) break;
    best = point;
  }
  return best;
}

/** The smallest power of two that loses nothing at all, where others lose only their rounding. */
function exactOctave(format, density, minima) {
  if (!minima.some((point) => point.mse <= ROUNDED * density.power)) return [];
  const reach = Math.max(...density.support.map(Math.abs));
  const first = Math.ceil(Math.log2(reach / format.grid.max));
  for (let k = first; k < first + 64; k++) {
    const point = pointAt(format, density, 2 ** k);
    if (point.mse === 0) return [point];
  }
  return [];
}

/** More scales about the best ones, where jumps and point masses make the MSE ripple. */
function rippledPoints(format, density, curve) {
  const least = Math.min(...curve.map((point) => point.mse));
  const close = curve.filter((point) => point.mse <= 1.2 * least).map((point) => point.scale);
  const [low, high] = [Math.min(...close) * 0.99, Math.max(...close) * 1.01];
  const ripples = Math.log(high / low) * format.grid.size;
  const count = Math.min(2000, Math.ceil(4 * ripples));
  if (count < 8) return [];
  return logSpaced(low, high, count).map((scale) => pointAt(format, density, scale));
}

/** The range may lie between these largest values for less than `loss` dB; infinite ends happen. */
function plateauOf(format, density, { best, curve, octaves }, loss = 0.1) {
  if (!best || !(best.mse > 0)) return null;
  const most = best.mse * 10 ** (loss / 10);
  if (octaves) return [best.maxValue, best.maxValue];
  return [-1, 1].map((side) => {
    let inner = best;
    const outward = curve.filter((point) => side * (point.scale - best.scale) > 0);
    if (side < 0) outward.reverse();
    for (let extra = 1; extra <= 160; extra++) {
      const far = outward.length ? outward[outward.length - 1].scale : best.scale;
      if (outward.length && outward[outward.length - 1].mse > most) break;
      outward.push(pointAt(format, density, far * 2 ** (side / 4)));
    }
    for (const point of outward) {
      if (point.mse > most) return edgeBetween(format, density, inner, point, most);
      inner = point;
    }
    return side < 0 ? 0 : Infinity;
  });
}

/** The largest value between two points at which the MSE passes a level. */
function edgeBetween(format, density, inner, outer, most) {
  let [u, v] = [Math.log(inner.scale), Math.log(outer.scale)];
  let [f, g] = [Math.log(inner.mse / most), Math.log(outer.mse / most)];
  let side = 0;
  for (let step = 0; step < 40 && Math.abs(v - u) > 1e-7; step++) {
    let at = (u * g - v * f) / (g - f);
    if (!(at > Math.min(u, v) && at < Math.max(u, v))) at = 0.5 * (u + v);
    const value = Math.log(errorsAt(format.grid, density, Math.exp(at)).mse / most);
    if (Math.abs(value) < 1e-12) return Math.exp(at) * format.grid.max;
    if (value < 0) {
      [u, f] = [at, value];
      if (side === -1) g /= 2;
      side = -1;
    } else {
      [v, g] = [at, value];
      if (side === 1) f /= 2;
      side = 1;
    }
  }
  return Math.exp(0.5 * (u + v)) * format.grid.max;
}
