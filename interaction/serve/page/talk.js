// One conversation: what is heard, seen and typed into turns, and what is said played.

import { still } from "./camera.js";
import { Connection } from "./connection.js";
import { Pace } from "./pace.js";
import { Sound } from "./sound.js";

const PIECE = 1_600; // samples of half a turn
const EARLY_MS = 40; // that a turn is to be at the server before it is taken
const ON_THE_WAY = 2; // turns

export class Talk {
  #told;
  #camera;
  #sound;
  #connection = null;
  #pace;
  #first = null; // half of a turn, and what the camera showed at its end
  #look = 0; // turns until the model looks again
  #shown = null; // a picture that is held up: {jpeg, turns}
  #words = [];
  #started = null;
  #ended = false;

  /** In a click's or a key's time. told: as `Connection`'s, and `heard(turn, pcm)`,
   * `played` and `unplugged` as `Sound`'s, `deaf(error)`: there is no microphone. */
  constructor(camera, told) {
    this.#camera = camera;
    this.#told = told;
    const piece = (pcm) => this.#piece(pcm);
    this.#sound = new Sound({ piece, played: told.played, unplugged: told.unplugged });
  }

  /** Raises Error when the browser has no sound at all. */
  async begin(key, consent, muted) {
    await this.#sound.open();
    try {
      await this.#sound.listen();
    } catch (error) {
      if (!this.#ended) this.#told.deaf(error);
    }
    if (this.#ended) return; // while the browser asked
    this.#sound.mute(muted);
    this.#connection = new Connection(key, consent, {
      ...this.#told,
      live: (started) => this.#live(started),
      say: (message, trip) => this.#say(message, trip),
    });
  }

  end() {
    this.#ended = true;
    this.#connection?.close();
    this.#sound.close();
  }

  mute(muted) {
    this.#sound.mute(muted);
  }

  type(text) {
    this.#words.push(text);
  }

  /** Hold a picture file up until the model has looked. Raises DOMException. */
  async show(file) {
    const box = this.#box();
    this.#shown = { jpeg: await still(file, box), turns: this.#started.frame_period };
  }

  #box() {
    return { width: this.#started.frame_width, height: this.#started.frame_height };
  }

  #live(started) {
    this.#started = started;
    this.#pace = new Pace(EARLY_MS, ON_THE_WAY);
    this.#look = 0;
    this.#told.live(started);
  }

  #piece(pcm) {
    if (!this.#started) return;
    const looking = this.#camera.on && this.#look <= 0 && !this.#shown;
    const picture = looking ? this.#camera.look(this.#box()) : null;
    if (!this.#first) {
      this.#first = { pcm, picture };
      return;
    }
    const first = this.#first;
    this.#first = null;
    const both = new Int16Array(2 * PIECE);
    both.set(first.pcm);
    both.set(pcm, PIECE);
    this.#hear(both, first.picture && picture ? [first.picture, picture] : this.#held());
  }

  #held() {
    return this.#shown ? [this.#shown.jpeg, this.#shown.jpeg] : null;
  }

  #hear(pcm, pictures) {
    const text = this.#words[0] ?? "";
    const audio = new Uint8Array(pcm.buffer);
    const number = this.#connection.hear({ audio, text, ...(pictures && { pictures }) });
    if (number === null) return;
    this.#words.shift();
    if (this.#shown) this.#shown = --this.#shown.turns > 0 ? this.#shown : null;
    else if (pictures) this.#look = this.#started.frame_period;
    this.#look -= 1;
    this.#told.heard(number, pcm);
  }

  #say(message, trip) {
    if (trip !== null) {
      const early = message.missing_ms ? -EARLY_MS : message.early_ms;
      this.#sound.steer(this.#pace.came(early));
    }
    // A copy: the sound lies anywhere in its message, samples at even places alone.
    const pcm = new Int16Array(message.audio.slice().buffer);
    this.#sound.play(pcm, message.cleared);
    this.#told.say(message, trip, pcm);
  }
}
