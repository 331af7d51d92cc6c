/**
 * Which typed texts of a start the service has. A text is known by its number, from 1; 0 is none.
 */
export class TypedTexts {
  /** The last one that was sent. */
  sent = 0;
  /** The last one that the resumption handle includes. */
  saved = 0;
  /** Nothing shows yet that the service has received the last one: a handle may have been sent before it came. */
  #inFlight = false;

  /** @param {number} [number] of the text; a message without one is no typed text */
  send(number) {
    this.sent = number ?? this.sent;
    this.#inFlight ||= number !== undefined;
  }

  /** A text that is sent again is not in the history of a new session. @param {number} [number] */
  leaveOut(number) {
    if (number) this.sent = number - 1;
  }

  /** The service reacts, so it has received what was sent. */
  arrived() {
    this.#inFlight = false;
  }

  /** A new handle came. */
  saveAll() {
    if (!this.#inFlight) this.saved = this.sent;
  }
}
