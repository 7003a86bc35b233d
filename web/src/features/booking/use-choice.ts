import { useCallback, useEffect, useRef, useState } from "react";
import type { Hall } from "@/features/seat-map/hall";
import { freeNearby } from "@/features/seat-map/nearby";
import { FREE, type SeatStatuses, SOLD } from "@/features/seat-map/statuses";
import { nameSeats, seatName, statusWord } from "@/features/seat-map/words";
import { list, plural } from "@/shared/ui/format";
import { useOffersOfPage, useToast } from "@/shared/ui/toast";

interface Choice {
  chosen: ReadonlySet<number>;
  choose(seat: number): void;
  clear(): void;
  set(seats: Iterable<number>): void;
  /** Says that these are gone, takes them out of the choice, and offers others. */
  lose(seats: readonly number[], sold: boolean): void;
}

/**
 * The seats that a visitor has picked but not asked for yet. Nobody is kept from them; when somebody else takes one, the
 * visitor hears it at once and is offered what is next to it.
 */
export function useChoice(
  hall: Hall | null,
  statuses: SeatStatuses | null,
  max: number,
  /** While a request is out, the map may show our own hold before the answer does. */
  paused: boolean,
): Choice {
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const toast = useToast();
  useOffersOfPage();
  const now = useRef({ chosen, paused, max });
  now.current = { chosen, paused, max };

  const put = useCallback((seats: Iterable<number>) => {
    const next = new Set(seats);
    now.current.chosen = next;
    setChosen(next);
  }, []);

  const choose = useCallback(
    (seat: number) => {
      if (!hall || !statuses) return;
      const before = now.current.chosen;
      if (before.has(seat)) {
        put([...before].filter((other) => other !== seat));
      } else if (!statuses.isFree(seat)) {
        toast({ text: `${seatName(hall, seat)} is ${statusWord(statuses.at(seat), 0)}.` });
      } else if (before.size >= now.current.max) {
        toast({ text: `One booking takes up to ${plural(now.current.max, "seat")}. Give one back first.` });
      } else {
        put([...before, seat]);
      }
    },
    [hall, statuses, toast, put],
  );

  const lose = useCallback(
    (seats: readonly number[], sold: boolean) => {
      if (!hall || !statuses || seats.length === 0) return;
      const kept = [...now.current.chosen].filter((seat) => !seats.includes(seat));
      put(kept);
      const were = seats.length === 1 ? "was" : "were";
      const gone = `${nameSeats(hall, seats)} ${were} just ${sold ? "sold" : "taken"}.`;
      const offer = freeNearby(hall, statuses, seats, new Set(kept));
      const first = offer[0];
      if (first === undefined) {
        toast({ text: `${gone} Nothing like it is free any more: look around the hall.`, urgent: true });
        return;
      }
      const numbers = list(offer.map((seat) => hall.numbers[seat] ?? ""));
      const sameRow = hall.rowOf[first] === hall.rowOf[seats[0] ?? 0];
      const where = sameRow ? `${numbers} in the same row` : nameSeats(hall, offer);
      toast({
        text: `${gone} ${where} ${offer.length === 1 ? "is" : "are"} free.`,
        urgent: true,
        offer: true,
        action: {
          label: `Take ${numbers}`,
          onPress: () => {
            const still = offer.filter((seat) => statuses.isFree(seat));
            put(new Set([...now.current.chosen, ...still].slice(0, now.current.max)));
          },
        },
      });
    },
    [hall, statuses, toast, put],
  );

  useEffect(() => {
    if (!statuses) return;
    return statuses.subscribe((changes) => {
      if (now.current.paused) return;
      const lost = changes.filter(({ seat, to }) => to !== FREE && now.current.chosen.has(seat));
      lose(
        lost.map(({ seat }) => seat),
        lost.some(({ to }) => to === SOLD),
      );
    });
  }, [statuses, lose]);

  const clear = useCallback(() => put([]), [put]);
  return { chosen, choose, clear, set: put, lose };
}
