// The conversation as text.

import { clock } from "./clock.js";

const PAUSE_S = 1.6; // after which the same voice begins anew
const BETWEEN_S = 0.6; // and when the other has begun meanwhile
const KEPT = 200; // entries
const NEAR = 160; // pixels from the end that still are its view
const NAMES = { user: "You", agent: "Agent" };

export class Transcript {
  #list;
  #open = { user: null, agent: null }; // {body, t_s}

  /** list: an element of role log. */
  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#list.replaceChildren();
    this.#list.tabIndex = -1;
    this.#open = { user: null, agent: null };
  }

  /** As `Say`. */
  said(message, turn_ms) {
    for (const { lane, kind, text, t_s } of message.events) {
      if (lane === "user") this.#add("user", text, t_s);
      else if (kind === "CLEAR") this.#end("cut short");
      else if (kind === "BREAK") this.#end("");
    }
    if (message.text) this.#add("agent", message.text, ((message.turn + 1) * turn_ms) / 1000);
  }

  typed(text, t_s) {
    this.#entry("user", t_s).append(text, note("typed"));
    this.#follow();
  }

  /** picture: a file. */
  showed(picture, t_s) {
    const image = document.createElement("img");
    image.alt = picture.name ? `The picture ${picture.name}` : "A picture";
    image.src = URL.createObjectURL(picture);
    image.onload = image.onerror = () => {
      URL.revokeObjectURL(image.src);
      this.#follow();
    };
    this.#entry("user", t_s).append(image, note("shown"));
  }

  #add(voice, text, t_s) {
    let open = this.#open[voice];
    const last = open?.body.parentElement === this.#list.lastElementChild;
    if (!open || t_s > open.t_s + (last ? PAUSE_S : BETWEEN_S)) {
      open = this.#open[voice] = { body: this.#entry(voice, t_s) };
      text = text.trimStart();
    }
    open.t_s = t_s;
    open.body.append(text);
    this.#follow();
  }

  #end(how) {
    const open = this.#open.agent;
    this.#open.agent = null;
    if (how && open) open.body.append(note(how));
  }

  /** -> where its text goes. */
  #entry(voice, t_s) {
    const item = document.createElement("li");
    item.className = voice;
    // Who speaks or types needs not be told what.
    if (voice === "user") item.setAttribute("aria-live", "off");
    const name = document.createElement("b");
    name.textContent = NAMES[voice];
    const time = document.createElement("time");
    time.textContent = clock(t_s);
    const body = document.createElement("p");
    item.append(name, time, body);
    this.#list.append(item);
    this.#list.tabIndex = 0; // to be scrolled by keys
    while (this.#list.children.length > KEPT) this.#list.firstElementChild.remove();
    return body;
  }

  /** Keep the end in view, unless who reads has gone back. */
  #follow() {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.#list.scrollTop = scrollHeight;
  }
}

function note(how) {
  const mark = document.createElement("i");
  mark.textContent = how;
  return mark;
}
