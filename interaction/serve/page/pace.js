// Two clocks that are not one: a sound card's and the server's. What comes in steps by one
// is kept a little ahead of the other, by cuts where it is far off and else by a change of
// speed that nobody hears.

const RECENT = 25; // steps that are looked at; five seconds
const ENOUGH = 5; // steps that tell that there is time to spare
const FAR_MS = 80; // more to spare than this is cut
const LATE_MS = 20; // less to spare than the margin by this is mended at once
const SLOW_MS = 20_000; // in which a small difference is made good
const MOST = 0.004; // change of speed

export class Pace {
  #recent = [];
  #rate = 0;
  #settling = 0;

  /** margin: milliseconds ahead, of the latest of the recent steps. settle: steps on their
   * way already when a cut is made, which tell nothing of it. */
  constructor(margin, settle) {
    this.margin = margin;
    this.settle = settle;
  }

  /** A step came so many milliseconds ahead. -> what to do: `cut`, milliseconds of sound to
   * leave out, or to fill in where negative; `rate`, by how much to go faster through it. */
  came(early) {
    if (this.#settling) {
      this.#settling -= 1;
      return { cut: 0, rate: this.#rate };
    }
    this.#recent = [...this.#recent, early].slice(-RECENT);
    const spare = Math.min(...this.#recent) - this.margin;
    if (spare < -LATE_MS || (spare > FAR_MS && this.#recent.length >= ENOUGH)) {
      this.#recent = [];
      this.#settling = this.settle;
      return { cut: spare, rate: (this.#rate = 0) };
    }
    this.#rate = Math.max(-MOST, Math.min(MOST, spare / SLOW_MS));
    return { cut: 0, rate: this.#rate };
  }
}
