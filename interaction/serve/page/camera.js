// Pictures as the server takes them: JPEG, no larger than the model can make use of.

const FINER = 2; // than what the model sees: the server scales with a better filter
const QUALITY = 0.9;

/** source: a video or bitmap of width x height; box: {width, height} of what the model
 * sees. -> JPEG as Uint8Array, at once: a canvas's other way may take a second. */
function jpeg(source, width, height, box) {
  const scale = Math.min((FINER * box.width) / width, (FINER * box.height) / height, 1);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const [, data] = canvas.toDataURL("image/jpeg", QUALITY).split(",");
  return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
}

/** A picture file's JPEG. Raises DOMException when the browser cannot read it. */
export async function still(file, box) {
  const bitmap = await createImageBitmap(file);
  const bytes = jpeg(bitmap, bitmap.width, bitmap.height, box);
  bitmap.close();
  return bytes;
}

export class Camera {
  #stream = null;

  /** video: the element that shows what the camera sees. ended: called when it is
   * unplugged. */
  constructor(video, ended) {
    this.video = video;
    this.ended = ended;
  }

  get on() {
    return this.#stream !== null && this.video.videoWidth > 0;
  }

  /** Raises DOMException when there is none or it is refused. */
  async open() {
    const video = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };
    this.#stream = await navigator.mediaDevices.getUserMedia({ video });
    this.#stream.getVideoTracks()[0].onended = () => this.ended();
    this.video.srcObject = this.#stream;
    await this.video.play();
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = this.video.srcObject = null;
  }

  /** What it shows now. */
  look(box) {
    return jpeg(this.video, this.video.videoWidth, this.video.videoHeight, box);
  }
}
