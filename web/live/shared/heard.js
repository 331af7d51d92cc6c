/**
 * Who spoke and when, where a transcription says so. The service sends it if the setup asks (`diarization`,
 * `wordTimestamp`) and the model can. Whatever is not as documented is left out.
 */

/** Times count from the start of the audio. @typedef {{word: string, startMs?: number, endMs?: number}} Word */
/** @typedef {{speaker?: string, startMs?: number, endMs?: number, words?: Word[]}} Heard */

const MAX_LABEL = 40;

/** @param {Record<string, any>} transcription @returns {Heard | undefined} undefined: it says nothing of this */
export function readHeard({ speakerLabel, startOffset, endOffset, words }) {
  const speaker = typeof speakerLabel === 'string' ? speakerLabel.trim().slice(0, MAX_LABEL) : '';
  const spoken = Array.isArray(words) ? words.flatMap(readWord) : [];
  const heard = { ...(speaker && { speaker }), ...times(startOffset, endOffset), ...(spoken[0] && { words: spoken }) };
  return Object.keys(heard).length > 0 ? heard : undefined;
}

/** @param {any} value @returns {Word[]} */
function readWord(value) {
  const word = value?.word;
  return typeof word === 'string' && word ? [{ word, ...times(value.startOffset, value.endOffset) }] : [];
}

/** @param {unknown} start @param {unknown} end */
function times(start, end) {
  const [startMs, endMs] = [start, end].map(milliseconds);
  return { ...(startMs !== undefined && { startMs }), ...(endMs !== undefined && { endMs }) };
}

/** @param {unknown} offset a duration as proto JSON writes it, e.g. `1.200s` */
const milliseconds = (offset) =>
  /^\d{1,9}(\.\d+)?s$/.test(String(offset)) ? Math.round(Number.parseFloat(String(offset)) * 1000) : undefined;
