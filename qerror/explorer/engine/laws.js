// Standard laws, symmetric about 0: what the local integrals need of each.
//
// logRatio(r, u) is log p(r + u) - log p(r), r >= 0, accurate for small u of either sign;
// panelWidth(x) the width at x >= 0 on which 12 Gauss-Legendre nodes reach 1e-16; reach(x) where
// integration from x outwards may end or `tail` take over; smoothStep(x) the largest step for
// which the Euler-Maclaurin series is exact; derivatives(x, h, found) writes h^k p^(k)(x).

const ORDER = 12; // of the derivatives that the series needs

const GAUSSIAN = {
  name: "gaussian",
  horizon: 38.6,
  spent: 11,
  flatWidth: 2e-9,
  originWidth: 0,
  variance: 1,
  entropy: 0.5 * Math.log(2 * Math.PI * Math.E),
  pdf(z) {
    // Its square would be rounded: the leading 24 bits are squared exactly.
    const high = Math.fround(z);
    const level = Math.exp(-0.5 * high * high) / Math.sqrt(2 * Math.PI);
    return level * Math.exp(-0.5 * (z - high) * (z + high));
  },
  logRatio: (r, u) => -u * (r + 0.5 * u),
  panelWidth: (x) => 6 / Math.max(x, 3),
  reach: (x) => Math.sqrt(x * x + 100),
  smoothStep: (x) => 0.5 / Math.max(x, 2),
  derivatives(x, h, found) {
    // p^(k+1) = -x p^(k) - k p^(k-1)
    found[0] = this.pdf(x);
    found[1] = -x * h * found[0];
    for (let k = 1; k < ORDER; k++) found[k + 1] = -x * h * found[k] - k * h * h * found[k - 1];
  },
};

const LAPLACE = {
  name: "laplace",
  kinkAtZero: true,
  horizon: 745.2,
  spent: 64,
  flatWidth: 1e-18,
  originWidth: 0,
  variance: 2,
  entropy: 1 + Math.log(2),
  pdf: (z) => 0.5 * Math.exp(-Math.abs(z)),
  logRatio: (r, u) => -u,
  panelWidth: () => 6,
  reach: (x) => x + 55,
  smoothStep: () => 0.5,
  derivatives(x, h, found) {
    found[0] = this.pdf(x);
    for (let k = 1; k <= ORDER; k++) found[k] = -h * found[k - 1];
  },
};

/** The polynomials R_k in t = tanh(z / 2) with p^(k) = p R_k(t), of the logistic density. */
const LOGISTIC_FACTORS = (() => {
  const found = [[1]];
  for (let k = 0; k < ORDER; k++) {
    // R_(k+1) = R_k' (1 - t^2) / 2 - t R_k, as t' = (1 - t^2) / 2 and p' = -t p
    const next = new Array(found[k].length + 1).fill(0);
    found[k].forEach((c, power) => {
      if (power > 0) next[power - 1] += 0.5 * power * c;
      next[power + 1] -= (0.5 * power + 1) * c;
    });
    found.push(next);
  }
  return found;
})();

const LOGISTIC = {
  name: "logistic",
  horizon: 745.2,
  spent: 64,
  flatWidth: 2.5e-9,
  originWidth: 0,
  variance: Math.PI ** 2 / 3,
  entropy: 2,
  pdf(z) {
    const e = Math.exp(-Math.abs(z));
    return e / ((1 + e) * (1 + e));
  },
  logRatio(r, u) {
    const e = Math.exp(-r);
    return -u - 2 * Math.log1p((e * Math.expm1(-u)) / (1 + e));
  },
  panelWidth: () => 2.5,
  reach: (x) => x + 55,
  smoothStep: () => 0.25,
  derivatives(x, h, found) {
    const p = this.pdf(x);
    const t = Math.tanh(0.5 * x);
    let step = 1;
    for (let k = 0; k <= ORDER; k++) {
      const factor = LOGISTIC_FACTORS[k];
      let value = 0;
      for (let power = factor.length - 1; power >= 0; power--) value = value * t + factor[power];
      found[k] = p * step * value;
      step *= h;
    }
  },
};

/** Student's t with nu > 0 degrees of freedom. */
function studentT(nu) {
  if (nu >= 1e24) return GAUSSIAN;
  const power = 0.5 * (nu + 1);
  const root = Math.sqrt(nu);
  const peak = gammaHalfRatio(nu / 2) / Math.sqrt(2 * Math.PI);
  const near = 1e-10 * Math.min(root, 1);
  const widest = Math.min(0.9, 2 / Math.sqrt(nu + 1));
  const poles = nu >= 10 ? 1 : Math.exp((Math.log(1e-14) + 16 * Math.log(2 * Math.PI)
    - Math.log(24) - logGamma(nu + 14) + logGamma(nu + 1)) / 14);
  const smooth = Math.min(poles, 0.22 / Math.sqrt(nu + 1));
  const growth = Math.sqrt(Math.expm1(60 / power));
  const span = (x) => Math.sqrt(nu + x * x);
  const logGrowth = (z) => {
    const square = (z / root) ** 2;
    return square < 1e300 ? Math.log1p(square) : 2 * Math.log(Math.max(Math.abs(z), 1) / root);
  };
  /** int_1^R y^(m - nu - 1) dy for R = e^log, possibly infinite. */
  const powerIntegral = (m, log) => (m === nu ? log : Math.expm1((m - nu) * log) / (m - nu));
  const law = {
    name: "student-t",
    horizon: nu < 2.25 ? Infinity : Math.sqrt(nu * Math.expm1(745.2 / power)),
    spent: Infinity,
    originWidth: 0,
    variance: nu > 2 ? nu / (nu - 2) : nu > 1 ? Infinity : NaN,
    tailExponent: nu,
    entropy: null,
    pdf: (z) => peak * Math.exp(-power * logGrowth(z)),
    logRatio(r, u) {
      const d = Math.sqrt(nu + r * r);
      return -power * Math.log1p(2 * (u / d) * ((r + 0.5 * u) / d));
    },
    panelWidth(x) {
      const d = span(x);
      return Math.min(d * widest, ((3 / power) * d * d) / Math.max(x, near));
    },
    reach(x) {
      const far = Math.max(4 * x, 3e8 * root * Math.sqrt(nu + 3));
      return nu <= 8 ? far : Math.min(far, Math.hypot(x, span(x) * growth));
    },
    smoothStep(x) {
      const d = span(x);
      return Math.min(d * smooth, ((0.25 / power) * d * d) / Math.max(x, near));
    },
    derivatives(x, h, found) {
      // d p^(k+1) = -(nu + 1 + 2k) x p^(k) - k (nu + k) p^(k-1), d = nu + x^2
      const d = span(x);
      const slope = (x / d) * (h / d);
      const curve = (h / d) ** 2;
      found[0] = law.pdf(x);
      found[1] = -(nu + 1) * slope * found[0];
      for (let k = 1; k < ORDER; k++) {
        found[k + 1] = -(nu + 1 + 2 * k) * slope * found[k]
          - k * (nu + k) * curve * found[k - 1];
      }
    },
    /** Add the pure power law from `start` to `stop`, about q. */
    tail(start, stop, q, sums, sign) {
      if (nu > 8 && start < 3e8 * root * Math.sqrt(nu + 3)) return;
      const log = Math.log(stop / start);
      const logStart = Math.log(start);
      const level = Math.log(peak) - power * logGrowth(start) + logStart;
      const scale = (m) => Math.exp(level + m * logStart);
      const [i0, i1, i2] = [0, 1, 2].map((m) => powerIntegral(m, log));
      const share = q / start;
      sums.mass += scale(0) * i0;
      sums.first += sign * (i1 === Infinity ? Infinity : scale(1) * (i1 - share * i0));
      sums.second += i2 === Infinity ? Infinity
        : scale(2) * (i2 - share * (2 * i1 - share * i0));
    },
  };
  law.flatWidth = 1e-9 * law.panelWidth(0);
  return law;
}

/** Generalized Gaussian, exp(-|z|^beta). */
function generalizedGaussian(beta) {
  const peak = 0.5 / gamma(1 + 1 / beta);
  const inner = 0.5 ** (1 / beta);
  const folds = 60 + Math.max(0, (3 / beta - 1) * Math.log(60 + 9 / beta));
  const binomials = [1];
  for (let k = 0; k < ORDER; k++) binomials.push((binomials[k] * (beta - k)) / (k + 1));
  const terms = new Float64Array(ORDER + 1);
  const law = {
    name: "generalized-gaussian",
    kinkAtZero: true,
    branchAtZero: true,
    horizon: 745.2 ** (1 / beta),
    spent: Infinity,
    flatWidth: beta >= 0.1 ? 1e-17 ** (1 / Math.min(beta, 1)) : 0,
    originWidth: inner,
    variance: gamma(1 + 3 / beta) / gamma(1 + 1 / beta) / 3,
    entropy: 1 / beta - Math.log(peak),
    pdf: (z) => peak * Math.exp(-(Math.abs(z) ** beta)),
    logRatio: (r, u) => -(r ** beta) * Math.expm1(beta * Math.log1p(u / r)),
    panelWidth(x) {
      const steep = Math.log1p(4 / x ** beta) / beta;
      return x * Math.min(steep, 0.45, 3 / beta);
    },
    reach: (x) => (x ** beta + folds) ** (1 / beta),
    smoothStep: (x) => (x * 0.5) / Math.max(beta * x ** beta, 0.5 / 0.08, beta),
    derivatives(x, h, found) {
      // p(x (1 + t)) = p(x) exp(-x^beta ((1 + t)^beta - 1)) in powers of t
      const at = Math.max(x, 1e-300);
      const y = at ** beta;
      terms[0] = 1;
      for (let k = 1; k <= ORDER; k++) {
        let sum = 0;
        for (let j = 1; j <= k; j++) sum += j * -y * binomials[j] * terms[k - j];
        terms[k] = sum / k;
      }
      let factor = law.pdf(x);
      const ratio = x > 0 ? h / at : 0;
      for (let k = 0; k <= ORDER; k++) {
        found[k] = factor * terms[k];
        factor *= ratio * (k + 1);
      }
    },
    /** Add [0, b], b <= originWidth, about q: the power series of exp(-x^beta). */
    origin(b, q, sums, sign) {
      let term = peak * b;
      const y = b ** beta;
      for (let j = 0; j < 22; j++) {
        const e = beta * j;
        const centred = (b * (e + 1)) / (e + 2) - q;
        sums.mass += term / (e + 1);
        sums.first += sign * term * (b / (e + 2) - q / (e + 1));
        sums.second += term * ((b * b) / ((e + 2) ** 2 * (e + 3)) + (centred * centred) / (e + 1));
        term *= -y / (j + 1);
      }
    },
  };
  return law;
}

/** 1 / |z|: a piece of it on one side of 0 is log-uniform. */
const RECIPROCAL = {
  name: "reciprocal",
  kinkAtZero: true,
  branchAtZero: true,
  horizon: Infinity,
  spent: Infinity,
  flatWidth: 0,
  originWidth: 0,
  pdf: (z) => 1 / Math.max(Math.abs(z), 1e-300),
  logRatio: (r, u) => -Math.log1p(u / r),
  panelWidth: (x) => 0.8 * x,
  reach: () => Infinity,
  smoothStep: (x) => 0.08 * x,
  derivatives(x, h, found) {
    const p = this.pdf(x);
    found[0] = p;
    for (let k = 1; k <= ORDER; k++) found[k] = -k * h * p * found[k - 1];
  },
};

/** 1 / (pi sqrt(|z| (2 - |z|))): half of an arcsine density, seen from its end. */
const ARCSINE_END = {
  name: "arcsine",
  kinkAtZero: true,
  branchAtZero: true,
  horizon: 2,
  spent: Infinity,
  flatWidth: 0,
  originWidth: 0.5,
  pdf(z) {
    const a = Math.abs(z);
    return a < 2 ? 1 / (Math.PI * Math.sqrt(a * (2 - a))) : 0;
  },
  logRatio(r, u) {
    const inner = Math.max(u / Math.max(r, 1e-300), -0.999);
    const outer = Math.max(-u / Math.max(2 - r, 0.25), -0.999);
    return -0.5 * (Math.log1p(inner) + Math.log1p(outer));
  },
  panelWidth: (x) => 0.8 * Math.min(x, Math.max(2 - x, 0.25)),
  reach: (x) => Math.max(x, 1.5),
  smoothStep: (x) => 0.08 * Math.min(x, Math.max(2 - x, 0.25)),
  derivatives(x, h, found) {
    const curve = x > 0 ? h / (x * (2 - x)) : 0;
    found[0] = this.pdf(x);
    found[1] = -curve * (1 - x) * found[0];
    for (let k = 1; k < ORDER; k++) {
      found[k + 1] = curve * (-(2 * k + 1) * (1 - x) * found[k] + k * k * h * found[k - 1]);
    }
  },
  origin(b, q, sums, sign) {
    // z = 1 - cos t: p dz = dt / pi
    const angle = 2 * Math.asin(Math.sqrt(0.5 * b));
    for (let i = 0; i < 16; i++) {
      const away = 2 * Math.sin(0.5 * angle * RULE_16.nodes[i]) ** 2 - q;
      const weight = (angle / Math.PI) * RULE_16.weights[i];
      sums.mass += weight;
      sums.first += sign * weight * away;
      sums.second += weight * away * away;
    }
  },
};

/** The constant 1: a piece of it is uniform. */
const FLAT = {
  name: "flat",
  horizon: Infinity,
  spent: Infinity,
  flatWidth: Infinity,
  originWidth: 0,
  pdf: () => 1,
  logRatio: () => 0,
  panelWidth: () => Infinity,
  reach: () => Infinity,
  smoothStep: () => Infinity,
  derivatives(x, h, found) {
    found.fill(0);
    found[0] = 1;
  },
};

/** Add int (z - q)^k p dz, k = 0, 1, 2, over q + a < z < q + b; offsets a, b may be infinite. */
function addInterval(law, q, a, b, sums) {
  if (!(b > a)) return;
  if (q + a >= 0) addPart(law, q, a, b, 1, sums);
  else if (q + b <= 0) addPart(law, -q, -b, -a, -1, sums);
  else {
    addPart(law, q, -q, b, 1, sums);
    addPart(law, -q, q, -a, -1, sums);
  }
}

/** Add an interval on z >= 0, or the mirror image of one on z <= 0 with sign -1. */
function addPart(law, q, a, b, sign, sums) {
  let inner = Math.max(q + a, 0);
  if (law.branchAtZero && inner <= 4e-16 * Math.abs(q)) {
    // An end that should be 0 to the last bit: next to a singular point half the digits hang on it.
    inner = 0;
    a = -q;
  }
  if (inner > law.horizon) return;
  if (law === FLAT) {
    const width = b - a;
    const middle = 0.5 * (a + b);
    sums.mass += width;
    sums.first += sign * width * middle;
    sums.second += width * (middle * middle + (width * width) / 12);
    return;
  }
  const limit = law.reach(inner);
  if (q + b > limit) {
    if (law.tail) law.tail(limit, q + b, q, sums, sign);
    b = limit - q;
  }
  if (law.originWidth && inner === 0) {
    const edge = Math.min(q + b, law.originWidth);
    law.origin(edge, q, sums, sign);
    if (edge >= q + b) return;
    inner = edge;
    a = edge - q;
  }
  while (b > a) {
    const widest = law.panelWidth(inner);
    const rest = b - a;
    const last = rest <= widest;
    const width = last ? rest : widest;
    const { nodes, weights, count } = ruleFor(width / widest);
    let mass = 0;
    let first = 0;
    let second = 0;
    for (let i = 0; i < count; i++) {
      const u = width * nodes[i];
      const p = weights[i] * Math.exp(law.logRatio(inner, u));
      const t = a + u;
      mass += p;
      first += p * t;
      second += p * t * t;
    }
    const level = law.pdf(inner) * width;
    sums.mass += level * mass;
    sums.first += sign * level * first;
    sums.second += level * second;
    if (last || !(inner + width > inner)) return;
    inner += width;
    a = inner - q;
  }
}
