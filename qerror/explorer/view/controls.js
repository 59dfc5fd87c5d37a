// The panel on the left: reads what the user sets, and says beside a control what is wrong with it.

const byId = (id) => document.getElementById(id);

/** Show a message beside a control, or take it away. */
function tell(id, message, control = null) {
  const place = byId(id);
  place.textContent = message;
  place.hidden = !message;
  if (control) {
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }
}

/** Do something that may be refused; a refusal is shown at `id`. Returns whether it was done. */
function trying(id, control, action) {
  try {
    action();
    tell(id, "", control);
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    tell(id, error.message, control);
    return false;
  }
}

// ---- formats

function showChips() {
  byId("chips").replaceChildren(...state.formats.map(({ format }, i) => {
    const item = document.createElement("li");
    item.style.setProperty("--hue", `var(${HUES[i]})`);
    const name = document.createElement("button");
    name.type = "button";
    name.className = "name";
    name.textContent = format.name;
    name.title = format.name;
    name.setAttribute("aria-pressed", String(i === state.active));
    name.setAttribute("aria-label", `Show ${format.name}`);
    name.addEventListener("click", () => {
      state.active = i;
      state.top = null;
      showChips();
      refresh();
      byId("chips").children[i].firstChild.focus();
    });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${format.name}`);
    remove.disabled = state.formats.length === 1;
    remove.addEventListener("click", () => removeFormat(i));
    item.append(name, remove);
    return item;
  }));
}

function removeFormat(i) {
  state.formats.splice(i, 1);
  if (state.active >= i && state.active > 0) state.active -= 1;
  state.top = null;
  showChips();
  refresh();
  byId("format-name").focus();
}

function addFormat() {
  const input = byId("format-name");
  const done = trying("format-message", input, () => {
    const text = input.value.trim();
    const format = parseFormat(text);
    const there = state.formats.findIndex((entry) => entry.format.name === format.name);
    if (there >= 0) {
      state.active = there;
    } else {
      if (state.formats.length >= MOST_FORMATS) refuse("six formats are shown; remove one first");
      state.formats.push({ text, format });
      state.active = state.formats.length - 1;
    }
    state.top = null;
  });
  if (!done) return;
  input.value = "";
  showChips();
  refresh();
}

// ---- density

const SLIDERS = {
  nu: { low: 0.5, high: 100, log: true }, std: { low: 0.01, high: 100, log: true },
  scale: { low: 0.01, high: 100, log: true }, beta: { low: 0.3, high: 10, log: true },
  mean: { low: -5, high: 5 }, loc: { low: -5, high: 5 },
  low: { low: -20, high: 20 }, high: { low: -20, high: 20 }, weight: { low: 0, high: 1 },
};

const POSITIVE_ENDS = { low: { low: 1e-3, high: 10, log: true }, high: { low: 1e-2, high: 100, log: true } };

/** The sliders of a tree: { label, group, slider, get, set }. */
function parametersOf(tree, group = "") {
  const found = [];
  for (const [key, kind] of FAMILIES[tree.family]) {
    if (kind === "number") {
      const own = tree.family === "log-uniform" ? POSITIVE_ENDS[key] : SLIDERS[key] || SLIDERS.mean;
      found.push({
        label: key, group, slider: own, get: () => parameterOf(tree, key),
        set: (value) => { tree.given[key] = value; },
      });
    } else if (kind === "density") {
      found.push(...parametersOf(tree.given[key], tree.given[key].family));
    } else if (kind === "densities") {
      const { components, weights } = tree.given;
      components.forEach((part, i) => {
        const name = `${i + 1}: ${part.family}`;
        found.push({
          label: "weight", group: name, slider: SLIDERS.weight, get: () => weights[i],
          set: (value) => setWeight(weights, i, value),
        }, ...parametersOf(part, name));
      });
    }
  }
  return found;
}

/** Set one weight of a mixture; the others share what is left as before. */
function setWeight(weights, i, value) {
  if (!(value >= 0 && value <= 1)) refuse(`a weight must lie in 0..1, got ${shortest(value)}`);
  const rest = weights.reduce((sum, w, k) => (k === i ? sum : sum + w), 0);
  weights.forEach((w, k) => {
    if (k !== i) weights[k] = rest > 0 ? (w / rest) * (1 - value) : (1 - value) / (weights.length - 1);
  });
  weights[i] = weights.length === 1 ? 1 : value;
}

const STEPS = 1000;

function sliderPlace({ low, high, log }, value) {
  const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.round(STEPS * Math.min(Math.max(Number.isFinite(share) ? share : value > 0 ? 1 : 0, 0), 1));
}

function sliderValue({ low, high, log }, place) {
  const share = place / STEPS;
  const value = log ? low * (high / low) ** share : low + (high - low) * share;
  return Number(value.toPrecision(3));
}

/** Make the sliders anew: when the density's structure has changed. */
function showParameters() {
  const holder = byId("parameters");
  holder.replaceChildren();
  if (!state.tree) return;
  let group = null;
  let parent = holder;
  parametersOf(state.tree).forEach((parameter, i) => {
    if (parameter.group !== group) {
      group = parameter.group;
      parent = holder;
      if (group) {
        parent = document.createElement("fieldset");
        const legend = document.createElement("legend");
        legend.textContent = group;
        parent.append(legend);
        holder.append(parent);
      }
    }
    parent.append(parameterRow(parameter, i));
  });
}

function parameterRow(parameter, i) {
  const row = document.createElement("div");
  row.className = "parameter";
  const label = document.createElement("label");
  label.htmlFor = `parameter-${i}`;
  label.textContent = parameter.label;
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: STEPS, step: 1, id: `parameter-${i}` });
  const number = document.createElement("input");
  number.inputMode = "decimal";
  const name = parameter.group ? `${parameter.label} of ${parameter.group}` : parameter.label;
  number.setAttribute("aria-label", `${name} as a number`);
  slider.setAttribute("aria-label", name);
  const show = () => {
    const value = parameter.get();
    slider.value = sliderPlace(parameter.slider, value);
    slider.setAttribute("aria-valuetext", shortest(value));
    number.value = shortest(value);
  };
  const change = (value, control) => {
    const before = structuredClone(state.tree);
    const done = trying("density-message", control, () => {
      if (Number.isNaN(value)) refuse(`${parameter.label} must be a number`);
      parameter.set(value);
      setDensity(state.tree, densityOfTree(state.tree));
    });
    if (!done) {
      state.tree = before;
      if (control === slider) show();
      rebind();
      return;
    }
    state.top = null;
    document.querySelectorAll("#parameters input").forEach((input) => input.refreshValue());
    byId("density-text").value = textOfTree(state.tree);
    refresh();
  };
  const read = () => {
    const text = number.value.trim();
    if (/^-?inf(inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
    return text === "" ? NaN : Number(text);
  };
  slider.addEventListener("input", () => change(sliderValue(parameter.slider, slider.value), slider));
  number.addEventListener("change", () => change(read(), number));
  slider.refreshValue = () => { if (document.activeElement !== slider || slider.value !== String(sliderPlace(parameter.slider, parameter.get()))) show(); };
  number.refreshValue = () => { if (!number.hasAttribute("aria-invalid")) number.value = shortest(parameter.get()); };
  slider.parameter = parameter;
  show();
  row.append(label, slider, number);
  return row;
}

/** After a refused change the tree is a copy: the sliders' parameters must point into it. */
function rebind() {
  const fresh = parametersOf(state.tree);
  document.querySelectorAll('#parameters input[type="range"]').forEach((slider, i) =>
    Object.assign(slider.parameter, { get: fresh[i].get, set: fresh[i].set }));
}

/** Take a new tree as the density; the text, the family and the shape follow. */
function takeTree(tree, messageId, control) {
  const done = trying(messageId, control, () => setDensity(tree, densityOfTree(tree)));
  if (!done) return false;
  state.top = null;
  showDensity();
  refresh();
  return true;
}

function showDensity() {
  const { tree } = state;
  byId("density-text").value = tree ? textOfTree(tree) : "";
  byId("density-text").placeholder = tree ? "" : "your data; choose a family to leave them";
  const shapes = ["truncated", "clipped", "rectified", "mixture"];
  byId("shape").value = tree && shapes.includes(tree.family) ? tree.family : "whole";
  byId("family").value = tree ? baseOf(tree).family : "";
  byId("shape").disabled = !tree;
  tell("density-message", "", byId("density-text"));
  const { sample } = state.density;
  byId("data-note").textContent = sample
    ? `${state.source ? `${state.source.name}: ` : ""}${sample.size.toLocaleString("en")} values from `
      + `${short(state.density.support[0])} to ${short(state.density.support[1])}`
      + (state.tree ? "" : "; the link does not hold them")
    : "";
  showParameters();
  showSweeps();
}

/** The parameters that the last figure may sweep: three of usual densities, and the density's own. */
function showSweeps() {
  const choice = byId("sweep-choice");
  const names = [...sweeps().keys()];
  if (!names.includes(state.sweep)) state.sweep = SWEPT_FIRST;
  choice.replaceChildren(...names.map((name) => new Option(name, name)));
  choice.value = state.sweep;
}

/** The family that a tree is built on. */
function baseOf(tree) {
  if (["truncated", "clipped", "rectified"].includes(tree.family)) return baseOf(tree.given.density);
  return tree.family === "mixture" ? baseOf(tree.given.components[0]) : tree;
}

function chooseFamily() {
  const example = readDensity(EXAMPLES[byId("family").value]);
  const shape = state.tree ? byId("shape").value : "whole";
  takeTree(shaped(example, shape), "density-message", byId("family"));
}

function chooseShape() {
  takeTree(shaped(baseOf(state.tree), byId("shape").value), "density-message", byId("shape"));
}

/** Put a simple density into a shape. */
function shaped(base, shape) {
  if (shape === "whole") return base;
  if (shape === "rectified") return { family: shape, given: { density: base } };
  const { power, mean } = densityOfTree(base);
  const size = Number.isFinite(power) ? Number(Math.sqrt(power).toPrecision(2)) : 5;
  if (shape === "mixture") {
    const outliers = { family: "gaussian", given: { mean: 0, std: Math.max(8 * size, 1e-300) } };
    return { family: shape, given: { components: [base, outliers], weights: [0.99, 0.01] } };
  }
  const centre = Number.isFinite(mean) ? Number(mean.toPrecision(2)) : 0;
  return { family: shape, given: { density: base, low: centre - 2.5 * size, high: centre + 2.5 * size } };
}

function readDensityText() {
  const input = byId("density-text");
  let tree = null;
  if (!trying("density-message", input, () => { tree = readDensity(input.value); })) return;
  takeTree(tree, "density-message", input);
}

// ---- data

const MOST_IN_LINK = 200;

function takeData(values, source) {
  trying("data-message", byId("numbers"), () => {
    const density = sampleDensity(values);
    const tree = !source && values.length <= MOST_IN_LINK
      ? { family: "empirical", given: { values: Array.from(values) } } : null;
    setDensity(tree, density, source);
    state.top = null;
    showDensity();
    refresh();
  });
}

function useNumbers() {
  let values = null;
  const input = byId("numbers");
  if (trying("data-message", input, () => { values = readNumbers(input.value); })) takeData(values, null);
}

async function takeFile(file) {
  try {
    const values = await readFile(file);
    takeData(values, { name: file.name, hasNames: Boolean(values.hasNames) });
  } catch (error) {
    tell("data-message", error instanceof Refusal ? error.message
      : `${file.name} cannot be read: ${error.message}`);
  }
}

// ---- range

/** The largest values that the slider spans. */
function rangeSpan() {
  const { curve } = optimumOf(activeEntry());
  if (!curve || !curve.length) {
    const size = typicalSize(state.density);
    return [size / 8, size * 256];
  }
  return [curve[0].maxValue / 4, curve[curve.length - 1].maxValue * 4];
}

function showRange() {
  const { format } = activeEntry();
  byId("range-name").textContent = format.name;
  const found = optimumOf(activeEntry());
  const isBlock = format.kind === "block";
  for (const id of ["range", "range-number", "best"]) byId(id).disabled = isBlock;
  byId("best").setAttribute("aria-pressed", String(state.top === null));
  byId("range-note").textContent = isBlock ? "Blocks take their scales from the data."
    : found.undefinedPower ? "E[x²] is infinite: no range is best." : "";
  tell("range-message", found.message || "", byId("range-number"));
  const top = state.top ?? (found.best ? found.best.maxValue : null);
  if (top === null) {
    byId("range-number").value = "";
    return;
  }
  const [low, high] = rangeSpan();
  const slider = byId("range");
  if (document.activeElement !== slider || state.top === null) {
    slider.value = Math.round((2000 * Math.log(top / low)) / Math.log(high / low));
  }
  slider.setAttribute("aria-valuetext", short(top));
  if (document.activeElement !== byId("range-number")) byId("range-number").value = short(top, 6).replace("−", "-");
}

function slideRange() {
  const [low, high] = rangeSpan();
  const top = low * (high / low) ** (Number(byId("range").value) / 2000);
  state.top = Number(top.toPrecision(5));
  refresh();
}

function readRange() {
  const input = byId("range-number");
  trying("range-message", input, () => {
    state.top = rangeOf(input.value);
    refresh();
  });
}

function listen() {
  byId("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const active = document.activeElement;
    if (active && active.id === "density-text") readDensityText();
    else if (active && active.id === "range-number") readRange();
    else if (active && active.closest("#parameters")) active.dispatchEvent(new Event("change"));
    else addFormat();
  });
  const on = (id, event, action) => byId(id).addEventListener(event, action);
  on("family", "change", chooseFamily);
  on("shape", "change", chooseShape);
  on("density-text", "change", readDensityText);
  on("use-numbers", "click", useNumbers);
  on("range", "input", slideRange);
  on("range-number", "change", readRange);
  on("best", "click", () => {
    state.top = null;
    refresh();
  });
  on("file", "change", () => {
    if (byId("file").files.length) takeFile(byId("file").files[0]);
    byId("file").value = "";
  });
  const drop = byId("drop");
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) takeFile(event.dataTransfer.files[0]);
  });
  document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", () =>
    copy(byId(button.dataset.copy).textContent, button)));
  on("copy-link", "click", () => copy(location.href, byId("copy-link")));
  on("theme", "click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    drawAll();
  });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  hues.clear();
}

/** Copy a text; the button says that it was done. */
async function copy(text, button) {
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page from a file may not have the clipboard: copy the old way.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = said; }, 1500);
}

function fillLists() {
  const simple = Object.keys(FAMILIES).filter((name) => MAKERS[name] && !["truncated", "clipped", "rectified", "mixture"].includes(name));
  byId("family").replaceChildren(...simple.map((name) => new Option(name, name)));
  const names = [...new Set(Object.values(FORMATS).map(({ name }) => name))];
  byId("format-list").replaceChildren(...names.map((name) => new Option(name, name)));
}
