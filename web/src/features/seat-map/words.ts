/** A seat in words, for those who hear the map, and for those who point at it. */
import { list, money, plural } from "@/shared/ui/format";
import type { Hall } from "./hall";
import { CHOSEN, MINE } from "./paint";
import { BLOCKED, FREE, HELD } from "./statuses";

export function statusWord(status: number, mark: number): string {
  if (mark === MINE) return "yours";
  if (mark === CHOSEN) return "chosen";
  if (status === FREE) return "free";
  if (status === HELD) return "held by somebody";
  return status === BLOCKED ? "not for sale" : "sold";
}

/** "Row F, seat 12": in a hall where rows have names of their own; "Seat 7" where seats are only numbered. */
export function seatName(hall: Hall, seat: number): string {
  const row = hall.rows[hall.rowOf[seat] ?? 0];
  const number = hall.numbers[seat] ?? "";
  const label = hall.labels[seat] ?? "";
  if (!row || hall.kind === "trip" || number === label) return `Seat ${label}`;
  return `Row ${row.label}, seat ${number}`;
}

export function describeSeat(
  hall: Hall,
  seat: number,
  status: number,
  mark: number,
  currency: string,
): string {
  const category = hall.categories[hall.category[seat] ?? 0];
  const row = hall.rows[hall.rowOf[seat] ?? 0];
  const section = hall.sections.length > 1 && row ? hall.sections[row.section]?.name : undefined;
  const parts = [seatName(hall, seat)];
  if (section) parts.push(section);
  if (category) parts.push(`${category.name}, ${money(category.price_cents, currency)}`);
  if (hall.accessible[seat]) parts.push("wheelchair place");
  parts.push(statusWord(status, mark));
  return parts.join(", ");
}

/** "Row F, seats 12 and 13; row G, seat 4": seats of one row are named together. */
export function nameSeats(hall: Hall, seats: readonly number[]): string {
  const byRow = new Map<number, number[]>();
  for (const seat of [...seats].sort((a, b) => a - b)) {
    const row = hall.rowOf[seat] ?? 0;
    byRow.set(row, [...(byRow.get(row) ?? []), seat]);
  }
  const plainly = hall.kind === "trip" || seats.every((seat) => hall.numbers[seat] === hall.labels[seat]);
  if (plainly) {
    const labels = [...byRow.values()].flat().map((seat) => hall.labels[seat] ?? "");
    return `${labels.length === 1 ? "Seat" : "Seats"} ${list(labels)}`;
  }
  const parts = [...byRow].map(([row, inRow], index) => {
    const word = index === 0 ? "Row" : "row";
    const numbers = inRow.map((seat) => hall.numbers[seat] ?? "");
    return `${word} ${hall.rows[row]?.label}, ${numbers.length === 1 ? "seat" : "seats"} ${list(numbers)}`;
  });
  return parts.join("; ");
}

export const freeOf = (free: number, count: number): string =>
  free === 0 ? "sold out" : `${plural(free, "seat")} of ${count} free`;
