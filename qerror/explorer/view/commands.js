// The same figures by the command line and by Python: texts to copy.

/** Quote a text for a POSIX shell, where it needs it. */
function shellQuoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const pythonQuoted = (text) => JSON.stringify(text);

const isNpy = () => state.source && /\.npy$/i.test(state.source.name);

/** The density as the command's options. */
function densityOptions() {
  if (state.tree) return `--dist ${shellQuoted(textOfTree(state.tree))}`;
  return `--data ${shellQuoted(isNpy() ? state.source.name : "data.npy")}`;
}

/** The command that prints the active format's errors. */
function commandText() {
  const { text, format } = activeEntry();
  const name = shellQuoted(text);
  const head = state.tree || isNpy() ? "" : "# the command reads .npy files: save the numbers as data.npy first\n";
  if (format.kind === "block") {
    return state.tree ? `${head}qerror error ${name} ${densityOptions()}`
      : `${head}qerror sweep --formats ${name} ${densityOptions()}`;
  }
  const top = state.top === null ? "best" : shortest(state.top);
  return `${head}qerror error ${name} ${densityOptions()} --max-value ${top}`;
}

/** The Python lines that print the active format's SQNR. */
function pythonText() {
  const { text, format } = activeEntry();
  const lines = [];
  let density = state.tree ? pythonQuoted(textOfTree(state.tree)) : "x";
  if (!state.tree) {
    const file = pythonQuoted(state.source ? state.source.name : "data.npy");
    if (isNpy() || !state.source) lines.push("import numpy as np", `x = np.load(${file})`);
    else {
      const names = state.source.hasNames ? '.lstrip().split("\\n", 1)[1]' : "";
      lines.push("import re", "from pathlib import Path", "import numpy as np",
        `text = Path(${file}).read_text("utf-8-sig")${names}`,
        'x = np.array(re.findall(r"[^\\s,;]+", text), dtype=float)');
    }
  }
  const name = pythonQuoted(text);
  if (format.kind === "block" || state.top !== null) {
    const range = format.kind === "block" ? "" : `, max_value=${shortest(state.top)}`;
    lines.push("from qerror import quantization_error",
      `print(quantization_error(${name}, ${density}${range}).sqnr_db)`);
  } else {
    lines.push("from qerror import optimal_scale", `best = optimal_scale(${name}, ${density})`,
      "print(best.max_value, best.report.sqnr_db)");
  }
  return lines.join("\n");
}

/** The command that compares all formats, each at its best range. */
function compareText() {
  const names = state.formats.map(({ text }) => text);
  if (names.some((name) => name.includes(","))) {
    return names.map((name) => `qerror optimize ${shellQuoted(name)} ${densityOptions()}`).join("\n");
  }
  return `qerror sweep --formats ${shellQuoted(names.join(","))} ${densityOptions()}`;
}
