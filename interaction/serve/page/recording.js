// Recordings: asked about before a conversation, told of while it lasts, deleted at will.

const PATH = "/v1/recordings";

export class Recording {
  #section;
  #box;
  #button;
  #mine = []; // {recording, token} of this page's conversations

  /** section: holds a check box, the terms and a button; hidden where nothing is recorded. */
  constructor(section) {
    this.#section = section;
    this.#box = section.querySelector("input");
    this.#button = section.querySelector("button");
  }

  /** Show what this server asks. */
  async ask() {
    const { records, terms } = await (await fetch(PATH)).json();
    this.#section.querySelector("p").textContent = terms;
    this.#section.hidden = !records;
  }

  get consent() {
    return this.#box.checked;
  }

  /** As `Started`. -> whether it is recorded. */
  began({ recording, token }) {
    if (recording) this.#mine.push({ recording, token });
    this.#button.hidden = !this.#mine.length;
    return Boolean(recording);
  }

  /** All of this page. Raises Error with the server's words. */
  async forget(key) {
    for (const { recording, token } of [...this.#mine]) {
      const headers = { "Interaction-Token": token };
      if (key) headers.Authorization = `Bearer ${key}`;
      const answer = await fetch(`${PATH}/${recording}`, { method: "DELETE", headers });
      if (!answer.ok) throw new Error((await answer.text()).trim());
      this.#mine.shift();
    }
    this.#button.hidden = true;
  }
}
