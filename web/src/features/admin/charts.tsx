/** Charts as plain SVG: a few shapes, named where they stand. Each has its numbers as a table for those who don't see it. */
import type { ReactNode } from "react";
import type { BookingStatus } from "@/shared/api/types";
import { count, date, money, plural } from "@/shared/ui/format";
import type { Statistics } from "./api";
import { Copyable } from "./parts";

type Bucket = Statistics["timeline"][number];
type ReasonCount = Statistics["reasons"][number];

export const REASONS: Record<ReasonCount["reason"], string> = {
  seats_taken: "Somebody else had the seats",
  not_enough_seats: "Not enough seats were left",
  hold_expired: "The hold ran out",
  released: "Given back before paying",
  cancelled_by_customer: "Cancelled by the customer",
  cancelled_by_admin: "Cancelled by the box office",
  show_cancelled: "The show was cancelled",
  not_on_sale: "Asked for before the sale began",
  forbidden: "To be confirmed by the box office only",
  too_many_holds: "More holds than a customer may have",
  too_many_seats: "More seats than a booking may have",
  dropped: "Given up by the box office",
};

export const STATUS_WORDS: Record<BookingStatus, string> = {
  PENDING: "Held",
  CONFIRMED: "Booked",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

const REFUSED: readonly ReasonCount["reason"][] = [
  "seats_taken",
  "not_enough_seats",
  "not_on_sale",
  "forbidden",
  "too_many_seats",
  "too_many_holds",
  "dropped",
];

export function Charts({ statistics, zone }: { statistics: Statistics; zone: string | null }) {
  return (
    <div className="grid gap-x-12 gap-y-10 lg:grid-cols-2">
      <Panel title="Bookings over time" wide>
        <Timeline statistics={statistics} zone={zone} />
      </Panel>
      <Panel title="Seats and revenue by category">
        <Categories statistics={statistics} />
      </Panel>
      <Panel title="Attempts that came to nothing">
        <Reasons reasons={statistics.reasons} />
      </Panel>
    </div>
  );
}

function Panel({ title, wide = false, children }: { title: string; wide?: boolean; children: ReactNode }) {
  return (
    <section className={`flex min-w-0 flex-col gap-4 ${wide ? "lg:col-span-2" : ""}`}>
      <h3 className="text-lg">{title}</h3>
      {children}
    </section>
  );
}

/** "minute", "15 minutes", "day": how long an interval is, in words. */
export function intervalWords(seconds: number): string {
  const units: [number, string][] = [
    [86_400, "day"],
    [3_600, "hour"],
    [60, "minute"],
  ];
  const [size, word] = units.find(([unit]) => seconds % unit === 0) ?? [1, "second"];
  return seconds === size ? word : plural(seconds / size, word);
}

const WIDTH = 600;
const HEIGHT = 120;

function Timeline({ statistics, zone }: { statistics: Statistics; zone: string | null }) {
  const { timeline, interval_seconds: seconds } = statistics;
  const first = timeline[0];
  const last = timeline.at(-1);
  if (!first || !last) return <p className="text-soft">Nobody has booked yet.</p>;
  const made = (bucket: Bucket) => bucket.confirmed + bucket.pending + bucket.cancelled;
  const most = Math.max(1, ...timeline.map((bucket) => made(bucket) + bucket.failed));
  const peak = timeline.reduce((best, bucket) => (made(bucket) > made(best) ? bucket : best), first);
  const sums = {
    made: timeline.reduce((sum, bucket) => sum + made(bucket), 0),
    failed: timeline.reduce((sum, bucket) => sum + bucket.failed, 0),
  };
  const each = WIDTH / Math.max(timeline.length, 12);
  const style = seconds >= 86_400 ? "dayShort" : "stamp";
  const said =
    `${plural(sums.made, "booking")} and ${plural(sums.failed, "failed attempt")} ` +
    `from ${date(first.at, "stamp", zone)} on; most in the ${intervalWords(seconds)} from ` +
    `${date(peak.at, "stamp", zone)}: ${count(made(peak))}`;
  return (
    <figure className="flex flex-col gap-2">
      <p className="flex flex-wrap gap-x-6 text-sm">
        <span className="font-[560] text-accent">
          {plural(sums.made, "booking")}, {count(made(peak))} in the busiest {intervalWords(seconds)}
        </span>
        <span className="text-soft">{plural(sums.failed, "failed attempt")}, in grey above</span>
      </p>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={said}
        className="h-40 w-full border-b border-edge"
      >
        <title>{said}</title>
        {timeline.map((bucket, index) => {
          const high = (made(bucket) / most) * HEIGHT;
          const grey = (bucket.failed / most) * HEIGHT;
          return (
            <g key={bucket.at} className="hover:opacity-70">
              <title>
                {`${date(bucket.at, "stamp", zone)}: ${plural(made(bucket), "booking")}, ${plural(bucket.seats, "seat")} sold, ${count(bucket.failed)} failed`}
              </title>
              <rect x={index * each} width={each} height={HEIGHT} className="fill-transparent" />
              <rect
                x={index * each + each * 0.1}
                width={each * 0.8}
                y={HEIGHT - high}
                height={high}
                className="fill-accent"
              />
              <rect
                x={index * each + each * 0.1}
                width={each * 0.8}
                y={HEIGHT - high - grey}
                height={grey}
                className="fill-edge"
              />
            </g>
          );
        })}
      </svg>
      <div className="tabular flex justify-between gap-4 text-xs text-soft">
        <span>{date(first.at, style, zone)}</span>
        <span className="hidden sm:inline">a bar is a {intervalWords(seconds)}</span>
        {timeline.length >= 8 && <span>{date(last.at, style, zone)}</span>}
      </div>
      <figcaption className="sr-only">
        <table>
          <caption>Bookings over time</caption>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">Bookings</th>
              <th scope="col">Failed</th>
            </tr>
          </thead>
          <tbody>
            {timeline
              .filter((bucket) => made(bucket) + bucket.failed > 0)
              .map((bucket) => (
                <tr key={bucket.at}>
                  <th scope="row">{date(bucket.at, "stamp", zone)}</th>
                  <td>{made(bucket)}</td>
                  <td>{bucket.failed}</td>
                </tr>
              ))}
          </tbody>
        </table>
      </figcaption>
    </figure>
  );
}

function Categories({ statistics }: { statistics: Statistics }) {
  return (
    <ul className="flex flex-col gap-5">
      {statistics.categories.map((category) => {
        const {
          total_seats: total,
          booked_seats: booked,
          reserved_seats: held,
          blocked_seats: blocked,
        } = category;
        const parts: [number, string, string, string][] = [
          [booked, "sold", "fill-accent", "text-accent"],
          [held, "held", "fill-warn", "text-warn"],
          [blocked, "off sale", "fill-edge", "text-soft"],
        ];
        let from = 0;
        return (
          <li key={category.category} className="flex flex-col gap-1.5">
            <div className="flex items-baseline justify-between gap-4">
              <span className="[overflow-wrap:anywhere]">
                <span className="font-[560]">{category.category}</span>{" "}
                <span className="tabular text-sm text-soft">
                  {money(category.price_cents, statistics.currency)} a seat
                </span>
              </span>
              <span className="tabular font-[560]">
                <Copyable
                  value={(category.revenue_cents / 100).toFixed(2)}
                  label={`Revenue of ${category.category}`}
                >
                  {money(category.revenue_cents, statistics.currency)}
                </Copyable>
              </span>
            </div>
            <svg
              viewBox="0 0 100 10"
              preserveAspectRatio="none"
              aria-hidden="true"
              className="h-3 w-full bg-line"
            >
              {parts.map(([seats, name, look]) => {
                const x = from;
                from += total ? (seats / total) * 100 : 0;
                return <rect key={name} x={x} width={from - x} height="10" className={look} />;
              })}
            </svg>
            <p className="tabular flex flex-wrap gap-x-4 text-sm">
              {parts.map(
                ([seats, name, , text]) =>
                  seats > 0 && (
                    <span key={name} className={`font-[560] ${text}`}>
                      {count(seats)} {name}
                    </span>
                  ),
              )}
              <span className="text-soft">
                {count(category.available_seats)} free of {count(total)}
              </span>
            </p>
          </li>
        );
      })}
    </ul>
  );
}

function Reasons({ reasons }: { reasons: readonly ReasonCount[] }) {
  const most = Math.max(1, ...reasons.map(({ bookings }) => bookings));
  if (reasons.length === 0) return <p className="text-soft">Whoever wanted seats got them.</p>;
  return (
    <ul className="flex flex-col gap-4">
      {reasons.map(({ reason, bookings, seats }) => (
        <li key={reason} className="flex flex-col gap-1.5">
          <div className="flex items-baseline justify-between gap-4">
            <span>{REASONS[reason]}</span>
            <span className="tabular font-[560]">
              <Copyable value={String(bookings)} label={REASONS[reason]}>
                {count(bookings)}
              </Copyable>
            </span>
          </div>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" className="h-2 w-full">
            <rect
              width={Math.max(0.5, (bookings / most) * 100)}
              height="10"
              className={REFUSED.includes(reason) ? "fill-accent" : "fill-edge"}
            />
          </svg>
          <p className="tabular text-sm text-soft">
            {plural(seats, "seat")} {REFUSED.includes(reason) ? "refused" : "given back"}
          </p>
        </li>
      ))}
    </ul>
  );
}
