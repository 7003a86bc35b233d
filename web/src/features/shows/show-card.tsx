import { Link } from "react-router";
import type { Show } from "@/shared/api/types";
import { count, date, money } from "@/shared/ui/format";
import { isSoldOut, priceFrom } from "./filters";

/** A show in the programme: its day large, its name, where, from what price, how full. All of it is the link. */
export function ShowCard({ show }: { show: Show }) {
  const zone = show.time_zone;
  const cancelled = show.status === "cancelled";
  const off = cancelled || isSoldOut(show);
  const where = show.kind === "trip" && show.origin ? `${show.origin} to ${show.destination}` : show.venue;
  return (
    <li className="group relative flex gap-5 border-t border-ink pt-4 pb-10">
      <time
        dateTime={show.start_time}
        className={`tabular flex w-16 shrink-0 flex-col items-center ${off ? "text-soft" : ""}`}
      >
        <span className="text-xs text-soft">{date(show.start_time, "weekday", zone)}</span>
        <span className="title text-2xl">{date(show.start_time, "dayNumber", zone)}</span>
        <span className="text-xs text-soft">{date(show.start_time, "month", zone)}</span>
      </time>
      <div className="flex min-w-0 flex-1 flex-col">
        <h2 className={`line-clamp-3 text-[1.4rem] leading-tight ${off ? "text-soft" : ""}`}>
          <Link
            to={`/booking/${show.id}`}
            className="after:absolute after:inset-0 group-hover:underline group-hover:decoration-accent group-hover:decoration-2 group-hover:underline-offset-4"
          >
            {show.name}
          </Link>
        </h2>
        <p className="tabular mt-1.5 text-sm text-soft">
          {date(show.start_time, "time", zone)}
          {show.end_time && ` to ${date(show.end_time, "time", zone)}`}
          {where && <span className="break-words"> · {where}</span>}
        </p>
        <div className="mt-auto flex items-end justify-between gap-4 pt-5">
          <Fullness show={show} cancelled={cancelled} />
          {!off && (
            <p className="text-right leading-tight">
              {priceFrom(show) > 0 ? (
                <>
                  <span className="block text-xs text-soft">from</span>
                  <span className="tabular title text-lg">{money(priceFrom(show), show.currency)}</span>
                </>
              ) : (
                <span className="title text-lg">no charge</span>
              )}
            </p>
          )}
        </div>
      </div>
    </li>
  );
}

const SEATS_DRAWN = 14;
/** So few that it is worth saying. */
const LAST_PART = 0.1;

/** How full it is, as a row of seats that fills up, and in words. */
function Fullness({ show, cancelled }: { show: Show; cancelled: boolean }) {
  const free = show.available_seats;
  const gone = show.total_seats - free;
  const filled =
    free === 0 ? SEATS_DRAWN : Math.min(SEATS_DRAWN - 1, Math.round((gone / show.total_seats) * SEATS_DRAWN));
  const last = free > 0 && free <= show.total_seats * LAST_PART;
  const notYet = show.on_sale_at !== null && Date.parse(show.on_sale_at) > Date.now();
  const words = cancelled
    ? "Called off"
    : free === 0
      ? "Sold out"
      : notYet
        ? `On sale ${date(show.on_sale_at ?? "", "dayShort", show.time_zone)}`
        : last
          ? `Last ${count(free)}`
          : `${count(free)} free`;
  return (
    <div className="flex flex-col gap-1.5">
      <svg width={SEATS_DRAWN * 8 - 2} height="8" aria-hidden="true" className={cancelled ? "invisible" : ""}>
        {Array.from({ length: SEATS_DRAWN }, (_, seat) => (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a row of seats
            key={seat}
            x={seat * 8 + 0.5}
            y="0.5"
            width="5.5"
            height="7"
            rx="1.5"
            className={seat < filled ? "fill-edge stroke-edge" : "fill-none stroke-edge"}
          />
        ))}
      </svg>
      <span
        className={`tabular text-sm ${free === 0 || last || cancelled ? "font-[560] text-accent" : "text-soft"}`}
      >
        {words}
      </span>
    </div>
  );
}
