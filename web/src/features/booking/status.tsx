import { Ban, Check, Hourglass, X } from "lucide-react";
import type { Booking, BookingStatus } from "@/shared/api/types";
import { list } from "@/shared/ui/format";

const LOOKS: Record<BookingStatus, { word: string; icon: typeof Check; look: string }> = {
  PENDING: { word: "Pending", icon: Hourglass, look: "bg-warn-wash text-warn" },
  CONFIRMED: { word: "Confirmed", icon: Check, look: "bg-good-wash text-good" },
  FAILED: { word: "Failed", icon: X, look: "bg-accent-wash text-accent-strong" },
  CANCELLED: { word: "Cancelled", icon: Ban, look: "bg-sunk text-soft" },
};

/** A booking's status: a word, a sign and a colour, so that none of them is needed alone. */
export function StatusBadge({ status }: { status: BookingStatus }) {
  const { word, icon: Icon, look } = LOOKS[status];
  return (
    <span
      className={`inline-flex items-center gap-1.5 rounded-full px-2.5 py-1 text-sm font-[560] ${look}`}
      data-status={status}
    >
      <Icon size={15} strokeWidth={2.5} aria-hidden />
      {word}
    </span>
  );
}

/** Why a booking is in its status; what to do about it is the page's to say. */
export function whyOf(booking: Booking): string {
  switch (booking.reason) {
    case "seats_taken": {
      const lost = booking.conflicts?.length ? list(booking.conflicts) : "these seats";
      return `Somebody else got ${lost} a moment earlier. Nothing was booked, and nothing is to be paid.`;
    }
    case "not_enough_seats":
      return "There weren’t so many seats left. Nothing was booked.";
    case "hold_expired":
      return "The time ran out before it was confirmed, so the seats went back on sale.";
    case "released":
      return "The seats were given back before they were paid for.";
    case "cancelled_by_customer":
      return "You cancelled this booking; its seats are on sale again.";
    case "cancelled_by_admin":
      return "This booking was cancelled.";
    case "show_cancelled":
      return "This was called off altogether. We are sorry.";
    case "not_on_sale":
      return "The sale had not begun yet. Nothing was booked.";
    case "forbidden":
      return "Bookings of this are confirmed by the box office. Nothing was booked.";
    case "too_many_seats":
      return "That was more seats than one booking may have. Nothing was booked.";
    case "dropped":
      return "This request was given up by the box office. Nothing was booked.";
    default:
      return booking.status === "PENDING"
        ? "These seats are held for you. Confirm them before the time is over."
        : "These seats are yours.";
  }
}
