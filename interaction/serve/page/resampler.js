// Sound from one rate to another, as a stream: a windowed sinc, tabulated.

const CROSSINGS = 16; // of zero on each side of the middle
const PHASES = 128; // between two samples; values between two phases are interpolated
const BAND = 0.92; // of what the lower rate could carry: the rest is the filter's slope
const ROOM = 8192; // samples that may wait

export class Resampler {
  #half;
  #table;
  #samples = new Float32Array(ROOM);
  #end; // of what has been written
  #at; // where the next value lies

  /** Samples a second. */
  constructor(from, to) {
    this.step = from / to;
    const band = BAND * Math.min(1, to / from);
    this.#half = Math.ceil(CROSSINGS / band);
    this.#table = table(band, this.#half);
    this.#end = this.#at = this.#half; // silence before the first
  }

  /** A few thousand at a time; what has not been read of more is lost. */
  write(samples) {
    const used = Math.max(Math.floor(this.#at) - this.#half, 0);
    if (this.#end + samples.length > ROOM) {
      this.#samples.copyWithin(0, used, this.#end);
      this.#end -= used;
      this.#at -= used;
    }
    this.#samples.set(samples, this.#end);
    this.#end += samples.length;
  }

  /** Fill `out` from `start` on, as far as what was written reaches. Faster than the rates
   * say by `rate`. -> where it ended. */
  read(out, start = 0, rate = 0) {
    const taps = 2 * this.#half;
    const step = this.step * (1 + rate);
    let n = start;
    for (; n < out.length; n++) {
      const whole = Math.floor(this.#at);
      if (whole + this.#half >= this.#end) break;
      const phase = (this.#at - whole) * PHASES;
      const row = Math.floor(phase);
      const between = phase - row;
      let sum = 0;
      for (let k = 0, i = row * taps, s = whole - this.#half + 1; k < taps; k++, i++, s++) {
        const tap = this.#table[i];
        sum += (tap + between * (this.#table[i + taps] - tap)) * this.#samples[s];
      }
      out[n] = sum;
      this.#at += step;
    }
    return n;
  }
}

/** Rows of taps, one a phase and one more; each passes a constant as it is. */
function table(band, half) {
  const rows = new Float32Array((PHASES + 1) * 2 * half);
  for (let phase = 0; phase <= PHASES; phase++) {
    const row = rows.subarray(phase * 2 * half, (phase + 1) * 2 * half);
    for (let k = 0; k < row.length; k++) {
      const distance = k - half + 1 - phase / PHASES;
      const x = Math.PI * band * distance;
      const turn = (Math.PI * distance) / half;
      const blackman = 0.42 + 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn);
      row[k] = (x ? Math.sin(x) / x : 1) * (Math.abs(distance) < half ? blackman : 0);
    }
    const sum = row.reduce((a, b) => a + b);
    row.forEach((tap, k) => (row[k] = tap / sum));
  }
  return rows;
}
