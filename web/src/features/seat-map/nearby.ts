/** What to offer instead of a seat that somebody else has just got. */
import type { Hall, HallRow } from "./hall";
import type { SeatStatuses } from "./statuses";

const ROWS_AWAY_MAX = 3;

/**
 * As many free seats as were lost, next to each other, nearest to where they were: in the same row if it has them, else
 * a few rows before or behind, else anywhere; of the same category and kind before any other. Empty where the hall has
 * none.
 */
export function freeNearby(
  hall: Hall,
  statuses: SeatStatuses,
  lost: readonly number[],
  taken: ReadonlySet<number>,
): number[] {
  const around = lost[0];
  if (around === undefined) return [];
  const home = hall.rowOf[around] ?? 0;
  const near = hall.rows.filter(
    (row, index) => Math.abs(index - home) <= ROWS_AWAY_MAX && row.section === hall.rows[home]?.section,
  );
  const found = nearestRun(near, hall, statuses, lost, taken);
  return found.length > 0 ? found : nearestRun(hall.rows, hall, statuses, lost, taken);
}

function nearestRun(
  rows: readonly HallRow[],
  hall: Hall,
  statuses: SeatStatuses,
  lost: readonly number[],
  taken: ReadonlySet<number>,
): number[] {
  const around = lost[0] ?? 0;
  const middleOf = (places: Float32Array, seats: readonly number[]) =>
    seats.reduce((sum, seat) => sum + (places[seat] ?? 0), 0) / seats.length;
  const x = middleOf(hall.x, lost);
  const y = middleOf(hall.y, lost);
  let found: number[] = [];
  let best = Infinity;
  for (const row of rows) {
    for (let first = row.first; first + lost.length <= row.first + row.count; first++) {
      const run = Array.from({ length: lost.length }, (_, index) => first + index);
      if (!run.every((seat) => statuses.isFree(seat) && !taken.has(seat))) continue;
      const alike = run.every(
        (seat) =>
          hall.category[seat] === hall.category[around] && hall.accessible[seat] === hall.accessible[around],
      );
      const home = row.first <= around && around < row.first + row.count;
      // Another row is as far as eight seats of the same one.
      const rowsAway = home ? 0 : Math.max(200, Math.abs(middleOf(hall.y, run) - y) * 7);
      const cost = Math.abs(middleOf(hall.x, run) - x) + rowsAway + (alike ? 0 : 1000);
      if (cost < best) {
        best = cost;
        found = run;
      }
    }
  }
  return found;
}
