// Microphone and loudspeaker.

// What is heard is asked to be one voice near by, without the agent's own.
const MICROPHONE = {
  channelCount: 1,
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

const PATIENCE_MS = 5_000; // without a sound card a browser says nothing and waits

export class Sound {
  #context = new AudioContext(); // at the card's own rate: Firefox mixes no two
  #microphone;
  #player;
  #track = null;

  /** In a click's or a key's time, or the browser lets nothing sound. told: `piece`, of
   * 100 ms as Int16Array at 16 kHz, whether or not anybody listens; `played`, as the
   * worklet's Player tells; `unplugged`. */
  constructor(told) {
    this.told = told;
  }

  /** Raises Error when the browser has nothing to play to. */
  async open() {
    const runs = this.#context.resume().then(() => true);
    const tired = new Promise((done) => setTimeout(done, PATIENCE_MS, false));
    if (!(await Promise.race([runs, tired]))) throw new Error("no loudspeaker is connected");
    await this.#context.audioWorklet.addModule("worklet.js");
    const one = { channelCount: 1, channelCountMode: "explicit", outputChannelCount: [1] };
    this.#microphone = new AudioWorkletNode(this.#context, "microphone", one);
    this.#player = new AudioWorkletNode(this.#context, "player", one);
    this.#microphone.port.onmessage = ({ data }) => this.told.piece(data);
    this.#player.port.onmessage = ({ data }) => this.told.played(data);
    // The microphone's node is silent; connected, it runs.
    for (const node of [this.#microphone, this.#player]) node.connect(this.#context.destination);
  }

  /** Ask for the microphone. Raises DOMException when there is none or it is refused. */
  async listen() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE });
    [this.#track] = stream.getAudioTracks();
    if (this.#context.state === "closed") return this.#track.stop();
    this.#track.onended = () => this.told.unplugged();
    this.#context.createMediaStreamSource(stream).connect(this.#microphone);
  }

  mute(muted) {
    if (this.#track) this.#track.enabled = !muted;
  }

  /** As `Pace` says. */
  steer(steps) {
    this.#microphone.port.postMessage(steps);
  }

  /** pcm: Int16Array at 16 kHz. clear: in place of what waits to be played. */
  play(pcm, clear) {
    const samples = Float32Array.from(pcm, (x) => x / 32768);
    this.#player.port.postMessage({ samples, clear }, [samples.buffer]);
  }

  close() {
    this.#track?.stop();
    this.#context.close();
  }
}
