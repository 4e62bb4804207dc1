// What the background model gave back, as cards, the newest first.

import { clock } from "./clock.js";

const KEPT = 50;

export class Background {
  #section;
  #list;

  /** section: hidden until there is something; holds a list. */
  constructor(section) {
    this.#section = section;
    this.#list = section.querySelector("ol");
  }

  clear() {
    this.#list.replaceChildren();
    this.#section.hidden = true;
  }

  /** An event of the lane `background`. */
  add({ t_s, kind, text }) {
    const card = document.createElement("li");
    const head = document.createElement("b");
    head.textContent = `${kind} · ${clock(t_s)}`;
    const body = document.createElement("p");
    body.textContent = text;
    card.append(head, body);
    this.#list.prepend(card);
    while (this.#list.children.length > KEPT) this.#list.lastChild.remove();
    this.#section.hidden = false;
  }
}
