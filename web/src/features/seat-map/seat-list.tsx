import { useEffect, useState } from "react";
import { money } from "@/shared/ui/format";
import type { Hall, HallRow } from "./hall";
import { CHOSEN, MINE, PLAIN } from "./paint";
import { FREE, type SeatStatuses } from "./statuses";
import { describeSeat, freeOf } from "./words";

interface SeatListProps {
  hall: Hall;
  statuses: SeatStatuses;
  currency: string;
  chosen: ReadonlySet<number>;
  mine: ReadonlySet<number>;
  category: number | null;
  onPress(seat: number): void;
}

/**
 * The same hall as a list: sections, in them rows, in them seats as buttons. Only what is opened is there, so 20,000
 * seats are as light as 200.
 */
export function SeatList(props: SeatListProps) {
  const { hall } = props;
  useEachChange(props.statuses);
  return (
    <div className="flex h-full flex-col overflow-y-auto bg-paper px-4 pt-16 pb-4 sm:px-6">
      {hall.sections.map((_, number) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: sections never change places, and may share a name
        <Section key={number} {...props} number={number} open={hall.sections.length === 1} />
      ))}
    </div>
  );
}

/** Counts are made anew a few times a second at most, however fast a hall sells. */
const COUNT_MS = 300;

function useEachChange(statuses: SeatStatuses): void {
  const [, turn] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const forget = statuses.subscribe(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        turn((before) => before + 1);
      }, COUNT_MS);
    });
    return () => {
      forget();
      clearTimeout(timer);
    };
  }, [statuses]);
}

function freeIn(props: SeatListProps, first: number, count: number): number {
  const { hall, statuses, category } = props;
  let free = 0;
  for (let seat = first; seat < first + count; seat++) {
    if (statuses.isFree(seat) && (category === null || hall.category[seat] === category)) free += 1;
  }
  return free;
}

function Section(props: SeatListProps & { number: number; open: boolean }) {
  const { hall, number } = props;
  const [open, setOpen] = useState(props.open);
  const section = hall.sections[number];
  if (!section) return null;
  const free = freeIn(props, section.first, section.count);
  return (
    <details
      open={open}
      onToggle={(event) => setOpen(event.currentTarget.open)}
      className="border-b border-line last:border-b-0"
    >
      <summary className="flex min-h-12 items-center justify-between gap-4 py-2">
        <span className="title text-lg">{section.name}</span>
        <span className="tabular text-sm text-soft">{freeOf(free, section.count)}</span>
      </summary>
      {open && (
        <ul className="pb-3">
          {section.rows.map((row) => {
            const of = hall.rows[row];
            return of && <Row key={row} {...props} row={of} />;
          })}
        </ul>
      )}
    </details>
  );
}

function Row(props: SeatListProps & { row: HallRow }) {
  const { hall, statuses, currency, chosen, mine, category, onPress, row } = props;
  const [open, setOpen] = useState(false);
  const free = freeIn(props, row.first, row.count);
  const prices = new Set<number>();
  for (let seat = row.first; seat < row.first + row.count; seat++) prices.add(hall.category[seat] ?? 0);
  const price = [...prices].map((of) => money(hall.categories[of]?.price_cents ?? 0, currency)).join(", ");
  if (category !== null && !prices.has(category)) return null;
  return (
    <li>
      <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary className="tabular flex min-h-11 items-center justify-between gap-4 rounded-sm py-1 pl-3 text-sm hover:bg-sunk">
          <span className="font-[560]">Row {row.label}</span>
          <span className="ml-auto text-soft">{freeOf(free, row.count)}</span>
          <span className="w-24 text-right">{price}</span>
        </summary>
        {open && (
          <ul className="flex flex-wrap gap-1.5 py-2 pl-3">
            {Array.from({ length: row.count }, (_, index) => row.first + index).map((seat) => {
              const status = statuses.at(seat);
              const mark = mine.has(seat) ? MINE : chosen.has(seat) ? CHOSEN : PLAIN;
              const free = status === FREE || mark === CHOSEN;
              return (
                <li key={seat}>
                  <button
                    type="button"
                    aria-pressed={mark === CHOSEN}
                    aria-label={describeSeat(hall, seat, status, mark, currency)}
                    disabled={!free}
                    onClick={() => onPress(seat)}
                    className="tabular size-11 rounded-md border border-edge bg-raised text-sm hover:border-ink disabled:border-dashed disabled:border-line disabled:bg-transparent disabled:text-soft disabled:line-through aria-pressed:border-ink aria-pressed:bg-ink aria-pressed:text-paper"
                  >
                    {hall.numbers[seat]}
                  </button>
                </li>
              );
            })}
          </ul>
        )}
      </details>
    </li>
  );
}
