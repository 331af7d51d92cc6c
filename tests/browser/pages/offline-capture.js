/**
 * The library's own capture worklet behind a device of any rate, as fast as the machine can: an OfflineAudioContext in
 * the microphone's place. What the worklet sends to the network side is what comes back.
 */
import { trustedUrl } from '/live/shared/trusted-url.js';

const CAPTURE = new URL('/live/audio/worklets/capture-processor.js', location.href);
const STEP_SECONDS = 0.1;

/**
 * @param {{rate: number, seconds: number, lead: number, parts: {samples: string, at: number, until?: number}[]}} job the
 *   device's rate; the silence that begins it; sound as base64 of Float32, when it begins, until when it is repeated
 * @returns {Promise<{samples: number, read: (from: number, to: number) => string}>} reads what was sent: base64 of PCM16 at 16 kHz
 */
export async function capture({ rate, seconds, lead, parts }) {
  const context = new OfflineAudioContext({ sampleRate: rate, length: Math.round(rate * seconds) });
  await context.audioWorklet.addModule(trustedUrl(CAPTURE));
  const node = new AudioWorkletNode(context, 'live-capture', {
    numberOfInputs: 1,
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: 'explicit',
  });
  for (const part of parts) play(context, part).connect(node);
  const silence = new ConstantSourceNode(context, { offset: 0 }); // what a device gives when nothing sounds
  silence.connect(node);
  silence.start();
  const chunks = [];
  const sound = new MessageChannel();
  sound.port2.onmessage = ({ data }) => chunks.push(new Uint8Array(data));
  node.port.postMessage({ port: sound.port1 }, [sound.port1]);

  // Nothing but silence may be rendered before the port is there, and rendering does not wait for it.
  let held = context.suspend(0);
  const rendered = context.startRendering();
  await held;
  for (let at = STEP_SECONDS; chunks.length === 0; at += STEP_SECONDS) {
    if (at > lead) throw new Error('the worklet sends nothing');
    held = context.suspend(at);
    await context.resume();
    await held;
    await pause(20);
  }
  await context.resume();
  await rendered;
  for (let before = 0; before < chunks.length; await pause(200)) before = chunks.length;
  const sent = new Uint8Array(await new Blob(chunks).arrayBuffer());
  return { samples: sent.length / 2, read: (from, to) => sent.subarray(2 * from, 2 * to).toBase64() };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function play(context, { samples, at, until }) {
  const sound = new Float32Array(Uint8Array.fromBase64(samples).buffer);
  const buffer = new AudioBuffer({ sampleRate: context.sampleRate, length: sound.length });
  buffer.copyToChannel(sound, 0);
  const source = new AudioBufferSourceNode(context, { buffer, loop: until !== undefined });
  source.start(at);
  if (until !== undefined) source.stop(until);
  return source;
}
