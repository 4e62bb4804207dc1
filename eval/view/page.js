"use strict";
// Draws the samples of every task: a list, worst first, and a timeline for each that is opened.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const LEAST = 64, MOST = 160; // pixels of a second
const LETTER = 6.2; // pixels of a letter, about
const LEVELS = 3, STEP = 13; // of words above a voice
const HALF = 20; // of a voice at full scale
const AT_ONCE = 20;

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const draw = (name, attributes, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const number = (value, unit = "") =>
  value === null || value === undefined ? "none" : `${+(+value).toFixed(3)} ${unit}`.trim();

function voice(svg, letters, middle, kind, second) {
  const step = DATA.column_s * second;
  const heights = [...(letters || "")].map(
    (letter) => (HALF * DATA.levels.indexOf(letter)) / (DATA.levels.length - 1));
  const over = heights.map((h, i) => `${(i * step).toFixed(1)} ${(middle - h).toFixed(1)}`);
  const under = heights.map((h, i) => `${(i * step).toFixed(1)} ${(middle + h).toFixed(1)}`);
  if (over.length) {
    svg.append(draw("path", { class: kind, d: `M${over.join("L")}L${under.reverse().join("L")}Z` }));
  }
  svg.append(draw("line", { class: "grid", x1: 0, x2: svg.width.baseVal.value, y1: middle, y2: middle }));
}

// Each word on the lowest level where it does not overlap, else on the one that is free first.
function words(svg, spoken, top, kind, second) {
  const ends = Array(LEVELS).fill(-Infinity);
  for (const [text, t] of spoken) {
    const said = text.trim();
    if (!said) continue;
    const wanted = t * second;
    let level = ends.findIndex((end) => end <= wanted);
    if (level < 0) level = ends.indexOf(Math.min(...ends));
    const x = Math.max(wanted, ends[level]);
    ends[level] = x + said.length * LETTER + LETTER;
    svg.append(draw("text", { class: kind, x, y: top + (LEVELS - level) * STEP }, said));
  }
}

function marks(svg, one, y, second) {
  for (const t of one.cut || []) {
    svg.append(draw("path", { class: "cut", d: `M${t * second} ${y - 2 * HALF - 8}V${y - 6}` }));
    svg.append(draw("text", { class: "cut", x: t * second - 4, y: y - 2 * HALF - 8, stroke: "none" }, "✕"));
  }
  let end = 0;
  const tools = [...(one.calls || []).map(([t, text]) => [t, `◆ ${text}`]),
    ...(one.results || []).map(([t, text]) => [t, `■ ${text}`])].sort((a, b) => a[0] - b[0]);
  for (const [t, text] of tools) {
    const x = Math.max(t * second, end);
    end = x + text.length * LETTER + LETTER;
    svg.append(draw("text", { class: "tool", x, y: y + 4 }, text));
  }
}

const spoken = (one) => (one.text || []).map(([, text]) => text).join("").trim();

function timeline(sample, room) {
  const second = Math.min(MOST, Math.max(LEAST, Math.floor((room - 16) / sample.s)));
  const lanes = sample.runs.map((one, i) => [DATA.runs[i], one]).filter(([, one]) => one && one.out !== undefined);
  const lane = 16 + LEVELS * STEP + 2 * HALF + 22;
  const height = lane * (1 + lanes.length) + 18;
  const width = Math.max(320, Math.ceil(sample.s * second) + 8);
  const told = [`User: ${(sample.user || []).map(([text]) => text).join(" … ")}`,
    ...lanes.map(([name, one]) => `${name}: ${spoken(one) || "no words"}`)].join(". ");
  const svg = draw("svg", { width, height, role: "img", "aria-label": told });
  for (let t = 0; t <= sample.s; t++) {
    svg.append(draw("line", { class: "grid", x1: t * second, x2: t * second, y1: 0, y2: height - 14 }));
    if (t * second + 24 < width) svg.append(draw("text", { class: "axis", x: t * second + 2, y: height - 3 }, `${t} s`));
  }
  [["user", { out: sample.in, text: [] }], ...lanes].forEach(([name, one], i) => {
    const top = i * lane, kind = i ? "agent" : "user", middle = top + 16 + LEVELS * STEP + HALF + 4;
    svg.append(draw("text", { class: "name", x: 2, y: top + 12 }, name));
    voice(svg, one.out, middle, kind, second);
    const said = i ? (one.text || []).map(([t, text]) => [text, t]) : sample.user || [];
    words(svg, said, top + 12, `${kind}-ink`, second);
    marks(svg, one, middle + HALF + 8, second);
  });
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Timeline of ${sample.id}` }, svg);
}

function player(name, source) {
  return make("div", {}, name, make("audio", { controls: "", preload: "none", src: source, "aria-label": name }));
}

function players(sample) {
  const box = make("div", { class: "listen" });
  let user = false;
  sample.runs.forEach((one, i) => {
    if (!one) return;
    if (one.ogg) {
      box.append(player(`user left, ${DATA.runs[i]} right`, `data:audio/ogg;base64,${one.ogg}`));
    } else if (one.at) {
      const path = one.at.split("/").map(encodeURIComponent).join("/");
      if (!user) box.append(player("user", `${path}/input.wav`));
      user = true;
      box.append(player(DATA.runs[i], `${path}/output.wav`));
    }
  });
  return box;
}

function facts(sample, columns) {
  const list = make("dl");
  const add = (key, value) => value && list.append(make("dt", {}, key), make("dd", {}, value));
  add("user says", (sample.user || []).map(([text]) => text).join(" … "));
  add("instructions", sample.ask);
  add("truth", sample.truth);
  sample.runs.forEach((one, i) => {
    if (!one) return add(DATA.runs[i], "not run");
    const measured = (one.row || []).map((value, j) => `${columns[j][0]} ${number(value, columns[j][2])}`).join(", ");
    const said = one.out === undefined ? "" : spoken(one) ? `says “${spoken(one)}”` : "writes no words";
    const unlike = one.unlike ? "heard another input" : "";
    add(DATA.runs[i], [one.failed && `failed: ${one.failed}`, said, measured, unlike].filter(Boolean).join("; "));
  });
  return list;
}

function entry(sample, columns, column) {
  const values = make("span", { class: "values" });
  sample.runs.forEach((one, i) => {
    const value = !one ? "not run" : one.failed !== undefined ? "failed"
      : column < 0 ? "" : number(one.row[column], columns[column][2]);
    values.append(i ? ", " : "", `${DATA.runs[i]} `, make("b", one && one.failed !== undefined ? { class: "why" } : {}, value));
  });
  const details = make("details", {}, make("summary", {}, make("b", {}, sample.id), values));
  details.addEventListener("toggle", () => {
    if (!details.open || details.dataset.drawn) return;
    details.dataset.drawn = "1";
    if (sample.s) details.append(timeline(sample, details.clientWidth), legend(), players(sample));
    details.append(facts(sample, columns));
  });
  return make("li", {}, details);
}

const legend = () => make("p", { class: "legend" }, make("i", { class: "cut" }, "✕"), " cut off  ",
  make("i", { class: "tool" }, "◆"), " tool called  ", make("i", { class: "tool" }, "■"), " its result");

// Failures first, then by the value, worst first; samples without a value last.
function order(samples, run, column, way) {
  const key = ({ runs }) => {
    const one = runs[run];
    if (!one) return [2, 0];
    if (one.failed !== undefined) return [0, 0];
    const value = column < 0 ? null : one.row[column];
    return value === null ? [1.5, 0] : [1, way < 0 ? -value : value];
  };
  return samples.map((sample) => [key(sample), sample])
    .sort(([a], [b]) => a[0] - b[0] || a[1] - b[1]).map(([, sample]) => sample);
}

function browse(section) {
  const { columns, samples } = DATA.tasks[section.dataset.task];
  const select = (options) => make("select", {}, ...options.map((text, i) => make("option", { value: i }, text)));
  const run = select(DATA.runs), column = select(columns.map(([name]) => name));
  const failed = make("input", { type: "checkbox" });
  const list = make("ul", { class: "samples" }), more = make("button", { type: "button" });
  const count = make("span", { role: "status" });
  let shown = AT_ONCE;
  const show = () => {
    const at = columns.length ? +column.value : -1;
    let every = order(samples, +run.value, at, at < 0 ? 0 : columns[at][1]);
    if (failed.checked) every = every.filter(({ runs }) => runs[+run.value]?.failed !== undefined);
    list.replaceChildren(...every.slice(0, shown).map((sample) => entry(sample, columns, at)));
    count.textContent = `${every.length} samples`;
    more.hidden = every.length <= shown;
    more.textContent = `Show ${Math.min(AT_ONCE, every.length - shown)} more`;
  };
  const again = () => { shown = AT_ONCE; show(); };
  for (const control of [run, column, failed]) control.addEventListener("change", again);
  more.addEventListener("click", () => {
    const first = shown;
    shown += AT_ONCE;
    show();
    list.children[first]?.querySelector("summary").focus();
  });
  section.querySelector(".browser").append(
    make("h3", {}, "Samples"),
    make("div", { class: "choose" }, make("label", {}, "worst first by", column), make("label", {}, "of", run),
      make("label", {}, failed, "failed only"), count),
    list, more);
  show();
}

document.querySelectorAll("section.task").forEach(browse);
document.body.dataset.state = "drawn";
