// A conversation with the server, over as many sockets as it takes.
// Messages are those of interaction/serve/messages.py.

import { decode, encode } from "./messagepack.js";

const PATH = "/v1/native";
const QUIET_MS = 4_000; // a server that says nothing for so long is not there
const AGAIN_MS = 700; // between two tries to come back
const WAITING = 1 << 16; // bytes not yet sent, more than which are not added to

export class Connection {
  #told;
  #key;
  #consent;
  #socket = null;
  #started = null; // the last `started`
  #state = "asking"; // live, broken, over
  #next = 0; // number of the turn that is heard next
  #sent = new Map(); // number -> when
  #last = 0; // when the server last said something
  #until = 0;
  #why = "";

  /** consent: to be recorded. told: `live(started)`, `say(message, trip_ms)`,
   * `drawn(message)`, `ask(message, answer)`, `complaint(text)`, `broken()`, `over(why)` and
   * `locked(why)`: it wants a key, or another. */
  constructor(key, consent, told) {
    this.#key = key;
    this.#consent = consent;
    this.#told = told;
    this.#open({ type: "start", consent, asks: true });
  }

  /** turn: {audio: Uint8Array, pictures?, text?}. -> its number; null when it was not
   * sent: there is no connection, or it is too slow. */
  hear(turn) {
    if (this.#state !== "live") return null;
    const now = performance.now();
    if (now - this.#last > QUIET_MS) {
      this.#break();
      return null;
    }
    const number = this.#next++;
    if (this.#socket.bufferedAmount > WAITING) return null;
    this.#sent.set(number, now);
    this.#send({ type: "hear", turn: number, ...turn });
    return number;
  }

  close() {
    if (this.#state === "live") this.#send({ type: "close" });
    this.#end();
  }

  #open(first) {
    const address = new URL(PATH, location.href.replace(/^http/, "ws"));
    if (this.#key) address.searchParams.set("key", this.#key);
    const socket = (this.#socket = new WebSocket(address));
    const mine = (what) => (event) => socket === this.#socket && what(event);
    socket.binaryType = "arraybuffer";
    socket.onopen = mine(() => this.#send(first));
    socket.onmessage = mine(({ data }) => this.#read(decode(new Uint8Array(data))));
    socket.onclose = mine((event) => this.#closed(event));
  }

  #send(message) {
    this.#socket.send(encode(message));
  }

  #read(message) {
    this.#last = performance.now();
    if (message.type === "started") {
      this.#started = message;
      this.#state = "live";
      this.#next = message.turn;
      this.#sent.clear();
      this.#told.live(message);
    } else if (message.type === "say") {
      const sent = this.#sent.get(message.turn);
      for (const number of this.#sent.keys())
        if (number <= message.turn) this.#sent.delete(number);
      this.#next = Math.max(this.#next, message.turn + 1);
      this.#told.say(message, sent === undefined ? null : this.#last - sent);
    } else if (message.type === "drawn") {
      this.#told.drawn(message);
    } else if (message.type === "ask") {
      this.#told.ask(message, (yes) => this.#answer(message.number, yes));
    } else if (message.type === "error") {
      this.#told.complaint(message.message);
    } else if (message.type === "ended") {
      this.#why = message.why;
      // Until the server has noticed a break itself, nothing waits under the token.
      if (this.#state !== "broken") this.#over(message.why);
    }
  }

  #answer(number, yes) {
    if (this.#state === "live") this.#send({ type: "answer", number, yes });
  }

  #closed(event) {
    if (this.#state === "live") this.#break();
    else if (this.#state === "broken") setTimeout(() => this.#again(), AGAIN_MS);
    else if (event.reason) this.#over(event.reason);
    else this.#ask();
  }

  #break() {
    this.#state = "broken";
    this.#why = "the connection broke";
    this.#until = performance.now() + 1000 * this.#started.grace_s;
    this.#told.broken();
    this.#drop();
    this.#again();
  }

  #again() {
    if (this.#state !== "broken") return;
    if (performance.now() > this.#until) this.#over(this.#why);
    else this.#open({ type: "resume", token: this.#started.token, consent: this.#consent, asks: true });
  }

  /** Why no socket opened: a browser does not tell, the server does. */
  async #ask() {
    const headers = this.#key ? { Authorization: `Bearer ${this.#key}` } : {};
    try {
      const answer = await fetch(PATH, { headers });
      const why = (await answer.text()).trim();
      if (answer.status === 403) this.#locked(why);
      else if (answer.status === 503) this.#over(why);
      else this.#over(`no WebSocket from here: start the server with --origin=${location.origin}`);
    } catch {
      this.#over("the server cannot be reached");
    }
  }

  #locked(why) {
    if (this.#state === "over") return;
    this.#end();
    this.#told.locked(why);
  }

  #over(why) {
    if (this.#state === "over") return;
    this.#end();
    this.#told.over(why);
  }

  #end() {
    this.#state = "over";
    this.#drop();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}
