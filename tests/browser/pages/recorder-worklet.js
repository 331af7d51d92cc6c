/** Keeps what it hears and posts it ten times a second. */
class Recorder extends AudioWorkletProcessor {
  samples = new Float32Array(2560);
  times = [];
  filled = 0;

  process([[input]]) {
    if (input) this.samples.set(input, this.filled);
    else this.samples.fill(0, this.filled, this.filled + 128);
    this.filled += 128;
    this.times.push(Date.now());
    if (this.filled === this.samples.length) {
      this.port.postMessage({ samples: this.samples, times: this.times });
      this.filled = 0;
      this.times = [];
    }
    return true;
  }
}
registerProcessor('recorder', Recorder);
