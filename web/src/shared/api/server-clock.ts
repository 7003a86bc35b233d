/**
 * The server's time, as far as it can be known from here. The visitor's own clock is never asked: it may be hours off.
 *
 * An answer says a time T (exact, or cut to a second), taken at some instant between sending and receiving. So
 * server time minus our monotonic clock lies in [T - received, T + precision - sent]. Each answer narrows it; what
 * contradicts what was known (a clock was set, the computer slept) replaces it.
 */
export class ServerClock {
  private low = Number.NEGATIVE_INFINITY;
  private high = Number.POSITIVE_INFINITY;

  constructor(private readonly monotonic: () => number = () => performance.now()) {}

  /** Learn from an answer: a time, how coarse it is, and our clock's readings around it; all in milliseconds. */
  hear(time: number, precision: number, sent: number, received: number): void {
    if (!Number.isFinite(time)) return;
    const low = time - received;
    const high = time + precision - sent;
    const meet = Math.max(low, this.low) <= Math.min(high, this.high);
    this.low = meet ? Math.max(low, this.low) : low;
    this.high = meet ? Math.min(high, this.high) : high;
  }

  /** Milliseconds since 1970 at the server; the visitor's own until a first answer came. */
  now(): number {
    if (!Number.isFinite(this.low)) return Date.now();
    return this.monotonic() + (this.low + this.high) / 2;
  }

  /** Milliseconds left until an instant, never less than none. */
  until(instant: string | number): number {
    return Math.max(0, (typeof instant === "number" ? instant : Date.parse(instant)) - this.now());
  }
}

export const serverClock = new ServerClock();
