import { expect, it } from "vitest";
import { buildHall } from "@/features/seat-map/hall";
import { SeatStatuses } from "@/features/seat-map/statuses";
import { filterOf } from "./bookings-table";
import { compile, newCategory, newSection, spellOut } from "./draft";
import { between, seatOf, sortSeats, toggled } from "./selection";

const price = newCategory("Seat", "10");
const section = newSection({ name: "Hall", rows: "4", seats: "10", category: price.id });
const hall = buildHall(spellOut(compile({ categories: [price], sections: [section] }, "EUR")), "show");
const labels = (seats: readonly number[]) => seats.map((seat) => hall.labels[seat]);

it("takes the rectangle between two seats, whichever comes first", () => {
  const expected = ["B-3", "B-4", "B-5", "C-3", "C-4", "C-5"];
  expect(labels(between(hall, seatOf(hall, "b-3"), seatOf(hall, "C-5")))).toEqual(expected);
  expect(labels(between(hall, seatOf(hall, "C-5"), seatOf(hall, "B-3")))).toEqual(expected);
  expect(labels(between(hall, seatOf(hall, "B-5"), seatOf(hall, "C-3")))).toEqual(expected);
});

it("tells seats that can be blocked from those that can't", () => {
  const statuses = new SeatStatuses(hall.labels.length);
  statuses.replace(1, `ARBX${"A".repeat(36)}`);
  expect(sortSeats([0, 1, 2, 3, 4], statuses)).toEqual({ free: [0, 4], blocked: [3], taken: [1, 2] });
});

it("takes seats in, and the same seats out again", () => {
  expect([...toggled(new Set([1]), [1, 2])]).toEqual([1, 2]);
  expect([...toggled(new Set([1, 2, 3]), [1, 2])]).toEqual([3]);
});

it("looks for a seat where a seat is typed, and for a text else", () => {
  expect(filterOf(" a-3 ", hall)).toEqual({ q: "", seat: "A-3" });
  expect(filterOf("Ada", hall)).toEqual({ q: "Ada", seat: "" });
  expect(filterOf("A-3", null)).toEqual({ q: "A-3", seat: "" });
});
