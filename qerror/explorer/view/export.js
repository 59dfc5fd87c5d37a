// Figures on the screen by uPlot, and as SVG and CSV files.

const uPlotDashes = (dash) => (dash && dash.length ? dash : undefined);

/** One figure's place in the page: heading, buttons, drawing, legend, caption. */
class Plot {
  constructor(parent, id, extra = null) {
    this.figure = document.createElement("figure");
    this.figure.id = `figure-${id}`;
    this.figure.innerHTML = `<header><h2></h2><span class="tools"></span></header>
      <div class="plot" role="img"></div><ul class="legend"></ul><figcaption></figcaption>`;
    const tools = this.figure.querySelector(".tools");
    if (extra) tools.append(extra);
    for (const [kind, save] of [["SVG", svgOf], ["CSV", csvOf]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = kind;
      button.dataset.save = kind.toLowerCase();
      button.addEventListener("click", () => download(`qerror-${id}.${kind.toLowerCase()}`, save(this.spec)));
      tools.append(button);
      this[`button${kind}`] = button;
    }
    this.holder = this.figure.querySelector(".plot");
    parent.append(this.figure);
    new ResizeObserver(() => this.resize()).observe(this.holder);
  }

  show(spec) {
    const before = this.shape;
    this.spec = spec;
    this.figure.querySelector("h2").textContent = spec.title;
    for (const kind of ["SVG", "CSV"]) {
      this[`button${kind}`].setAttribute("aria-label", `Download ${spec.title} as ${kind}`);
    }
    this.figure.querySelector("figcaption").textContent = spec.caption;
    this.holder.setAttribute("aria-label", `${spec.title}: ${spec.xLabel} against ${spec.yLabel}. ${spec.caption}`);
    this.shape = JSON.stringify([spec.series.map((each) => [each.label, each.hue, each.dash, each.wide]), spec.xLabel, spec.xLog, document.documentElement.dataset.theme]);
    const curves = spec.series.map(({ y }) => y);
    const ranges = JSON.stringify([xRangeOf(spec), yRangeOf(spec)]);
    const same = this.curves && curves.every((y, i) => y === this.curves[i]) && ranges === this.ranges;
    Object.assign(this, { curves, ranges });
    if (this.chart && before === this.shape) {
      // Where only a mark has moved, lines and axes stay.
      if (same) this.chart.redraw(false, false);
      else this.chart.setData(alignedData(spec), true);
      return;
    }
    if (this.chart) this.chart.destroy();
    this.showLegend();
    this.chart = new uPlot(this.options(), alignedData(spec), this.holder);
  }

  resize() {
    if (this.chart) this.chart.setSize(this.size());
  }

  size() {
    return { width: Math.max(this.holder.clientWidth, 200), height: this.holder.clientHeight || 260 };
  }

  showLegend() {
    const list = this.figure.querySelector(".legend");
    list.replaceChildren(...this.spec.series.filter((each) => !each.only).map((each) => {
      const item = document.createElement("li");
      const dash = each.dash && each.dash.length ? ` stroke-dasharray="${each.dash.join(" ")}"` : "";
      item.innerHTML = `<svg width="28" height="8" aria-hidden="true"><path d="M0 4H28" stroke="${hue(each.hue)}" stroke-width="2"${dash}/></svg>`;
      item.append(each.label);
      return item;
    }));
  }

  options() {
    const plot = this;
    const axis = {
      stroke: hue("--soft"), grid: { stroke: hue("--grid"), width: 1 },
      ticks: { stroke: hue("--line"), width: 1 }, font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif", labelSize: 20, labelGap: 0,
    };
    const values = (_, splits) => splits.map((x) => (x === null ? "" : tickText(x)));
    const filter = (_, splits) => splits; // uPlot would label powers of ten alone
    const places = (log) => (log ? (_, __, low, high) => axisValues(low, high, true) : undefined);
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { time: false, distr: this.spec.xLog ? 3 : 1, range: () => xRangeOf(plot.spec) },
        y: { distr: this.spec.yLog ? 3 : 1, range: () => yRangeOf(plot.spec) },
      },
      axes: [
        { ...axis, label: this.spec.xLabel, size: 34, values, filter, space: 60, splits: places(this.spec.xLog) },
        { ...axis, label: this.spec.yLabel, size: 58, values, filter, splits: places(this.spec.yLog) },
      ],
      pxAlign: 0,
      series: [{}, ...this.spec.series.map((each) => ({
        pxAlign: 0,
        label: each.label, stroke: hue(each.hue), width: each.only ? 0 : each.wide ? 2.6 : 1.6,
        dash: uPlotDashes(each.dash), spanGaps: true,
        fill: each.fill ? hue("--band") : undefined,
        points: { show: Boolean(each.dots), size: each.only ? 10 : 6, fill: hue(each.only ? each.hue : "--card") },
      }))],
      hooks: { drawClear: [(chart) => drawBand(chart, plot.spec)], draw: [(chart) => drawMarks(chart, plot.spec)] },
    };
  }
}

/** All series over the union of their x. */
function alignedData({ series }) {
  const tables = series.map(({ x, y }) => [Float64Array.from(x),
    Array.from(y, (value) => (Number.isFinite(value) ? value : null))]);
  if (series.length === 1) return tables[0];
  return uPlot.join(tables.filter(([x]) => x.length).length ? tables : [[[], []]]);
}

function extent(values, positiveOnly) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of values) {
    for (const value of list) {
      if (!Number.isFinite(value) || (positiveOnly && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : positiveOnly ? [0.1, 10] : [0, 1];
}

function xRangeOf(spec) {
  if (spec.xRange) return spec.xRange;
  const [low, high] = extent(spec.series.filter(({ y }) => y.some(Number.isFinite)).map(({ x }) => x), spec.xLog);
  const marks = spec.marks.map(({ x }) => x).filter((x) => !spec.xLog || x > 0);
  const [a, b] = [Math.min(low, ...marks), Math.max(high, ...marks)];
  if (spec.xLog) return a === b ? [a / 2, a * 2] : [a, b];
  const room = 0.04 * (b - a) || 1;
  return [a - room, b + room];
}

function yRangeOf(spec) {
  if (spec.yRange) return spec.yRange;
  const inside = spec.series.map(({ x, y }) => {
    if (!spec.xRange) return y;
    return Array.from(y).filter((_, i) => x[i] >= spec.xRange[0] && x[i] <= spec.xRange[1]);
  });
  const [low, high] = extent(inside, spec.yLog);
  if (spec.yLog) return [low, high];
  const room = 0.07 * (high - low) || 1;
  return [low - room, high + room];
}

function drawBand(chart, { band }) {
  if (!band) return;
  const { left, width, top, height } = chart.bbox;
  const place = (x) => (Number.isFinite(x) && x > 0 ? chart.valToPos(x, "x", true) : x > 0 ? left + width : left);
  const a = Math.max(left, place(band[0]));
  const b = Math.min(left + width, place(band[1]));
  chart.ctx.fillStyle = hue("--band");
  if (b > a) chart.ctx.fillRect(a, top, b - a, height);
}

function drawMarks(chart, spec) {
  const { left, width, top, height } = chart.bbox;
  const { ctx } = chart;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  if (spec.ticks && spec.ticks.length) {
    const apart = (spec.xRange[1] - spec.xRange[0]) / (width / ratio);
    ctx.strokeStyle = hue(spec.tickHue);
    ctx.lineWidth = ratio * (spec.ticks.length > 300 ? 0.75 : 1.25);
    ctx.beginPath();
    let before = -Infinity;
    for (const level of spec.ticks) {
      if (level < spec.xRange[0] || level > spec.xRange[1] || level - before < 0.4 * apart) continue;
      before = level;
      const x = chart.valToPos(level, "x", true);
      ctx.moveTo(x, top + height);
      ctx.lineTo(x, top + height * 0.86);
    }
    ctx.stroke();
  }
  for (const mark of spec.marks) {
    const x = chart.valToPos(mark.x, "x", true);
    if (!(x >= left - 1 && x <= left + width + 1)) continue;
    ctx.strokeStyle = hue(mark.hue || "--ink");
    ctx.setLineDash((mark.dash || []).map((part) => part * ratio));
    ctx.lineWidth = 1.4 * ratio;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    if (!mark.label) continue;
    ctx.fillStyle = hue("--ink");
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    const right = x > left + 0.7 * width;
    ctx.textAlign = right ? "right" : "left";
    ctx.fillText(mark.label, x + (right ? -5 : 5) * ratio, top + height - 8 * ratio);
  }
  ctx.restore();
}

// ---- files

function download(name, content) {
  const type = name.endsWith(".svg") ? "image/svg+xml" : "text/csv";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const cell = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The numbers drawn, one row a point: series, x, y. */
function csvOf(spec) {
  const rows = [["series", spec.xLabel, spec.yLabel]];
  for (const { label, x, y } of spec.series) {
    Array.from(x).forEach((at, i) => rows.push([label, shortest(at), shortest(y[i])]));
  }
  for (const level of spec.ticks || []) rows.push(["level", shortest(level), ""]);
  return `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
}

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) =>
  ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/** A number at an axis: 1e6, not 1.00e6. */
const tickText = (x) => short(x, 3).replace(/\.?0+e/, "e");

/** Round values between two, about five of them, for an axis. */
function axisValues(low, high, log) {
  if (log) {
    const [a, b] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const every = Math.max(1, Math.ceil((b - a) / 7));
    const factors = b - a < 1 ? [1, 2, 3, 5, 7] : b - a < 3 ? [1, 2, 5] : [1];
    const found = [];
    for (let k = a - 1; k <= b; k += every) {
      for (const factor of factors) found.push(Number((factor * 10 ** k).toPrecision(12)));
    }
    const inside = found.filter((x) => x >= low && x <= high);
    return inside.length >= 2 ? inside
      : [low, Math.sqrt(low * high), high].map((x) => Number(x.toPrecision(2)));
  }
  const rough = (high - low) / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((k) => k * unit >= rough) * unit;
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** A figure as a picture of its own, with text as text. */
function svgOf(spec) {
  const [width, height] = [640, 400];
  const box = { left: 70, right: 620, top: 40, bottom: 330 };
  const [xLow, xHigh] = xRangeOf(spec);
  const [yLow, yHigh] = yRangeOf(spec);
  const scale = (low, high, from, to, log) => {
    const f = log ? (v) => Math.log(Math.max(v, 1e-300)) : (v) => v;
    return (v) => from + ((f(v) - f(low)) / (f(high) - f(low))) * (to - from);
  };
  const px = scale(xLow, xHigh, box.left, box.right, spec.xLog);
  const py = scale(yLow, yHigh, box.bottom, box.top, spec.yLog);
  const at = (v) => v.toFixed(2);
  const colour = (name) => hue(name);
  const parts = [];
  for (const x of axisValues(xLow, xHigh, spec.xLog)) {
    parts.push(`<path d="M${at(px(x))} ${box.top}V${box.bottom}" stroke="${colour("--grid")}"/>`,
      `<text x="${at(px(x))}" y="${box.bottom + 18}" text-anchor="middle">${escaped(tickText(x))}</text>`);
  }
  for (const y of axisValues(yLow, yHigh, spec.yLog)) {
    parts.push(`<path d="M${box.left} ${at(py(y))}H${box.right}" stroke="${colour("--grid")}"/>`,
      `<text x="${box.left - 8}" y="${at(py(y) + 4)}" text-anchor="end">${escaped(tickText(y))}</text>`);
  }
  parts.push('<g clip-path="url(#inside)">');
  if (spec.band) {
    const place = (x) => Math.min(Math.max(Number.isFinite(x) && x > 0 ? px(x) : x > 0 ? box.right : box.left, box.left), box.right);
    const [a, b] = spec.band.map(place);
    parts.push(`<rect x="${at(a)}" y="${box.top}" width="${at(Math.max(b - a, 0))}" height="${box.bottom - box.top}" fill="${colour("--accent")}" opacity="0.13"/>`);
  }
  for (const level of spec.ticks || []) {
    if (level < xLow || level > xHigh) continue;
    parts.push(`<path d="M${at(px(level))} ${box.bottom}v-40" stroke="${colour(spec.tickHue)}"/>`);
  }
  for (const each of spec.series) {
    const points = Array.from(each.x, (x, i) => [x, each.y[i]])
      .filter(([x, y]) => Number.isFinite(y) && !(spec.yLog && y <= 0) && !(spec.xLog && x <= 0));
    const line = points.map(([x, y]) => `${at(px(x))} ${at(py(Math.min(Math.max(y, yLow - (yHigh - yLow)), yHigh + (yHigh - yLow))))}`);
    const dash = each.dash && each.dash.length ? ` stroke-dasharray="${each.dash.join(" ")}"` : "";
    if (!each.only && line.length) {
      parts.push(`<path d="M${line.join("L")}" fill="none" stroke="${colour(each.hue)}" stroke-width="${each.wide ? 2.4 : 1.6}"${dash}/>`);
    }
    if (each.dots) {
      for (const [x, y] of points) parts.push(`<circle cx="${at(px(x))}" cy="${at(py(y))}" r="${each.only ? 5 : 3}" fill="${colour(each.hue)}"/>`);
    }
  }
  for (const mark of spec.marks) {
    if (!(mark.x >= xLow && mark.x <= xHigh)) continue;
    const dash = mark.dash ? ` stroke-dasharray="${mark.dash.join(" ")}"` : "";
    parts.push(`<path d="M${at(px(mark.x))} ${box.top}V${box.bottom}" stroke="${colour(mark.hue || "--ink")}"${dash}/>`);
    if (mark.label) parts.push(`<text x="${at(px(mark.x) + 5)}" y="${box.bottom - 8}">${escaped(mark.label)}</text>`);
  }
  parts.push("</g>", `<rect x="${box.left}" y="${box.top}" width="${box.right - box.left}" height="${box.bottom - box.top}" fill="none" stroke="${colour("--line")}"/>`);
  let left = box.left;
  for (const each of spec.series.filter(({ only }) => !only)) {
    const dash = each.dash && each.dash.length ? ` stroke-dasharray="${each.dash.join(" ")}"` : "";
    const label = each.label.length > 24 ? `${each.label.slice(0, 23)}…` : each.label;
    parts.push(`<path d="M${left} ${height - 14}h22" stroke="${colour(each.hue)}" stroke-width="2"${dash}/><text x="${left + 27}" y="${height - 10}">${escaped(label)}</text>`);
    left += 42 + 7 * label.length;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="${colour("--ink")}">
<title>${escaped(spec.title)}</title><desc>${escaped(spec.caption)}</desc>
<rect width="${width}" height="${height}" fill="${colour("--card")}"/>
<clipPath id="inside"><rect x="${box.left}" y="${box.top}" width="${box.right - box.left}" height="${box.bottom - box.top}"/></clipPath>
<text x="${box.left}" y="24" font-size="15" font-weight="600">${escaped(spec.title)}</text>
${parts.join("\n")}
<text x="${(box.left + box.right) / 2}" y="${box.bottom + 38}" text-anchor="middle">${escaped(spec.xLabel)}</text>
<text transform="translate(18 ${(box.top + box.bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(spec.yLabel)}</text>
</svg>
`;
}
