import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Media } from '../../../web/live/media/media.js';
import '../../../web/live/media/camera.js';
import { settle } from '../support.js';

/** The part of a browser's MediaStream that a camera uses. */
class FakeStream {
  tracks = [];
  addTrack(track) {
    this.tracks.push(track);
  }
  removeTrack() {
    this.tracks = [];
  }
  getVideoTracks() {
    return this.tracks;
  }
}

test('stops a camera at once that is allowed after the conversation has ended', async () => {
  let allow;
  const asked = new Promise((resolve) => (allow = resolve));
  globalThis.MediaStream = FakeStream;
  const states = [];
  const media = new Media({
    emit: (_type, { state }) => states.push(state),
    sendPicture: () => assert.fail('no picture may be sent'),
    connected: () => true,
    audio: () => undefined,
  });
  const opening = media.startVideo({}, asked);
  await settle();
  media.conversationEnded();
  let stopped = false;
  const stream = new FakeStream();
  stream.addTrack({ stop: () => (stopped = true) });
  allow(stream);
  await opening;
  assert.equal(stopped, true);
  assert.deepEqual(states, ['off']);
  assert.equal(await media.stopRecording(), null);
});
