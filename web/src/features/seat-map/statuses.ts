/** The seats' statuses as the page knows them, and who wants to hear which of them changed. */

export const FREE = 65; // A
export const HELD = 82; // R
export const SOLD = 66; // B
export const BLOCKED = 88; // X

export interface SeatChange {
  seat: number;
  from: number;
  to: number;
}

type Listener = (changes: readonly SeatChange[]) => void;

export class SeatStatuses {
  private readonly letters: Uint8Array<ArrayBuffer>;
  private readonly listeners = new Set<Listener>();
  /** The show's version that these are of; -1 before anything was heard. */
  version = -1;
  available = 0;

  constructor(readonly count: number) {
    this.letters = new Uint8Array(count).fill(BLOCKED);
  }

  /** Of a hall that nobody has sold from: for a layout that is only being made. */
  static allFree(count: number): SeatStatuses {
    const statuses = new SeatStatuses(count);
    statuses.replace(0, "A".repeat(count));
    return statuses;
  }

  /** Whether anything has been heard yet. */
  get known(): boolean {
    return this.version >= 0;
  }

  at(seat: number): number {
    return this.letters[seat] ?? BLOCKED;
  }

  /** All letters, as they are now. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.letters.slice();
  }

  isFree(seat: number): boolean {
    return this.letters[seat] === FREE;
  }

  /** Whether any seat is in this status. */
  has(status: number): boolean {
    return this.letters.includes(status);
  }

  subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** The whole map. Only what differs is told. */
  replace(version: number, letters: string): void {
    const changes: SeatChange[] = [];
    for (let seat = 0; seat < this.count; seat++) this.put(seat, letters.charCodeAt(seat), changes);
    this.tell(version, changes);
  }

  /** Some seats. Returns false where the map is not the one that the changes begin at: a whole map is needed. */
  apply(from: number, version: number, changed: readonly (readonly [number, string])[]): boolean {
    if (this.version !== from) return false;
    const changes: SeatChange[] = [];
    for (const [seat, letter] of changed) this.put(seat, letter.charCodeAt(0), changes);
    this.tell(version, changes);
    return true;
  }

  private put(seat: number, to: number, changes: SeatChange[]): void {
    const from = this.at(seat);
    if (seat >= this.count || from === to || Number.isNaN(to)) return;
    if (from === FREE) this.available -= 1;
    if (to === FREE) this.available += 1;
    this.letters[seat] = to;
    changes.push({ seat, from, to });
  }

  private tell(version: number, changes: readonly SeatChange[]): void {
    this.version = version;
    for (const listener of this.listeners) listener(changes);
  }
}
