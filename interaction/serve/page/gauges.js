// How well it goes, in figures of the last few seconds.

const RECENT = 25; // turns; five seconds
const EVERY = 5; // turns from one reading to the next: figures that jump cannot be read

export class Gauges {
  #trip = [];
  #compute = [];
  #unheard_ms = 0;
  #turns = 0;
  #root;
  #meter;

  /** root: holds a meter, and elements named by data-gauge. */
  constructor(root) {
    this.#root = root;
    this.#meter = root.querySelector("[role=meter]");
  }

  clear(turn_ms) {
    this.#trip = [];
    this.#compute = [];
    this.#unheard_ms = this.#turns = 0;
    this.#meter.ariaValueMax = turn_ms;
    this.#measure(0);
    this.late(0);
  }

  /** As `Say`; trip: milliseconds from sending a turn to its reply, or null. */
  said({ compute_ms, missing_ms }, trip) {
    if (trip !== null) this.#trip = [...this.#trip, trip].slice(-RECENT);
    this.#compute = [...this.#compute, compute_ms].slice(-RECENT);
    this.#unheard_ms += missing_ms;
    if (this.#turns++ % EVERY) return;
    this.#show("trip", middle(this.#trip));
    this.#show("trip-worst", `worst ${worst(this.#trip)} ms`);
    this.#show("compute", middle(this.#compute));
    this.#measure(Math.max(...this.#compute));
    this.#show("unheard", (this.#unheard_ms / 1000).toFixed(1));
  }

  /** Replies that came too late to follow on. */
  late(count) {
    this.#show("late", count);
  }

  #measure(ms) {
    const share = ms / this.#meter.ariaValueMax;
    this.#meter.ariaValueNow = Math.round(ms);
    this.#meter.ariaValueText = `longest ${Math.round(ms)} of ${this.#meter.ariaValueMax} ms`;
    this.#meter.dataset.over = share > 1;
    this.#meter.firstElementChild.style.width = `${Math.min(100, 100 * share)}%`;
  }

  #show(name, text) {
    this.#root.querySelector(`[data-gauge="${name}"]`).textContent = text;
  }
}

function middle(values) {
  if (!values.length) return "–";
  return Math.round([...values].sort((a, b) => a - b)[values.length >> 1]);
}

const worst = (values) => (values.length ? Math.round(Math.max(...values)) : "–");
