/**
 * Loads the watcher of the model (answer-keeper.js) with the token, while the socket opens, and tells it in order what
 * happens. Without it nobody watches the model, and the conversation goes on.
 */

/** @typedef {import('./answer-keeper.js').AnswerKeeper} AnswerKeeper */

export class LateAnswers {
  #host;
  /** @type {AnswerKeeper | null} */
  #keeper = null;
  /** @type {Promise<unknown>} */
  #loading = Promise.resolve();

  /** @param {import('./answer-keeper.js').AnswerHost} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {Record<string, any>} [setup] */
  granted(setup) {
    this.#loading = import('./answer-keeper.js').then(
      ({ AnswerKeeper }) => {
        this.#keeper = new AnswerKeeper(this.#host);
        this.#keeper.granted(setup);
      },
      () => {},
    );
  }

  /** @param {(keeper: AnswerKeeper) => void} tell */
  tell(tell) {
    if (this.#keeper) tell(this.#keeper);
    else void this.#loading.then(() => this.#keeper && tell(this.#keeper));
  }
}
