/**
 * Whether a line that says nothing is dead. Owns: what the service owes us, and for how long. Needs nothing; time comes in.
 *
 * A browser cannot ping, and a half-open connection takes everything and gives nothing. Most answer input with a
 * resumption update each second, so there 20 s of nothing are a dead line (answers to pings were seen 8 to 30 s late, and a
 * mistake costs a third of a second). One that sends no updates owes something only to text and to speech that has ended.
 */
const PATIENCE_MS = { updates: 20_000, none: 60_000, suspect: 5000 };

export class Watchdog {
  /** Since when the service owes us a frame; 0: it does not. */
  #owedSince = 0;
  #updates = 0;
  #factor = 1;
  #suspect = false;
  /** It has owed us a frame for half as long as it may. */
  silent = false;

  /** Another connection. */
  reset() {
    this.#owedSince = this.#updates = 0;
    this.#suspect = this.silent = false;
  }

  /** @param {number} now @param {boolean} owes whether it brings an answer, whatever the service is like */
  sent(now, owes) {
    if (owes || this.#updates > 1) this.#owedSince ||= now;
  }

  /** @param {boolean} update a resumption update */
  heard(update) {
    this.#owedSince = 0;
    this.#suspect = this.silent = false;
    if (update) this.#updates += 1;
  }

  /** The network is another one now, and the line may have stayed in the old one. */
  suspect() {
    this.#suspect = true;
  }

  /** @param {number} now */
  isDead(now) {
    if (!this.#owedSince) return false;
    const usual = this.#updates > 1 ? PATIENCE_MS.updates : PATIENCE_MS.none;
    const patience = this.#suspect ? PATIENCE_MS.suspect : usual * this.#factor;
    const owed = now - this.#owedSince;
    this.silent = owed > patience / 2;
    if (owed <= patience) return false;
    this.#factor *= 2; // where silence is the habit, not a fault
    return true;
  }
}
