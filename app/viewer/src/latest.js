// Positions of a slider whose pictures take a while: one is drawn at a time, and of those that wait only the newest counts.

export class Latest {
  /** @param {(value: number) => void} send asks for the picture at a position */
  constructor(send) {
    this.send = send;
    this.forget();
  }

  /** Nothing has been asked for. */
  forget() {
    /** @type {number | null} asked for last */
    this.sent = null;
    /** @type {number | null} to be asked for next */
    this.next = null;
    this.isBusy = false;
  }

  /** The slider moves. @param {number} value */
  move(value) {
    if (this.isBusy) this.next = value;
    else this.ask(value);
  }

  /** The slider was let go: its last position is asked for even if an answer should never have come. @param {number} value */
  rest(value) {
    this.ask(value);
  }

  /** A picture came; if it is the one that is waited for, the newest position is next. @param {number} value */
  answer(value) {
    if (!this.isBusy || value !== this.sent) return;
    this.isBusy = false;
    if (this.next !== null) this.ask(this.next);
  }

  /** @param {number} value */
  ask(value) {
    this.next = null;
    if (value === this.sent) return;
    this.sent = value;
    this.isBusy = true;
    this.send(value);
  }
}
