// The live timeline: two voices on one clock, their words, and what the agent decided.

import { clock } from "./clock.js";

const STEP_S = 0.02; // of a level
const KEPT = 4_096; // levels; 82 s
const BAR = 2; // levels a bar
const BEHIND_S = 0.2; // what is shown lies so far back: by then both sides are known
const JUMP_S = 0.5; // the clock is set, rather than nudged, when it is off by more
const ACTIVE = 0.04; // a peak above this is speech
const PAUSE_S = 0.4; // within speech
const GUTTER = 54; // pixels left of time, for names
const AXIS = 22;
const MARKS = 30;
const WORDS = 36; // two rows of them, above each voice
const EDGE = 14; // pixels beside the first and the last second that is named
const FRAME_MS = 30; // from one picture to the next
const FONT = 12;
const NAMES = { user: "You", agent: "Agent" };

/** Peaks of 20 ms each, of int16 samples. */
function levels(pcm, turn_s) {
  const n = Math.round(turn_s / STEP_S);
  const width = pcm.length / n;
  return Array.from({ length: n }, (_, i) =>
    pcm.subarray(i * width, (i + 1) * width).reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 32768,
  );
}

/** The levels of one voice: the newest of them, by time. */
class Lane {
  #levels = new Float32Array(KEPT);
  #end = 0;

  write(t, values) {
    const start = Math.round(t / STEP_S);
    for (; this.#end < start; this.#end++) this.#levels[this.#end % KEPT] = 0;
    values.forEach((value, i) => (this.#levels[(start + i) % KEPT] = value));
    this.#end = start + values.length;
  }

  /** At step i, 0 where nothing is known. */
  at(i) {
    return i >= 0 && i < this.#end && i > this.#end - KEPT ? this.#levels[i % KEPT] : 0;
  }
}

export class Timeline {
  #canvas;
  #context;
  #lanes = { user: new Lane(), agent: new Lane() };
  #events = []; // of the last minute or so
  #overlaps = []; // [from, to]
  #turn_s = 0.2;
  #known = 0; // stream time that has come
  #came = 0; // and when
  #shown = 0;
  #frame = 0; // when the last picture was drawn
  #running = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  start(turn_ms) {
    this.#turn_s = turn_ms / 1000;
    this.#running = true;
    requestAnimationFrame((now) => this.#step(now));
  }

  /** Time stands. */
  stop() {
    this.#running = false;
  }

  heard(turn, pcm) {
    this.#lanes.user.write(turn * this.#turn_s, levels(pcm, this.#turn_s));
  }

  /** As `Say`, and its sound. */
  said(message, pcm) {
    const end = (message.turn + 1) * this.#turn_s;
    this.#lanes.agent.write(end, levels(pcm, this.#turn_s));
    for (const event of message.events) {
      this.#add({ ...event });
      if (event.kind === "CLEAR") this.#overlaps.push([this.#onset(event.t_s), event.t_s]);
    }
    const oldest = end - KEPT * STEP_S;
    this.#events = this.#events.filter((event) => event.t_s > oldest);
    this.#overlaps = this.#overlaps.filter(([, to]) => to > oldest);
    this.#known = end;
    this.#came = performance.now();
  }

  /** A word's later pieces, which begin with no space, go to its first. */
  #add(event) {
    const spoken = event.lane === "user" || event.lane === "agent";
    const first = spoken && this.#events.findLast((each) => each.lane === event.lane);
    if (!first || event.text.startsWith(" ")) return this.#events.push(event);
    first.text += event.text;
    if (event.lane === "user") first.t_s = event.t_s;
  }

  /** When the user came in, who was still speaking at t. */
  #onset(t) {
    const last = Math.round(t / STEP_S);
    let onset = last;
    for (let i = last; i > onset - PAUSE_S / STEP_S && i > 0; i--) {
      if (this.#lanes.user.at(i) > ACTIVE) onset = i;
    }
    return onset * STEP_S;
  }

  #step(now) {
    if (!this.#running) return;
    requestAnimationFrame((then) => this.#step(then));
    if (now - this.#frame < FRAME_MS) return;
    const passed = Math.min((now - this.#frame) / 1000, JUMP_S);
    const want = this.#known - BEHIND_S + Math.min((now - this.#came) / 1000, this.#turn_s);
    const off = want - this.#shown - passed;
    this.#shown += passed + (Math.abs(off) > JUMP_S ? off : 0.05 * off);
    this.#frame = now;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio;
    if (this.#canvas.width !== Math.round(width * scale)) this.#canvas.width = width * scale;
    if (this.#canvas.height !== Math.round(height * scale)) this.#canvas.height = height * scale;
    const c = this.#context;
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, width, height);
    c.font = `${FONT}px ${style.fontFamily}`;
    const view = this.#view(width, height);
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, width - GUTTER, height);
    c.clip();
    drawGrid(c, view, colour);
    for (const [from, to] of this.#overlaps) drawOverlap(c, view, from, to, colour);
    for (const name of ["user", "agent"]) {
      drawVoice(c, view, this.#lanes[name], view[name], colour(name));
      const words = this.#events.filter((event) => event.lane === name);
      drawWords(c, view, words, view[name], colour(name));
    }
    for (const event of this.#events) {
      if (event.lane === "control") drawMark(c, view, event, colour);
    }
    c.restore();
    c.textAlign = "left";
    for (const name of ["user", "agent"]) {
      c.fillStyle = colour(name);
      c.fillText(NAMES[name], 0, view[name] + FONT / 3);
    }
  }

  /** Where things lie: time on x, and the middles of the lanes. Time flows; for who wants
   * little motion it stands, and turns over like a page. */
  #view(width, height) {
    const span = width - GUTTER;
    const seconds = Math.max(span / 90, 4);
    const page = Math.floor(this.#shown / seconds) * seconds;
    const first = this.#still.matches ? page : this.#shown - seconds;
    const lane = (height - AXIS - MARKS) / 2;
    const half = (lane - WORDS) / 2;
    return {
      width,
      height,
      first,
      last: Math.min(this.#shown, first + seconds),
      x: (t) => GUTTER + ((t - first) / seconds) * span,
      user: lane - half,
      agent: 2 * lane - half,
      half,
      marks: height - AXIS - MARKS / 2,
    };
  }
}

function drawGrid(c, view, colour) {
  c.strokeStyle = colour("line");
  c.fillStyle = colour("soft");
  c.lineWidth = 1;
  c.textAlign = "center";
  c.beginPath();
  for (let t = Math.max(Math.ceil(view.first - 1), 0); view.x(t) < view.width + 20; t++) {
    const x = Math.round(view.x(t)) + 0.5;
    c.moveTo(x, 0);
    c.lineTo(x, view.height - AXIS);
    if (x > GUTTER + EDGE && x < view.width - EDGE) c.fillText(clock(t), x, view.height - 5);
  }
  for (const middle of [view.user, view.agent]) {
    c.moveTo(GUTTER, Math.round(middle) + 0.5);
    c.lineTo(view.width, Math.round(middle) + 0.5);
  }
  c.stroke();
}

/** Loudness is drawn by its root: quiet voices stay visible. */
function drawVoice(c, view, lane, middle, colour) {
  c.fillStyle = colour;
  const wide = view.x(BAR * STEP_S) - view.x(0);
  const first = Math.floor(view.first / STEP_S / BAR) * BAR;
  for (let i = first; (i + BAR) * STEP_S <= view.last; i += BAR) {
    if (i < 0) continue;
    const peak = Math.max(...Array.from({ length: BAR }, (_, k) => lane.at(i + k)));
    const half = Math.max(1, Math.min(1, Math.sqrt(peak)) * view.half);
    c.globalAlpha = half > 4 ? 1 : 0.4;
    c.beginPath();
    c.roundRect(view.x(i * STEP_S), middle - half, 0.6 * wide, 2 * half, 0.3 * wide);
    c.fill();
  }
  c.globalAlpha = 1;
}

/** Above their voice, on the lower of two rows where there is room. A word of the user's
 * ends at its time, one of the agent's begins there. */
function drawWords(c, view, events, middle, colour) {
  c.fillStyle = colour;
  c.textAlign = "left";
  const ends = [-Infinity, -Infinity];
  for (const { t_s, text, lane } of events) {
    if (t_s > view.last + 0.05) continue;
    const word = text.trim();
    const width = c.measureText(word).width;
    const x = view.x(t_s) - (lane === "user" ? width : 0);
    let row = ends.findIndex((end) => end + 5 <= x);
    if (row < 0) row = ends[0] <= ends[1] ? 0 : 1;
    const at = Math.max(x, ends[row] + 5);
    ends[row] = at + width;
    c.fillText(word, at, middle - view.half - 6 - row * (FONT + 2));
  }
}

function drawMark(c, view, { t_s, kind }, colour) {
  const [x, y] = [view.x(t_s), view.marks];
  if (t_s > view.last || x < GUTTER - 60) return;
  c.textAlign = "left";
  c.lineWidth = 2;
  c.beginPath();
  if (kind === "CLEAR") {
    c.strokeStyle = c.fillStyle = colour("clear");
    for (const side of [-1, 1]) {
      c.moveTo(x - 4, y - 4 * side);
      c.lineTo(x + 4, y + 4 * side);
    }
    c.stroke();
    c.fillText("CLEAR", x + 9, y + FONT / 3);
  } else if (kind === "BREAK") {
    c.strokeStyle = colour("soft");
    c.moveTo(x, y - 6);
    c.lineTo(x, y + 6);
    c.stroke();
  } else if (kind === "DELEGATE") {
    c.fillStyle = colour("background");
    c.moveTo(x, y - 6);
    for (const [dx, dy] of [[6, 0], [0, 6], [-6, 0]]) c.lineTo(x + dx, y + dy);
    c.fill();
    c.fillText("DELEGATE", x + 10, y + FONT / 3);
  }
}

/** A barge-in: from where the user came in to where the agent gave way. */
function drawOverlap(c, view, from, to, colour) {
  const [x, end] = [view.x(from), view.x(Math.min(to, view.last))];
  if (end <= x) return;
  c.fillStyle = c.strokeStyle = colour("clear");
  c.globalAlpha = 0.12;
  c.fillRect(x, 0, end - x, view.height - AXIS);
  c.globalAlpha = 1;
  c.lineWidth = 1;
  c.setLineDash([3, 3]);
  c.beginPath();
  c.moveTo(end, 0);
  c.lineTo(end, view.marks - 8);
  c.stroke();
  c.setLineDash([]);
}
