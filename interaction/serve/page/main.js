// The page: what people press, and what they are told.

import { Background } from "./background.js";
import { Camera } from "./camera.js";
import { Gauges } from "./gauges.js";
import { Recording } from "./recording.js";
import { Talk } from "./talk.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";

const STATES = {
  idle: "Not connected",
  starting: "Connecting",
  live: "Live",
  broken: "Connection lost, trying again",
};
const BUTTONS = { idle: "Start", starting: "Stop", live: "Stop", broken: "Stop" };

const at = (id) => document.getElementById(id);
const page = document.body.dataset; // read by the style sheet, and by tests

const timeline = new Timeline(at("timeline"));
const transcript = new Transcript(at("transcript"));
const gauges = new Gauges(at("gauges"));
const background = new Background(at("background"));
const recording = new Recording(at("recording"));
const camera = new Camera(at("preview"), () => see(false, "The camera is gone."));

let talk = null;
let key = takeKey();
let turn_ms = 200;
let now_s = 0;

function become(state) {
  page.state = state;
  at("state").textContent = STATES[state];
  at("start").lastElementChild.textContent = BUTTONS[state];
  at("send").disabled = at("picture").disabled = state !== "live";
}

/** A message that stays until the next; none hides it. */
function tell(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
}

const plain = (error) => error.message.replace(/\.$/, "");

/** A key in the address is taken out of it, and kept as long as the tab. */
function takeKey() {
  const address = new URL(location.href);
  const given = address.searchParams.get("key");
  if (given !== null) {
    sessionStorage.setItem("key", given);
    address.searchParams.delete("key");
    history.replaceState(null, "", address);
  }
  return sessionStorage.getItem("key");
}

// The conversation.

const told = {
  live(started) {
    if (page.state === "starting") {
      turn_ms = started.turn_ms;
      transcript.clear();
      background.clear();
      gauges.clear(turn_ms);
    }
    timeline.start(turn_ms);
    become("live");
    if (recording.began(started)) at("state").textContent = "Live, recorded";
  },
  heard: (turn, pcm) => timeline.heard(turn, pcm),
  say(message, trip, pcm) {
    page.turns = message.turn + 1;
    now_s = ((message.turn + 1) * turn_ms) / 1000;
    timeline.said(message, pcm);
    transcript.said(message, turn_ms);
    gauges.said(message, trip);
    for (const event of message.events) if (event.lane === "background") background.add(event);
  },
  drawn: (message) => background.draw(message),
  ask: (message, answer) => background.ask(message, answer),
  played({ sounded, late, peak }) {
    page.sounded = sounded.toFixed(2);
    page.speaking = peak > 0.01;
    gauges.late(late);
  },
  complaint: (text) => tell(`The server says: ${text}`),
  broken() {
    timeline.stop();
    become("broken");
  },
  over: (why) => stop(`The conversation is over: ${why}.`),
  locked(why) {
    stop("");
    ask(why);
  },
  deaf(error) {
    tell(`No microphone: ${plain(error)}. You can type.`);
  },
  unplugged: () => tell("The microphone is gone. You can type, or start again."),
};

async function start() {
  if (!window.isSecureContext) {
    tell("Browsers lend the microphone to pages of https or of this machine alone.");
    return;
  }
  tell("");
  become("starting");
  talk = new Talk(camera, told);
  try {
    await talk.begin(key, recording.consent, muted());
  } catch (error) {
    stop(`No sound: ${plain(error)}.`);
  }
}

function stop(why) {
  talk?.end();
  talk = null;
  timeline.stop();
  become("idle");
  tell(why);
}

at("start").onclick = () => (talk ? stop("") : start());
addEventListener("pagehide", () => talk && stop("")); // nobody comes back to it

// A key.

function ask(why) {
  at("lock-why").textContent = key ? `The server says: ${why}.` : "";
  at("key").value = "";
  at("lock").returnValue = "";
  at("lock").showModal();
}

at("lock").onclose = () => {
  if (at("lock").returnValue !== "open") return;
  key = at("key").value;
  sessionStorage.setItem("key", key);
  start();
};

// Recordings.

at("recording").querySelector("button").onclick = async () => {
  try {
    await recording.forget(key);
    tell("What was recorded is deleted.");
  } catch (error) {
    tell(`Not deleted: ${plain(error)}.`);
  }
};

// Microphone and camera.

const muted = () => at("mute").getAttribute("aria-pressed") === "true";

at("mute").onclick = () => {
  at("mute").setAttribute("aria-pressed", !muted());
  talk?.mute(muted());
};

async function see(on, why = "") {
  camera.close();
  if (on) {
    try {
      await camera.open();
    } catch (error) {
      [on, why] = [false, `No camera: ${plain(error)}.`];
    }
  }
  at("camera").setAttribute("aria-pressed", on);
  at("sight").hidden = !on;
  if (why) tell(why);
}

at("camera").onclick = () => see(at("camera").getAttribute("aria-pressed") !== "true");

// Words and pictures.

at("write").onsubmit = (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (!talk || !text) return;
  talk.type(text);
  transcript.typed(text, now_s);
  at("text").value = "";
};

async function show(files) {
  const picture = [...files].find((file) => file.type.startsWith("image/"));
  if (!picture) return;
  if (page.state !== "live") {
    tell("Start first, then show the picture.");
    return;
  }
  try {
    await talk.show(picture);
    transcript.showed(picture, now_s);
  } catch {
    tell(`${picture.name || "The picture"} cannot be read; choose another.`);
  }
}

at("picture").onclick = () => at("file").click();
at("file").onchange = () => {
  show(at("file").files);
  at("file").value = "";
};
addEventListener("paste", (event) => show(event.clipboardData.files));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  show(event.dataTransfer.files);
});

become("idle");
recording.ask();
