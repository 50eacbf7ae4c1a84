// Sounds from the user: files as they are where the server reads them, everything else decoded here to a wav file.

const READ_BY_SERVER = /\.(wav|flac|ogg|mp3)$/i;

export async function soundBytes(file) {
  const data = await file.arrayBuffer();
  if (READ_BY_SERVER.test(file.name || "")) return data;
  const context = new AudioContext();
  try {
    return wavOf(await context.decodeAudioData(data));
  } catch (error) {
    throw new Error(`${file.name || "recording"}: not a sound file that the browser can read`);
  } finally {
    context.close();
  }
}

// 16-bit mono wav of an AudioBuffer.
export function wavOf(sound) {
  const count = sound.length, channels = sound.numberOfChannels;
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, sound.sampleRate, true); view.setUint32(28, 2 * sound.sampleRate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * count, true);
  const data = Array.from({ length: channels }, (_, c) => sound.getChannelData(c));
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let c = 0; c < channels; c++) value += data[c][i] / channels;
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true);
  }
  return view.buffer;
}

// The microphone: start() asks for leave, stop() gives what was said as a Blob.
export class Recorder {
  get on() { return Boolean(this.recorder); }

  async start() {
    if (!navigator.mediaDevices) throw new Error("the browser does not give this page access to a microphone");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch((error) => {
      throw new Error(`no microphone: ${error.message}`);
    });
    this.parts = [];
    this.recorder = new MediaRecorder(stream);
    this.recorder.ondataavailable = (event) => this.parts.push(event.data);
    this.recorder.start();
  }

  stop() {
    const { recorder } = this;
    this.recorder = null;
    return new Promise((resolve) => {
      recorder.onstop = () => {
        recorder.stream.getTracks().forEach((track) => track.stop());
        resolve(new Blob(this.parts, { type: recorder.mimeType }));
      };
      recorder.stop();
    });
  }
}
