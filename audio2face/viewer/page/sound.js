// Sounds from the user: files as they are where the server reads them, everything else decoded here to a wav file.

const READ_BY_SERVER = /\.(wav|flac|ogg|mp3)$/i;

// A sound without its first `from_s` seconds, as the server takes it.
export async function soundBytes(file, from_s = 0) {
  const data = await file.arrayBuffer();
  if (READ_BY_SERVER.test(file.name || "")) return data;
  const context = new AudioContext();
  try {
    return wavOf(await context.decodeAudioData(data), from_s);
  } catch (error) {
    throw new Error(`${file.name || "recording"}: not a sound file that the browser can read`);
  } finally {
    context.close();
  }
}

// 16-bit mono wav of an AudioBuffer from a moment on.
export function wavOf(sound, from_s = 0) {
  const first = Math.min(Math.round(from_s * sound.sampleRate), sound.length - 1);
  const count = sound.length - first, channels = sound.numberOfChannels;
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, sound.sampleRate, true); view.setUint32(28, 2 * sound.sampleRate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * count, true);
  const data = Array.from({ length: channels }, (_, c) => sound.getChannelData(c));
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let c = 0; c < channels; c++) value += data[c][first + i] / channels;
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true);
  }
  return view.buffer;
}

// The microphone: start() asks for leave, stop() gives what was said as a Blob. While it is on, a partner's voice may play:
// `early_s` of what was recorded come before its start.
export class Recorder {
  get on() { return Boolean(this.recorder); }

  async start(voice = null) {
    if (!navigator.mediaDevices) throw new Error("the browser does not give this page access to a microphone");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch((error) => {
      throw new Error(`no microphone: ${error.message}`);
    });
    this.parts = [];
    this.recorder = new MediaRecorder(stream);
    this.recorder.ondataavailable = (event) => this.parts.push(event.data);
    const began = new Promise((done) => { this.recorder.onstart = () => done(performance.now()); });
    this.recorder.start();
    Object.assign(this, { early_s: 0, partner: null });
    if (voice === null) return;
    this.partner = new Audio(voice);
    try {
      const from = await began;
      await this.partner.play();
      this.early_s = Math.max((performance.now() - from) / 1000 - this.partner.currentTime, 0);
    } catch (error) {
      this.stop();
      throw new Error(`the partner's sound cannot be played: ${error.message}`);
    }
  }

  stop() {
    const { recorder } = this;
    this.recorder = null;
    if (this.partner) this.partner.pause();
    return new Promise((resolve) => {
      recorder.onstop = () => {
        recorder.stream.getTracks().forEach((track) => track.stop());
        resolve(new Blob(this.parts, { type: recorder.mimeType }));
      };
      recorder.stop();
    });
  }
}
