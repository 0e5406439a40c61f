// Positions of a slider whose pictures take a while: one is drawn at a time, and of those that wait only the newest counts.

const PATIENCE_MS = 10_000; // an answer that did not come by then is not waited for: drawing may have failed

/** @template {number | string} Value */
export class Latest {
  /**
   * @param {(value: Value) => void} send asks for the picture at a position
   * @param {() => number} now the time in ms
   */
  constructor(send, now = () => performance.now()) {
    this.send = send;
    this.now = now;
    this.forget();
  }

  /** Nothing has been asked for. */
  forget() {
    /** @type {Value | null} asked for last */
    this.sent = null;
    /** @type {Value | null} to be asked for next */
    this.next = null;
    this.isBusy = false;
    this.since = 0;
  }

  /** The slider moves. @param {Value} value */
  move(value) {
    if (this.isBusy && this.now() - this.since < PATIENCE_MS) this.next = value;
    else this.ask(value);
  }

  /** A picture came; if it is the one that is waited for, the newest position is next. @param {Value} value */
  answer(value) {
    if (!this.isBusy || value !== this.sent) return;
    this.isBusy = false;
    if (this.next !== null) this.ask(this.next);
  }

  /** @param {Value} value */
  ask(value) {
    this.next = null;
    if (value === this.sent) return;
    this.sent = value;
    this.isBusy = true;
    this.since = this.now();
    this.send(value);
  }
}
