import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { useSession } from "@/app/session";
import { SignInDialog } from "@/app/sign-in";
import { api, unwrap } from "@/shared/api/client";
import { showQuery } from "@/shared/api/queries";
import type { Booking } from "@/shared/api/types";
import { Button, LinkButton } from "@/shared/ui/button";
import { date, money, plural } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { EmptyState, ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { StatusBadge, whyOf } from "./status";

/** My bookings, newest first: /bookings. */
export function Component() {
  const heading = usePage("My bookings");
  const { visitor, loading } = useSession();
  return (
    <div className="mx-auto w-full max-w-4xl px-4 py-8 sm:px-6 sm:py-12">
      <h1 ref={heading} tabIndex={-1} className="text-2xl">
        My bookings
      </h1>
      {visitor ? <List userId={visitor.id} /> : !loading && <Stranger />}
    </div>
  );
}

function Stranger() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <EmptyState
        title="Whose bookings?"
        action={
          <Button tone="accent" onClick={() => setOpen(true)}>
            Say who you are
          </Button>
        }
      >
        Sign in, and what you have booked is here.
      </EmptyState>
      <SignInDialog open={open} onClose={() => setOpen(false)} />
    </>
  );
}

function List({ userId }: { userId: string }) {
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["bookings", userId, "all"],
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET("/api/bookings", {
          params: { query: { user_id: userId, ...(pageParam && { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchOnMount: "always",
  });
  if (error) return <ErrorState error={error} onRetry={refetch} />;
  if (!data) {
    return (
      <Loading label="Your bookings are being looked up">
        <div className="mt-8 flex flex-col gap-4">
          <Skeleton className="h-20" />
          <Skeleton className="h-20" />
          <Skeleton className="h-20" />
        </div>
      </Loading>
    );
  }
  const bookings = data.pages.flatMap((page) => page.items);
  if (bookings.length === 0) {
    return (
      <EmptyState
        title="No bookings yet"
        action={
          <LinkButton to="/" tone="accent">
            See what is on
          </LinkButton>
        }
      >
        Once you have chosen your seats, they wait for you here.
      </EmptyState>
    );
  }
  return (
    <>
      <ul className="mt-8 border-t border-ink">
        {bookings.map((booking) => (
          <Item key={booking.id} booking={booking} />
        ))}
      </ul>
      {hasNextPage && (
        <div className="mt-8 flex justify-center">
          <Button busy={isFetchingNextPage} onClick={() => fetchNextPage()}>
            Show earlier ones
          </Button>
        </div>
      )}
    </>
  );
}

function Item({ booking }: { booking: Booking }) {
  const show = useQuery(showQuery(booking.show_id)).data;
  const zone = show?.time_zone;
  return (
    <li className="relative grid grid-cols-[3.5rem_minmax(0,1fr)] gap-x-4 gap-y-2 border-b border-line py-5 hover:bg-sunk sm:grid-cols-[4.5rem_minmax(0,1fr)_auto] sm:px-2">
      <div aria-hidden="true" className="tabular text-center leading-none">
        {show && (
          <>
            <span className="title block text-xl">{date(show.start_time, "dayNumber", zone)}</span>
            <span className="mt-1 block text-xs text-soft">{date(show.start_time, "month", zone)}</span>
          </>
        )}
      </div>
      <div className="min-w-0">
        <h2 className="text-lg">
          <Link to={`/bookings/${booking.id}`} className="after:absolute after:inset-0">
            {show?.name ?? "…"}
          </Link>
        </h2>
        <p className="tabular mt-1 text-sm text-soft">
          {show && `${date(show.start_time, "dayShort", zone)}, ${date(show.start_time, "time", zone)} · `}
          {booking.seats.length > 0
            ? `${plural(booking.seats.length, "seat")} · ${money(booking.amount_cents, booking.currency)}`
            : plural(booking.seat_count, "seat")}
        </p>
        {booking.reason && <p className="mt-1 text-sm text-soft">{whyOf(booking)}</p>}
      </div>
      <div className="col-start-2 sm:col-start-3">
        <StatusBadge status={booking.status} />
      </div>
    </li>
  );
}
