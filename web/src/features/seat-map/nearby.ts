/** What to offer instead of a seat that somebody else has just got. */
import type { Hall } from "./hall";
import type { SeatStatuses } from "./statuses";

const ROWS_AWAY_MAX = 3;

/**
 * As many free seats as were lost, next to each other, nearest to where they were: in the same row if it has them, else
 * a few rows before or behind; of the same category and kind before any other. Empty where there are none nearby.
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
  const x = lost.reduce((sum, seat) => sum + (hall.x[seat] ?? 0), 0) / lost.length;
  let found: number[] = [];
  let best = Infinity;
  for (let away = -ROWS_AWAY_MAX; away <= ROWS_AWAY_MAX; away++) {
    const row = hall.rows[home + away];
    if (!row || row.section !== hall.rows[home]?.section) continue;
    for (let first = row.first; first + lost.length <= row.first + row.count; first++) {
      const run = Array.from({ length: lost.length }, (_, index) => first + index);
      if (!run.every((seat) => statuses.isFree(seat) && !taken.has(seat))) continue;
      const alike = run.every(
        (seat) =>
          hall.category[seat] === hall.category[around] && hall.accessible[seat] === hall.accessible[around],
      );
      const middle = run.reduce((sum, seat) => sum + (hall.x[seat] ?? 0), 0) / run.length;
      const cost = Math.abs(middle - x) + Math.abs(away) * 200 + (alike ? 0 : 1000);
      if (cost < best) {
        best = cost;
        found = run;
      }
    }
  }
  return found;
}
