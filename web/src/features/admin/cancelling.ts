import type { Show } from "@/shared/api/types";
import { money, plural } from "@/shared/ui/format";
import type { Statistics } from "./api";

/**
 * What cancelling does. The show's own counts are of now; bookings and their worth come from the statistics, which are
 * some seconds old, and are told only while those count the same seats.
 */
export function effectOfCancelling(show: Show, statistics: Statistics | undefined) {
  const { booked_seats: booked, reserved_seats: held } = show;
  if (booked === 0 && held === 0) return { act: "Cancel the show", words: "Nobody has booked yet." };
  const counted = (of: "booked_seats" | "reserved_seats") =>
    statistics?.categories.reduce((sum, category) => sum + category[of], 0);
  if (!statistics || counted("booked_seats") !== booked || counted("reserved_seats") !== held) {
    const seats = [
      booked > 0 && `${plural(booked, "seat")} sold`,
      held > 0 && `${plural(held, "seat")} held`,
    ];
    return {
      act: "Cancel the show and all bookings",
      words: `This cancels all bookings: ${seats.filter(Boolean).join(", ")}.`,
    };
  }
  const { confirmed, pending } = statistics.bookings;
  const worth =
    statistics.revenue_cents > 0 ? `, worth ${money(statistics.revenue_cents, show.currency)}` : "";
  const holds = `lets go of ${plural(pending, "hold")}`;
  if (confirmed === 0) return { act: "Cancel the show", words: `Nothing is sold yet. This ${holds}.` };
  return {
    act: `Cancel the show and ${plural(confirmed, "booking")}`,
    words: `This cancels ${plural(confirmed, "booking")}${worth}${pending > 0 ? `, and ${holds}` : ""}.`,
  };
}
