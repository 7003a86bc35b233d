/** What is selected on the map, and what can be done with it. Pure. */
import { type Hall, PITCH, seatsIn } from "@/features/seat-map/hall";
import { BLOCKED, FREE, type SeatStatuses } from "@/features/seat-map/statuses";

export interface Sorted {
  free: number[];
  blocked: number[];
  taken: number[];
}

export function sortSeats(seats: Iterable<number>, statuses: SeatStatuses): Sorted {
  const sorted: Sorted = { free: [], blocked: [], taken: [] };
  for (const seat of seats) {
    const status = statuses.at(seat);
    (status === FREE ? sorted.free : status === BLOCKED ? sorted.blocked : sorted.taken).push(seat);
  }
  return sorted;
}

/** A seat as it is typed: its label in any case. -1 where there is none. */
export function seatOf(hall: Hall, typed: string): number {
  const text = typed.trim();
  return hall.positions.get(text) ?? hall.positions.get(text.toUpperCase()) ?? -1;
}

/** The seats of the rectangle between two: what a drag from one to the other would take. */
export function between(hall: Hall, from: number, to: number): number[] {
  const xs = [hall.x[from] ?? 0, hall.x[to] ?? 0];
  const ys = [hall.y[from] ?? 0, hall.y[to] ?? 0];
  const slack = PITCH / 2; // rows are arcs: the corners of a rectangle of seats do not lie quite level
  return seatsIn(hall, {
    minX: Math.min(...xs) - slack,
    maxX: Math.max(...xs) + slack,
    minY: Math.min(...ys) - slack,
    maxY: Math.max(...ys) + slack,
  });
}

/** With `added` taken in; where all of them are in already, without them. */
export function toggled(selected: ReadonlySet<number>, added: readonly number[]): Set<number> {
  const next = new Set(selected);
  if (added.every((seat) => selected.has(seat))) for (const seat of added) next.delete(seat);
  else for (const seat of added) next.add(seat);
  return next;
}
