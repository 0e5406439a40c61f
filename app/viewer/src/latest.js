// Positions of a slider whose pictures take a while: one is drawn at a time, and only the newest waiting one counts.

const PATIENCE_MS = 10_000; // milliseconds; a later answer is not waited for, because drawing may have failed

/** @template {number | string} Value */
export class Latest {
  /**
   * @param {(value: Value) => void} send requests the picture at a position
   * @param {() => number} now the time in ms
   */
  constructor(send, now = () => performance.now()) {
    this.send = send;
    this.now = now;
    this.forget();
  }

  /** Forget all requests. */
  forget() {
    /** @type {Value | null} the last one requested */
    this.sent = null;
    /** @type {Value | null} the next one to request */
    this.next = null;
    this.isBusy = false;
    this.since = 0;
  }

  /** The slider was moved. @param {Value} value */
  move(value) {
    if (this.isBusy && this.now() - this.since < PATIENCE_MS) this.next = value;
    else this.ask(value);
  }

  /** A picture arrived; if it is the one waited for, request the newest position. @param {Value} value */
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
