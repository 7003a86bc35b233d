import { Download, Search } from "lucide-react";
import { type RefObject, useDeferredValue, useState } from "react";
import type { Hall } from "@/features/seat-map/hall";
import { say } from "@/shared/api/problems";
import type { Booking, BookingStatus, Show } from "@/shared/api/types";
import { Button, buttonClass } from "@/shared/ui/button";
import { Field, Select } from "@/shared/ui/field";
import { date, list, money, plural } from "@/shared/ui/format";
import { ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { Cell, HeadCell, Table } from "@/shared/ui/table";
import { useToast } from "@/shared/ui/toast";
import { useBookings, useCancelBooking } from "./api";
import { REASONS, STATUS_WORDS } from "./charts";
import { Confirm, Copyable, Key, TableRoom } from "./parts";

const SEATS_SAID_MAX = 6;
const LOOK: Record<BookingStatus, string> = {
  PENDING: "text-warn",
  CONFIRMED: "text-good",
  FAILED: "text-soft",
  CANCELLED: "text-soft",
};

interface BookingsProps {
  show: Show;
  hall: Hall | null;
  search: RefObject<HTMLInputElement | null>;
  typed: string;
  onTyped(text: string): void;
}

/** What is typed, as the server is asked for it: a seat of this hall by its label, else a text. */
export function filterOf(typed: string, hall: Hall | null): { q: string; seat: string } {
  const text = typed.trim();
  const label = hall && [text, text.toUpperCase()].find((name) => hall.positions.has(name));
  return label ? { q: "", seat: label } : { q: text, seat: "" };
}

/** Who has which seats: searched, filtered, given back, taken along as a file. */
export function BookingsTable({ show, hall, search, typed, onTyped }: BookingsProps) {
  const [status, setStatus] = useState<BookingStatus | "">("");
  const [cancelling, setCancelling] = useState<Booking | null>(null);
  const filter = filterOf(useDeferredValue(typed), hall);
  const bookings = useBookings(String(show.id), { ...filter, status });
  const items = bookings.data?.pages.flatMap((page) => page.items) ?? [];
  const wanted = [...Object.entries({ ...filter, status })].filter(([, value]) => value);
  const csv = `/api/shows/${show.id}/bookings.csv?${new URLSearchParams(wanted)}`.replace(/\?$/, "");
  return (
    <>
      <div className="flex flex-wrap items-end gap-3">
        <div className="relative w-full sm:w-96">
          <Search size={16} aria-hidden className="absolute top-3.5 left-3 text-soft" />
          <Field
            ref={search}
            type="search"
            label="Search bookings"
            hideLabel
            placeholder="Name, e-mail, seat or booking id"
            className="pl-9"
            value={typed}
            onChange={(event) => onTyped(event.target.value)}
            aria-keyshortcuts="/"
          />
        </div>
        <Select
          label="Status"
          hideLabel
          value={status}
          onChange={(event) => setStatus(event.target.value as BookingStatus | "")}
        >
          <option value="">Every status</option>
          {(Object.keys(STATUS_WORDS) as BookingStatus[]).map((one) => (
            <option key={one} value={one}>
              {STATUS_WORDS[one]}
            </option>
          ))}
        </Select>
        <span className="hidden pb-3 text-sm text-soft lg:inline">
          Search with <Key>/</Key>
        </span>
        <a href={csv} download className={buttonClass("plain", "medium", "sm:ml-auto")}>
          <Download size={18} aria-hidden /> {wanted.length > 0 ? "Export these" : "Export all"}{" "}
          <span className="text-soft">CSV</span>
        </a>
      </div>
      {bookings.isPending ? (
        <Loading label="Loading bookings">
          <Skeleton className="h-64" />
        </Loading>
      ) : bookings.isError && items.length === 0 ? (
        <ErrorState error={bookings.error} onRetry={() => void bookings.refetch()} />
      ) : (
        <>
          {items.length > 0 && (
            <TableRoom>
              <Table
                caption="List of bookings"
                head={
                  <>
                    <HeadCell>Made</HeadCell>
                    <HeadCell>Customer</HeadCell>
                    <HeadCell>Seats</HeadCell>
                    <HeadCell className="text-right">Price</HeadCell>
                    <HeadCell>Status</HeadCell>
                    <HeadCell>
                      <span className="sr-only">What can be done</span>
                    </HeadCell>
                  </>
                }
              >
                {items.map((booking) => (
                  <BookingRow key={booking.id} booking={booking} show={show} onCancel={setCancelling} />
                ))}
              </Table>
            </TableRoom>
          )}
          {items.length === 0 && !bookings.hasNextPage && (
            <p className="border-y border-line py-10 text-center text-soft">
              {typed || status ? "No booking is like that." : "Nobody has booked yet."}
            </p>
          )}
          {bookings.hasNextPage && (
            <Button
              className="self-center"
              busy={bookings.isFetchingNextPage}
              onClick={() => void bookings.fetchNextPage()}
            >
              {filter.q ? "Look further back" : "More bookings"}
            </Button>
          )}
        </>
      )}
      <CancelBooking booking={cancelling} show={show} onClose={() => setCancelling(null)} />
    </>
  );
}

interface RowProps {
  booking: Booking;
  show: Show;
  onCancel(booking: Booking): void;
}

function BookingRow({ booking, show, onCancel }: RowProps) {
  const live = booking.status === "PENDING" || booking.status === "CONFIRMED";
  const who = booking.customer_name ?? booking.user_id;
  const more = booking.seats.length - SEATS_SAID_MAX;
  return (
    <tr className="hover:bg-sunk">
      <Cell className="whitespace-nowrap">
        <span className="block">{date(booking.created_at, "dayShort", show.time_zone)}</span>
        <span className="text-soft">{date(booking.created_at, "clock", show.time_zone)}</span>
      </Cell>
      <Cell className="min-w-40 max-w-72 [overflow-wrap:anywhere]">
        <span className="block font-[560]">{who}</span>
        <span className="block text-xs text-soft">
          {booking.email && booking.email !== who && <span className="block">{booking.email}</span>}
          <Copyable value={booking.id} label="Booking id">
            {`…${booking.id.slice(-12)}`}
          </Copyable>
        </span>
      </Cell>
      <Cell className="min-w-28 max-w-64">
        {booking.seats.length > 0 ? (
          <>
            {booking.seats.slice(0, SEATS_SAID_MAX).join(", ")}
            {more > 0 && <span className="text-soft">{` and ${more} more`}</span>}
          </>
        ) : (
          <span className="text-soft">{plural(booking.seat_count, "seat")} asked for</span>
        )}
      </Cell>
      <Cell className="text-right whitespace-nowrap">{money(booking.amount_cents, booking.currency)}</Cell>
      <Cell className="min-w-32">
        <span className={`block font-[560] ${LOOK[booking.status]}`}>{STATUS_WORDS[booking.status]}</span>
        {booking.reason && <span className="block text-xs text-soft">{REASONS[booking.reason]}</span>}
      </Cell>
      <Cell className="text-right">
        {live && (
          <Button
            size="small"
            tone="quiet"
            aria-label={`Cancel the booking of ${who}`}
            onClick={() => onCancel(booking)}
          >
            Cancel
          </Button>
        )}
      </Cell>
    </tr>
  );
}

function CancelBooking({ booking, show, onClose }: { booking: Booking | null; show: Show; onClose(): void }) {
  const cancel = useCancelBooking();
  const toast = useToast();
  const who = booking?.customer_name ?? booking?.user_id ?? "";
  const labels = booking?.seats ?? [];
  const seats = plural(labels.length, "seat");
  return (
    <Confirm
      open={booking !== null}
      title="Cancel this booking?"
      act={`Give back ${seats}`}
      busy={cancel.isPending}
      error={cancel.error ? say(cancel.error).title : undefined}
      onClose={() => {
        cancel.reset();
        onClose();
      }}
      onAct={() =>
        booking &&
        cancel.mutate(booking.id, {
          onSuccess: () => {
            toast({ text: `The booking of ${who} is cancelled; ${seats} of ${show.name} are free again.` });
            onClose();
          },
        })
      }
    >
      <p>
        This takes {list(labels)} from {who} and puts {labels.length === 1 ? "it" : "them"} back on sale at
        once.{" "}
        {booking &&
          booking.amount_cents > 0 &&
          `${money(booking.amount_cents, booking.currency)} are to be paid back. `}
        It can’t be undone: somebody else may have them a moment later.
      </p>
    </Confirm>
  );
}
