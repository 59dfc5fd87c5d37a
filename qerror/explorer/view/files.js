// Numbers that are typed, and files that are dropped: .npy as NumPy saves it, .csv and plain text.

const MOST_BYTES = 64 * 2 ** 20;
const MOST_VALUES = 4e6;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i; // what Python's float reads too

/** Read numbers parted by blanks, commas, semicolons or lines; a first line of names is skipped. */
function readNumbers(text, { header = false } = {}) {
  const clean = text.trim();
  if (!clean) refuse("there are no numbers here; type some, such as 0.3 -1.2 0.05");
  const lines = clean.split(/\r?\n/);
  const isNumber = (part) => DECIMAL.test(part);
  const split = (line) => line.split(/[\s,;]+/).filter((part) => part !== "");
  const hasNames = header && lines.length > 1 && !split(lines[0]).some(isNumber);
  if (hasNames) lines.shift();
  const found = [];
  for (const line of lines) {
    for (const part of split(line)) {
      const value = isNumber(part) ? Number(part) : NaN;
      if (Number.isNaN(value)) {
        const missing = /^[+-]?nan$/i.test(part);
        refuse(missing ? "one of the numbers is nan; leave it out first"
          : `"${part.slice(0, 40)}" is not a number`);
      }
      found.push(value);
    }
    if (found.length > MOST_VALUES) refuse(tooMany(found.length));
  }
  return Object.assign(Float64Array.from(found), { hasNames });
}

const tooMany = (count) => `${count.toLocaleString("en")} values are more than the `
  + `${MOST_VALUES.toLocaleString("en")} that this page takes; the command takes any number: `
  + "qerror optimize FORMAT --data FILE";

const NPY_READERS = {
  f4: [4, (view, at, little) => view.getFloat32(at, little)],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
  f2: [2, (view, at, little) => halfFloat(view.getUint16(at, little))],
  i1: [1, (view, at) => view.getInt8(at)],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  i8: [8, (view, at, little) => safeInteger(view.getBigInt64(at, little))],
  u1: [1, (view, at) => view.getUint8(at)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  u8: [8, (view, at, little) => safeInteger(view.getBigUint64(at, little))],
};

function halfFloat(code) {
  const sign = code & 0x8000 ? -1 : 1;
  const exponent = (code >> 10) & 31;
  const fraction = code & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

function safeInteger(value) {
  if (value > 9007199254740992n || value < -9007199254740992n) {
    refuse("integers beyond 2^53 have no exact float64; divide them first");
  }
  return Number(value);
}

/** Read an array as NumPy's .npy holds it; returns its values, flat. */
function readNpy(buffer) {
  const view = new DataView(buffer);
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (buffer.byteLength < 10 || magic.some((byte, i) => view.getUint8(i) !== byte)) {
    refuse("this is no .npy file: it does not begin as NumPy's files do");
  }
  const wide = view.getUint8(6) > 1;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  if (start > buffer.byteLength) refuse("this .npy file ends in the middle of its header");
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, start - length, length));
  const descr = /'descr':\s*'([<>|=]?)([a-zA-Z]\d+)'/.exec(header);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header);
  if (!descr || !shape) refuse("the header of this .npy file cannot be read");
  const reader = NPY_READERS[descr[2]];
  if (!reader) {
    refuse(`this .npy file holds ${descr[2]}; the page reads real numbers: float16, float32, `
      + "float64 and integers");
  }
  const sizes = shape[1].split(",").map((part) => part.trim()).filter((part) => part !== "");
  const count = sizes.reduce((a, b) => a * Number(b), 1);
  const [size, read] = reader;
  if (count > MOST_VALUES) refuse(tooMany(count));
  if (start + count * size > buffer.byteLength) refuse("this .npy file is shorter than it says");
  const values = new Float64Array(count);
  const little = descr[1] !== ">";
  for (let i = 0; i < count; i++) values[i] = read(view, start + i * size, little);
  return values;
}

/** Read a file into numbers; refuses what is too large before reading it. */
async function readFile(file) {
  if (file.size > MOST_BYTES) {
    refuse(`${file.name} has ${Math.round(file.size / 1e6).toLocaleString("en")} MB; the page reads `
      + "files up to 67 MB. The command has no limit: qerror optimize FORMAT --data FILE");
  }
  if (/\.npy$/i.test(file.name)) return readNpy(await file.arrayBuffer());
  if (!/\.(csv|txt|tsv|dat)$/i.test(file.name)) {
    refuse(`${file.name}: the page reads .npy and .csv files`);
  }
  return readNumbers(await file.text(), { header: true });
}
