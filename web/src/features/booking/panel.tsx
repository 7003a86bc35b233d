import { LoaderCircle, Minus, Plus, WifiOff, X } from "lucide-react";
import { AnimatePresence } from "motion/react";
import * as m from "motion/react-m";
import { useEffect, useRef, useState } from "react";
import type { Hall } from "@/features/seat-map/hall";
import { categoryColor } from "@/features/seat-map/palette";
import { nameSeats, seatName } from "@/features/seat-map/words";
import type { Booking, Show } from "@/shared/api/types";
import { Button } from "@/shared/ui/button";
import { inputShape } from "@/shared/ui/field";
import { date, money, plural } from "@/shared/ui/format";
import { Rolling } from "@/shared/ui/rolling";
import { Countdown } from "./countdown";
import { whyOf } from "./status";

/** What "Hold the best …" is told. */
export interface Best {
  seatCount: number;
  category: string | null;
  accessible: boolean;
}

interface ChoosingProps {
  show: Show;
  hall: Hall;
  chosen: ReadonlySet<number>;
  category: number | null;
  onCategory(category: number | null): void;
  onDrop(seat: number): void;
  onHold(): void;
  onBest(best: Best): void;
}

/** What is chosen, each seat with its price, and the total; or, with nothing chosen, an offer to choose. */
export function ChoosingPanel(props: ChoosingProps) {
  const { show, hall, chosen, onDrop, onHold } = props;
  const seats = [...chosen].sort((a, b) => a - b);
  const total = seats.reduce((sum, seat) => sum + priceOf(hall, seat), 0);
  const max = show.max_seats_per_booking;
  return (
    <div className="flex flex-col gap-4">
      {seats.length === 0 ? (
        <BestOffer {...props} />
      ) : (
        <>
          <h2 className="text-lg">
            {plural(seats.length, "seat")} chosen
            {seats.length === max && (
              <span className="ml-2 font-sans text-sm text-soft">as many as one booking takes</span>
            )}
          </h2>
          <ul className="-my-1 max-h-36 overflow-y-auto wide:max-h-[40dvh]">
            <AnimatePresence initial={false}>
              {seats.map((seat) => (
                <m.li
                  key={seat}
                  initial={{ opacity: 0, y: 6 }}
                  animate={{ opacity: 1, y: 0 }}
                  exit={{ opacity: 0 }}
                  transition={{ duration: 0.15 }}
                  className="flex items-center gap-3 border-b border-line py-1.5 last:border-b-0"
                >
                  <Swatch hall={hall} seat={seat} />
                  <span className="min-w-0 flex-1">
                    <span className="block truncate font-[520]">{seatName(hall, seat)}</span>
                    <span className="block truncate text-xs text-soft">{placeOf(hall, seat)}</span>
                  </span>
                  <span className="tabular">{money(priceOf(hall, seat), show.currency)}</span>
                  <Button
                    size="small"
                    tone="quiet"
                    aria-label={`Give back ${seatName(hall, seat)}`}
                    onClick={() => onDrop(seat)}
                  >
                    <X size={16} aria-hidden />
                  </Button>
                </m.li>
              ))}
            </AnimatePresence>
          </ul>
          <div className="flex items-center justify-between gap-4 border-t border-ink pt-3">
            <div className="leading-tight">
              <span className="block text-sm text-soft">Total</span>
              <Rolling text={money(total, show.currency)} className="title text-xl" />
            </div>
            <Button tone="accent" size="large" onClick={onHold}>
              {seats.length === 1 ? "Hold this seat" : `Hold these ${seats.length} seats`}
            </Button>
          </div>
          <p className="hidden text-sm text-soft wide:block">
            They stay yours for {holdWords(show.hold_seconds)}, while you make up your mind.
          </p>
        </>
      )}
    </div>
  );
}

function BestOffer({ show, hall, category, onCategory, onBest }: ChoosingProps) {
  const [count, setCount] = useState(Math.min(2, show.max_seats_per_booking));
  const [accessible, setAccessible] = useState(false);
  const hasAccessible = hall.accessible.includes(1);
  const max = show.max_seats_per_booking;
  return (
    <form
      className="grid grid-cols-[minmax(0,1fr)_auto] items-center gap-3 wide:flex wide:flex-col wide:items-stretch wide:gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        const name = category === null ? null : (hall.categories[category]?.name ?? null);
        onBest({ seatCount: count, category: name, accessible });
      }}
    >
      <div className="col-span-2 -mb-3 wide:mb-0">
        <h2 className="sr-only text-lg wide:not-sr-only">Choose your seats</h2>
        <p className="hidden text-sm text-soft wide:mt-1 wide:block">
          Press them on the map, up to {max} in one booking. Or let us find the best ones left, side by side.
        </p>
      </div>
      <div className="col-span-2 flex items-stretch gap-2">
        <div className="flex shrink-0 items-center rounded-md border border-edge bg-raised">
          <Button
            tone="quiet"
            className="px-3"
            aria-label="One seat fewer"
            disabled={count <= 1}
            onClick={() => setCount(count - 1)}
          >
            <Minus size={16} aria-hidden />
          </Button>
          <output aria-live="polite" aria-label="Seats" className="tabular w-7 text-center font-[560]">
            {count}
          </output>
          <Button
            tone="quiet"
            className="px-3"
            aria-label="One seat more"
            disabled={count >= max}
            onClick={() => setCount(count + 1)}
          >
            <Plus size={16} aria-hidden />
          </Button>
        </div>
        {hall.categories.length > 1 && (
          <select
            aria-label="Price category"
            className={`${inputShape} min-w-0 flex-1`}
            value={category ?? ""}
            onChange={(event) => onCategory(event.target.value === "" ? null : Number(event.target.value))}
          >
            <option value="">Any price</option>
            {hall.categories.map((of, index) => (
              <option key={of.name} value={index}>
                {of.name}, {money(of.price_cents, show.currency)}
              </option>
            ))}
          </select>
        )}
      </div>
      {hasAccessible && (
        <label className="order-last flex min-h-6 items-center gap-2 text-sm wide:order-none">
          <input
            type="checkbox"
            className="size-5 accent-accent"
            checked={accessible}
            onChange={(event) => setAccessible(event.target.checked)}
          />
          Wheelchair places
        </label>
      )}
      <Button type="submit" tone="accent" size="large" className={hasAccessible ? "" : "col-span-2"}>
        {count === 1 ? "Best seat" : `Best ${count} together`}
      </Button>
    </form>
  );
}

interface HeldProps {
  show: Show;
  hall: Hall;
  booking: Booking;
  doing: null | "confirming" | "releasing";
  waiting: boolean;
  onConfirm(): void;
  onRelease(): void;
  onEnd(): void;
}

/** Seats that are held: how long for, what they cost, and the one thing to do. */
export function HeldPanel({ show, hall, booking, doing, waiting, onConfirm, onRelease, onEnd }: HeldProps) {
  const heading = useFocusOnArrival();
  const until = booking.expires_at ?? booking.created_at;
  const byService = show.confirm_by === "service";
  const total = (Date.parse(until) - Date.parse(booking.created_at)) / 1000;
  return (
    <div className="flex flex-col gap-4">
      <div className="flex items-center gap-4">
        <Countdown until={until} total={total} onEnd={onEnd} />
        <div className="min-w-0">
          <h2 ref={heading} tabIndex={-1} className="text-lg outline-none">
            {namesOf(hall, booking)} {booking.seats.length === 1 ? "is" : "are"} yours until{" "}
            <span className="tabular whitespace-nowrap">{date(until, "clock")}</span>
          </h2>
          <p className="tabular mt-1 text-sm text-soft">
            {plural(booking.seats.length, "seat")}, {money(booking.amount_cents, booking.currency)}
          </p>
        </div>
      </div>
      {waiting && <Waiting />}
      {byService ? (
        <p className="text-sm text-soft">
          They are confirmed as soon as your payment has arrived; this page will tell you.
        </p>
      ) : (
        <Button tone="accent" size="large" busy={doing === "confirming"} onClick={onConfirm}>
          {doing === "confirming"
            ? "Confirming…"
            : `Confirm, ${money(booking.amount_cents, booking.currency)}`}
        </Button>
      )}
      <Button tone="quiet" busy={doing === "releasing"} onClick={onRelease}>
        Give {booking.seats.length === 1 ? "it" : "them"} back
      </Button>
    </div>
  );
}

/** The request is out. Nothing to press: whatever comes of it, the seats are got once or not at all. */
export function AskingPanel({ waiting }: { waiting: boolean }) {
  return (
    <div className="flex flex-col gap-4" role="status">
      <h2 className="flex items-center gap-3 text-lg">
        <LoaderCircle size={20} className="animate-spin text-accent motion-reduce:animate-none" aria-hidden />
        Asking for your seats…
      </h2>
      {waiting && <Waiting />}
    </div>
  );
}

function Waiting() {
  return (
    <p className="flex items-start gap-3 rounded-md bg-warn-wash px-3 py-2 text-sm text-warn" role="status">
      <WifiOff size={18} className="mt-0.5 shrink-0" aria-hidden />
      <span>
        No answer yet. We keep asking, and it counts as one request however often: nothing is booked twice.
      </span>
    </p>
  );
}

/** It did not work out in time, or was given back: why, and back to the map. */
export function OverPanel({ booking, onAgain }: { booking: Booking; onAgain(): void }) {
  const heading = useFocusOnArrival();
  const expired = booking.reason === "hold_expired";
  return (
    <div className="flex flex-col gap-4">
      <h2 ref={heading} tabIndex={-1} className="text-lg outline-none">
        {expired ? "The time for these seats is over" : "These seats are not yours any more"}
      </h2>
      <p className="text-sm text-soft">{whyOf(booking)} With luck they are still free.</p>
      <Button tone="accent" size="large" onClick={onAgain}>
        Back to the seats
      </Button>
    </div>
  );
}

function useFocusOnArrival() {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return heading;
}

function Swatch({ hall, seat }: { hall: Hall; seat: number }) {
  const of = hall.category[seat] ?? 0;
  const category = hall.categories[of];
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" className="shrink-0">
      <rect
        x="1"
        y="1"
        width="14"
        height="14"
        rx="4"
        fill={category ? categoryColor(category, of) : "currentColor"}
        stroke="var(--ink)"
        strokeOpacity="0.4"
      />
    </svg>
  );
}

const priceOf = (hall: Hall, seat: number) => hall.categories[hall.category[seat] ?? 0]?.price_cents ?? 0;

function placeOf(hall: Hall, seat: number): string {
  const row = hall.rows[hall.rowOf[seat] ?? 0];
  const section = row && hall.sections.length > 1 ? `${hall.sections[row.section]?.name}, ` : "";
  const kind = hall.accessible[seat] ? ", wheelchair place" : "";
  return `${section}${hall.categories[hall.category[seat] ?? 0]?.name ?? ""}${kind}`;
}

export const namesOf = (hall: Hall, booking: Booking): string =>
  nameSeats(
    hall,
    booking.seats.flatMap((label) => hall.positions.get(label) ?? []),
  );

export function holdWords(seconds: number): string {
  if (seconds < 60) return plural(seconds, "second");
  const minutes = Math.floor(seconds / 60);
  const rest = seconds % 60;
  return rest ? `${plural(minutes, "minute")} and ${plural(rest, "second")}` : plural(minutes, "minute");
}
