// Time: the sound's own position when there is a sound, else a stopwatch.

export class Clock {
  constructor(changed) {
    this.audio = new Audio();
    this.audio.preload = "auto";
    this.audio.preservesPitch = true;
    this.changed = changed;
    this.sounding = false;
    this.duration = 0;
    this.speed = 1;
    this.looping = false;
    this.running = false;
    this.held = 0; // stopwatch: position when it was started or stopped
    this.since = 0;
    this.waiting = false; // for frames
    for (const event of ["play", "pause", "ended", "seeked", "loadedmetadata"]) this.audio.addEventListener(event, changed);
    this.audio.addEventListener("ended", () => { this.running = false; });
  }

  open(sound, duration) {
    this.pause();
    this.sounding = Boolean(sound);
    this.held = 0;
    this.waiting = false;
    if (sound) this.audio.src = sound;
    else this.audio.removeAttribute("src");
    this.audio.playbackRate = this.speed;
    this.duration = duration;
  }

  // Takes another sound of the same length, at the moment that is shown.
  hear(sound) {
    if (!this.sounding || this.audio.getAttribute("src") === sound) return;
    const time = this.time;
    this.pause();
    this.audio.src = sound;
    this.audio.playbackRate = this.speed;
    this.audio.currentTime = time;
  }

  get time() {
    if (this.sounding) return this.audio.currentTime;
    if (!this.running || this.waiting) return this.held;
    const time = this.held + ((performance.now() - this.since) / 1000) * this.speed;
    if (time < this.duration) return time;
    if (this.looping && this.duration > 0) return time % this.duration;
    this.held = this.duration;
    this.running = false;
    this.changed();
    return this.held;
  }

  async play() {
    if (this.time >= this.duration - 1e-3) this.seek(0);
    this.held = this.time;
    this.since = performance.now();
    this.running = true;
    if (this.sounding && !this.waiting) await this.audio.play();
    this.changed();
  }

  pause() {
    this.held = this.time;
    this.running = false;
    if (this.sounding) this.audio.pause();
    this.changed();
  }

  seek(time) {
    this.held = Math.min(Math.max(time, 0), this.duration);
    this.since = performance.now();
    if (this.sounding) this.audio.currentTime = this.held;
    this.changed();
  }

  // Holds the sound while frames are on their way, so that it never runs ahead of the face.
  wait(on) {
    if (on === this.waiting) return;
    if (on) this.held = this.time;
    this.waiting = on;
    this.since = performance.now();
    if (this.sounding && this.running) on ? this.audio.pause() : this.audio.play().catch(() => {});
  }

  setSpeed(speed) {
    this.held = this.time;
    this.since = performance.now();
    this.speed = speed;
    this.audio.playbackRate = speed;
  }

  setLoop(on) {
    this.looping = on;
    this.audio.loop = on;
  }
}
