import { expect, test } from "vitest";
import type { Show } from "@/shared/api/types";
import type { Statistics } from "./api";
import { effectOfCancelling } from "./cancelling";

const show = (booked_seats: number, reserved_seats: number) =>
  ({ booked_seats, reserved_seats, currency: "EUR" }) as Show;
const statistics = (booked_seats: number, reserved_seats: number, confirmed: number, pending: number) =>
  ({
    revenue_cents: booked_seats * 1000,
    bookings: { confirmed, pending, failed: 0, cancelled: 0 },
    categories: [{ booked_seats, reserved_seats }],
  }) as Statistics;

test("bookings and their worth are told where the statistics are of now", () => {
  const { act, words } = effectOfCancelling(show(10, 2), statistics(10, 2, 4, 1));
  expect(act).toBe("Cancel the show and 4 bookings");
  expect(words).toBe("This cancels 4 bookings, worth €100, and lets go of 1 hold.");
  expect(effectOfCancelling(show(0, 2), statistics(0, 2, 0, 1)).words).toBe(
    "Nothing is sold yet. This lets go of 1 hold.",
  );
});

test("statistics that are older than the show's counts are not believed", () => {
  const late = effectOfCancelling(show(10, 2), statistics(0, 0, 0, 0));
  expect(late.act).toBe("Cancel the show and all bookings");
  expect(late.words).toBe("This cancels all bookings: 10 seats sold, 2 seats held.");
  expect(effectOfCancelling(show(10, 0), undefined).words).toBe("This cancels all bookings: 10 seats sold.");
  expect(effectOfCancelling(show(0, 0), statistics(3, 0, 1, 0)).words).toBe("Nobody has booked yet.");
});
