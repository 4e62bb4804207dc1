// What the background model gave back, drew and asks, as cards, the newest first.

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
    for (const card of [...this.#list.children]) this.#remove(card);
    this.#section.hidden = true;
  }

  /** An event of the lane `background`. */
  add({ t_s, kind, text }) {
    this.#card(`${kind} · ${clock(t_s)}`, [words(text)]);
  }

  /** A picture, as SVG; as an image, no script in it runs. */
  draw({ t_s, title, svg }) {
    const image = document.createElement("img");
    image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    image.alt = title || "a chart";
    this.#card(`chart · ${clock(t_s)}`, title ? [words(title), image] : [image]);
  }

  /** Whether a tool may act. answer(yes): called once, unless time runs out. */
  ask({ tool, about, arguments: given, seconds }, answer) {
    const buttons = document.createElement("div");
    const card = this.#card(`may ${tool} act?`, [words(about), words(given), buttons]);
    card.dataset.open = "";
    const settle = (text) => {
      clearTimeout(timer);
      delete card.dataset.open;
      buttons.replaceWith(words(text));
    };
    const timer = setTimeout(() => settle("not answered in time"), 1000 * seconds);
    for (const [name, yes] of [["Allow", true], ["Refuse", false]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.onclick = () => {
        settle(yes ? "allowed" : "refused");
        answer(yes);
      };
      buttons.append(button);
    }
  }

  #card(title, parts) {
    const card = document.createElement("li");
    const head = document.createElement("b");
    head.textContent = title;
    card.append(head, ...parts);
    this.#list.prepend(card);
    while (this.#list.children.length > KEPT) this.#remove(this.#list.lastChild);
    this.#section.hidden = false;
    return card;
  }

  #remove(card) {
    const image = card.querySelector("img");
    if (image) URL.revokeObjectURL(image.src);
    card.remove();
  }
}

function words(text) {
  const body = document.createElement("p");
  body.textContent = text;
  return body;
}
