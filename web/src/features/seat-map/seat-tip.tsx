import { useEffect, useState } from "react";
import { money } from "@/shared/ui/format";
import type { Camera } from "./camera";
import { type Hall, SEAT } from "./hall";
import { PLAIN } from "./paint";
import { FREE, type SeatStatuses } from "./statuses";
import { seatName, statusWord } from "./words";

interface SeatTipProps {
  hall: Hall;
  seat: number;
  statuses: SeatStatuses;
  mark: number;
  currency: string;
  camera: Camera | undefined;
}

/** What a mouse rests on. The button at the keyboard's place says the same to a screen reader. */
export function SeatTip({ hall, seat, statuses, mark, currency, camera }: SeatTipProps) {
  const status = useSeatStatus(statuses, seat);
  if (!camera) return null;
  const category = hall.categories[hall.category[seat] ?? 0];
  const x = (hall.x[seat] ?? 0) * camera.scale + camera.x;
  const y = ((hall.y[seat] ?? 0) - SEAT / 2) * camera.scale + camera.y;
  const below = y < 90;
  return (
    <div
      aria-hidden="true"
      className="pointer-events-none absolute z-10 rounded-md bg-ink px-3 py-1.5 text-sm whitespace-nowrap text-paper"
      style={{
        left: x,
        top: below ? y + SEAT * camera.scale + 8 : y - 8,
        transform: `translate(-50%, ${below ? "0" : "-100%"})`,
      }}
    >
      <span className="font-[560]">{seatName(hall, seat)}</span>
      {status === FREE || mark !== PLAIN ? (
        <span className="tabular">
          {category && ` · ${category.name} · ${money(category.price_cents, currency)}`}
          {mark !== PLAIN && ` · ${statusWord(status, mark)}`}
        </span>
      ) : (
        ` · ${statusWord(status, mark)}`
      )}
    </div>
  );
}

/** A seat's status, now and whenever it changes. */
export function useSeatStatus(statuses: SeatStatuses, seat: number): number {
  const [, turn] = useState(0);
  useEffect(
    () =>
      statuses.subscribe((changes) => {
        if (changes.some((change) => change.seat === seat)) turn((before) => before + 1);
      }),
    [statuses, seat],
  );
  return statuses.at(seat);
}
