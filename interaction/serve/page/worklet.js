// What runs in the audio thread: the microphone's sound made into 16 kHz in even pieces,
// and what the server says made into the sound card's rate.

import { Pace } from "./pace.js";
import { Resampler } from "./resampler.js";

const RATE = 16_000;
const PIECE = 1_600; // samples of a piece: half a micro-turn
const LEAST = 4; // steps of 16 bits: no microphone is as silent as exact zeros, and models
// that have never heard those take them for something
const AHEAD_MS = 60; // of playback before the next turn comes
const FADE = 80; // samples in which what is cleared ends
const LOUD = 1e-3; // what is more than this is sound

const per = (ms) => Math.round((Math.abs(ms) * RATE) / 1000);

/** Gives pieces as Int16Array, whether or not a microphone is connected. Takes `{cut, rate}`
 * of `Pace`. */
class Microphone extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, RATE);
  #piece = new Float32Array(PIECE);
  #full = 0;
  #cut = 0; // samples
  #rate = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data: { cut, rate } }) => {
      this.#rate = rate;
      if (cut > 0) this.#cut = per(cut);
      else this.#fill(per(cut));
    };
  }

  process([[heard]], [[out]]) {
    this.#resampler.write(heard ?? new Float32Array(out.length));
    let before;
    do {
      before = this.#full;
      this.#full = this.#resampler.read(this.#piece, before, this.#rate);
      this.#leave(before);
      this.#give();
    } while (this.#full < before);
    return true;
  }

  /** Of what came last, what is to be cut. */
  #leave(before) {
    const cut = Math.min(this.#full - before, this.#cut);
    this.#full -= cut;
    this.#cut -= cut;
  }

  #fill(samples) {
    for (let n; samples > 0; samples -= n) {
      n = Math.min(samples, PIECE - this.#full);
      this.#piece.fill(0, this.#full, this.#full + n);
      this.#full += n;
      this.#give();
    }
  }

  #give() {
    if (this.#full < PIECE) return;
    this.#full = 0;
    const noise = () => LEAST * (Math.random() - Math.random());
    const bits = Int16Array.from(this.#piece, (x) =>
      Math.max(-32768, Math.min(32767, Math.round(32768 * x + noise()))),
    );
    this.port.postMessage(bits, [bits.buffer]);
  }
}

/** Takes `{samples, clear}`: float32 at 16 kHz; and tells ten times a second what it has
 * played: seconds of sound, turns that came too late to follow on, and the peak since. */
class Player extends AudioWorkletProcessor {
  #resampler = new Resampler(RATE, sampleRate);
  #pace = new Pace(AHEAD_MS, 0);
  #queue = [];
  #rate = 0;
  #begun = false;
  #told = { sounded: 0, late: 0, peak: 0 };
  #since = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  #take({ samples, clear }) {
    const left = this.#queue.reduce((n, part) => n + part.length, 0);
    this.#told.late += this.#begun && !left;
    this.#begun = true;
    if (clear) this.#clear(left);
    const { cut, rate } = this.#pace.came((1000 * left) / RATE);
    this.#rate = rate;
    if (cut < 0) this.#queue.push(new Float32Array(per(cut)));
    // Time is saved where nobody speaks.
    const still = samples.every((x) => Math.abs(x) < LOUD);
    this.#queue.push(cut > 0 && still ? samples.subarray(per(cut)) : samples);
  }

  /** What waits ends; as much silence as is to be ahead stays, so that nothing shifts. */
  #clear(left) {
    const part = new Float32Array(Math.min(left, per(AHEAD_MS)));
    const first = this.#queue[0]?.subarray(0, Math.min(FADE, part.length)) ?? [];
    first.forEach((x, i) => (part[i] = x * (1 - i / FADE)));
    this.#queue = [part];
  }

  process(_, [[out]]) {
    let n = 0;
    while ((n = this.#resampler.read(out, n, this.#rate)) < out.length && this.#queue.length) {
      const first = this.#queue[0];
      this.#resampler.write(first.subarray(0, out.length));
      if (first.length > out.length) this.#queue[0] = first.subarray(out.length);
      else this.#queue.shift();
    }
    const peak = out.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    this.#told.peak = Math.max(this.#told.peak, peak);
    if (peak > LOUD) this.#told.sounded += out.length / sampleRate;
    this.#since += out.length;
    if (this.#since > sampleRate / 10) {
      this.port.postMessage(this.#told);
      this.#told.peak = this.#since = 0;
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
registerProcessor("player", Player);
