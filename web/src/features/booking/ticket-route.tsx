import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { CalendarPlus } from "lucide-react";
import * as m from "motion/react-m";
import { useMemo, useState } from "react";
import { Link, useLocation, useParams } from "react-router";
import { buildHall } from "@/features/seat-map/hall";
import { api, unwrap } from "@/shared/api/client";
import { ApiError, say } from "@/shared/api/problems";
import { bookingQuery, layoutQuery, showQuery } from "@/shared/api/queries";
import { type Booking, isQueued, type Show } from "@/shared/api/types";
import { useAnnounce } from "@/shared/ui/announcer";
import { Button, buttonClass, LinkButton } from "@/shared/ui/button";
import { Dialog } from "@/shared/ui/dialog";
import { date, list, money, plural } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { EmptyState, ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { useToast } from "@/shared/ui/toast";
import { untilAnswered } from "./attempt";
import { Countdown } from "./countdown";
import { namesOf } from "./panel";
import { StatusBadge, whyOf } from "./status";

const QUEUED_MS = 2_000;

/** One booking, as a ticket: /bookings/:id. */
export function Component() {
  const { id = "" } = useParams();
  const booking = useQuery({
    ...bookingQuery(id),
    refetchInterval: ({ state }) => (state.data && isQueued(state.data) ? QUEUED_MS : false),
  });
  const show = useQuery({ ...showQuery(booking.data?.show_id ?? 0), enabled: booking.data !== undefined });
  if (booking.data && isQueued(booking.data)) return <Queued />;
  if (booking.data && show.data) return <Ticket booking={booking.data} show={show.data} />;
  const error = booking.error ?? show.error;
  if (error instanceof ApiError && error.code === "not_found") return <Unknown error={error} />;
  if (error) {
    return (
      <ErrorState level={1} error={error} onRetry={() => Promise.all([booking.refetch(), show.refetch()])} />
    );
  }
  return (
    <Loading label="The booking is being looked up">
      <div className="mx-auto mt-12 max-w-2xl px-4">
        <Skeleton className="h-96" />
      </div>
    </Loading>
  );
}

function Unknown({ error }: { error: ApiError }) {
  const { title, hint } = say(error);
  const heading = usePage(title);
  return (
    <EmptyState
      heading={heading}
      level={1}
      title={title}
      action={<LinkButton to="/bookings">See your bookings</LinkButton>}
    >
      {hint}
    </EmptyState>
  );
}

function Queued() {
  const heading = usePage("In line");
  return (
    <div className="mx-auto w-full max-w-2xl px-4 py-8 sm:py-12">
      <h1 ref={heading} tabIndex={-1} className="text-2xl">
        Your request is in line
      </h1>
      <p role="status" className="mt-4">
        It is decided in the order in which requests came. This page shows the answer as soon as it is there.
      </p>
    </div>
  );
}

function Ticket({ booking, show }: { booking: Booking; show: Show }) {
  const heading = usePage(show.name);
  const queries = useQueryClient();
  const fresh = (useLocation().state as { fresh?: boolean } | null)?.fresh === true;
  const layout = useQuery(layoutQuery(show.id));
  const hall = useMemo(() => layout.data && buildHall(layout.data, show.kind), [layout.data, show.kind]);
  const zone = show.time_zone;
  const live = booking.status === "CONFIRMED" || booking.status === "PENDING";
  const seats = hall && booking.seats.length > 0 ? namesOf(hall, booking) : list(booking.seats);
  return (
    <div className="mx-auto w-full max-w-2xl px-4 py-8 sm:py-12">
      <p className="eyebrow">
        <Link to="/bookings" className="hover:text-ink">
          My bookings
        </Link>
      </p>
      {fresh && booking.status === "CONFIRMED" && (
        <p className="title mt-3 text-xl text-good">Done. We look forward to seeing you.</p>
      )}
      <m.article
        initial={fresh ? { opacity: 0, y: 16 } : false}
        animate={{ opacity: 1, y: 0 }}
        transition={{ duration: 0.25 }}
        aria-label={`Booking of ${show.name}`}
        className={`ticket mt-5 rounded-lg border bg-raised ${live ? "border-edge" : "border-line text-soft"}`}
      >
        <div className="flex flex-col gap-5 p-6 sm:p-8">
          <div className="flex flex-wrap items-start justify-between gap-3">
            <p className="eyebrow">{show.kind === "trip" ? "Trip" : "Show"}</p>
            <m.span key={booking.status} initial={{ scale: 0.9 }} animate={{ scale: 1 }}>
              <StatusBadge status={booking.status} />
            </m.span>
          </div>
          <h1 ref={heading} tabIndex={-1} className="text-2xl">
            {show.name}
          </h1>
          <dl className="tabular grid gap-x-8 gap-y-4 sm:grid-cols-2">
            <Fact term="When">
              {date(show.start_time, "day", zone)}
              <br />
              {date(show.start_time, "time", zone)}
              {show.end_time && ` to ${date(show.end_time, "time", zone)}`}
            </Fact>
            {(show.venue || show.origin) && (
              <Fact term={show.kind === "trip" ? "From and to" : "Where"}>
                {show.venue ?? `${show.origin} to ${show.destination}`}
              </Fact>
            )}
          </dl>
        </div>
        <div className="ticket-edge" aria-hidden="true" />
        <div className="flex flex-col gap-5 p-6 sm:p-8">
          <dl className="tabular grid gap-x-8 gap-y-4 sm:grid-cols-[minmax(0,1fr)_auto]">
            <Fact term={live ? "Your seats" : "Seats asked for"} large>
              {seats || plural(booking.seat_count, "seat")}
            </Fact>
            {booking.amount_cents > 0 && (
              <Fact term={live ? "Price" : "Would have been"} large>
                {money(booking.amount_cents, booking.currency)}
              </Fact>
            )}
            {booking.customer_name && (
              <Fact term="Name" wide>
                {booking.customer_name}
              </Fact>
            )}
          </dl>
          <p className="measure text-sm">{whyOf(booking)}</p>
          {booking.status === "PENDING" && booking.expires_at && (
            <div className="flex flex-wrap items-center gap-4">
              <Countdown
                until={booking.expires_at}
                total={(Date.parse(booking.expires_at) - Date.parse(booking.created_at)) / 1000}
                onEnd={() => queries.invalidateQueries({ queryKey: ["booking", booking.id] })}
              />
              <LinkButton to={`/booking/${show.id}`} tone="accent">
                Go on with it
              </LinkButton>
            </div>
          )}
          <Actions booking={booking} show={show} seats={seats} />
        </div>
      </m.article>
      <History booking={booking} zone={zone} />
    </div>
  );
}

function Fact({
  term,
  large = false,
  wide = false,
  children,
}: {
  term: string;
  large?: boolean;
  wide?: boolean;
  children: React.ReactNode;
}) {
  return (
    <div className={`min-w-0 ${wide ? "sm:col-span-2" : ""}`}>
      <dt className="eyebrow">{term}</dt>
      <dd className={`mt-1 break-words ${large ? "title text-lg" : ""}`}>{children}</dd>
    </div>
  );
}

function Actions({ booking, show, seats }: { booking: Booking; show: Show; seats: string }) {
  const [asking, setAsking] = useState(false);
  const queries = useQueryClient();
  const toast = useToast();
  const announce = useAnnounce();
  const cancel = useMutation({
    mutationFn: () =>
      untilAnswered(() =>
        unwrap(
          api.POST("/api/bookings/{booking_id}/cancel", { params: { path: { booking_id: booking.id } } }),
        ),
      ),
    onSuccess: (cancelled) => {
      queries.setQueryData(["booking", booking.id], cancelled);
      queries.invalidateQueries({ queryKey: ["bookings"] });
      queries.invalidateQueries({ queryKey: ["show", show.id] });
      announce("Cancelled. The seats are on sale again.");
    },
    onError: (error) => {
      const { title, hint } = say(error);
      toast({ text: `${title}. ${hint}`, urgent: true });
      queries.invalidateQueries({ queryKey: ["booking", booking.id] });
    },
    onSettled: () => setAsking(false),
  });
  if (booking.status === "FAILED" || booking.status === "CANCELLED") {
    if (show.status === "cancelled") return null;
    return (
      <div>
        <LinkButton to={`/booking/${show.id}`} tone="accent">
          Back to the seats
        </LinkButton>
      </div>
    );
  }
  return (
    <div className="flex flex-wrap gap-3">
      {booking.status === "CONFIRMED" && (
        <a href={`/api/bookings/${booking.id}/calendar.ics`} download className={buttonClass("plain")}>
          <CalendarPlus size={18} aria-hidden />
          Add to calendar
        </a>
      )}
      <Button tone="quiet" onClick={() => setAsking(true)}>
        {booking.status === "PENDING" ? "Give the seats back" : "Cancel this booking"}
      </Button>
      <Dialog open={asking} onClose={() => setAsking(false)} title="Give these seats back?">
        <p>
          {seats} of {show.name} {booking.seats.length === 1 ? "goes" : "go"} back on sale at once. You may
          not get {booking.seats.length === 1 ? "it" : "them"} again.
        </p>
        <div className="flex flex-wrap justify-end gap-3">
          <Button onClick={() => setAsking(false)}>Keep {booking.seats.length === 1 ? "it" : "them"}</Button>
          <Button tone="accent" busy={cancel.isPending} onClick={() => cancel.mutate()}>
            Give {plural(booking.seats.length, "seat")} back
          </Button>
        </div>
      </Dialog>
    </div>
  );
}

function History({ booking, zone }: { booking: Booking; zone: string | null }) {
  return (
    <section aria-labelledby="history" className="mt-8">
      <h2 id="history" className="eyebrow font-sans">
        What happened
      </h2>
      <ol className="tabular mt-3 flex flex-col gap-2 text-sm">
        {booking.history.map((step) => (
          <li key={`${step.status} ${step.at}`} className="flex flex-wrap items-center gap-3">
            <time dateTime={step.at} className="text-soft">
              {date(step.at, "stamp", zone)}
            </time>
            <StatusBadge status={step.status} />
          </li>
        ))}
      </ol>
      <p className="tabular mt-4 text-xs break-all text-soft">Booking {booking.id}</p>
    </section>
  );
}
