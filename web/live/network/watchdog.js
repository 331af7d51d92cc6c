/**
 * Decides whether a silent connection is dead: what the service owes the client, and for how long. Takes the time as an
 * argument.
 *
 * A browser cannot send a ping, and a half-open connection accepts everything and returns nothing. Most services answer
 * input with a resumption update each second, so 20 s without one mean a dead connection. (Replies to pings were seen 8
 * to 30 s late, and a mistake costs a third of a second.) A service without updates owes something only after text and
 * after the end of speech.
 */
const PATIENCE_MS = { updates: 20_000, noUpdates: 60_000, suspected: 5000 };

export class Watchdog {
  /** Since when the service owes a frame; 0: it owes none. */
  #owedSince = 0;
  #updates = 0;
  #factor = 1;
  #suspected = false;
  /** The service has owed a frame for half of the time that it may. */
  silent = false;

  /** There is another connection. */
  reset() {
    this.#owedSince = this.#updates = 0;
    this.#suspected = this.silent = false;
  }

  /** @param {number} now @param {boolean} expectsReply whether any service replies to it */
  sent(now, expectsReply) {
    if (expectsReply || this.#updates > 1) this.#owedSince ||= now;
  }

  /** @param {boolean} isUpdate whether it is a resumption update */
  received(isUpdate) {
    this.#owedSince = 0;
    this.#suspected = this.silent = false;
    if (isUpdate) this.#updates += 1;
  }

  /** The device changed its network, and the connection may belong to the old one. */
  suspect() {
    this.#suspected = true;
  }

  /** @param {number} now */
  isDead(now) {
    if (!this.#owedSince) return false;
    const usual = this.#updates > 1 ? PATIENCE_MS.updates : PATIENCE_MS.noUpdates;
    const patience = this.#suspected ? PATIENCE_MS.suspected : usual * this.#factor;
    const owed = now - this.#owedSince;
    this.silent = owed > patience / 2;
    if (owed <= patience) return false;
    this.#factor *= 2; // for a service that is often silent without a fault
    return true;
  }
}
