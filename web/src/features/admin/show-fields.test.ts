import { expect, it } from "vitest";
import type { Show } from "@/shared/api/types";
import { emptyForm, formOf, readForm } from "./show-fields";

const show = {
  name: "Fidelio",
  venue: "Opera House",
  start_time: "2035-03-22T18:30:00Z",
  end_time: null,
  time_zone: "Europe/Vienna",
  origin: null,
  destination: null,
  on_sale_at: "2035-01-01T09:00:00Z",
  max_seats_per_booking: 6,
  hold_seconds: 90,
  confirm_by: "service",
} as Show;

it("gives back what a show was, on the clock of its place", () => {
  const form = formOf(show);
  expect([form.starts, form.onSale]).toEqual(["2035-03-22T19:30", "2035-01-01T10:00"]);
  expect(readForm(form).values).toMatchObject({
    name: "Fidelio",
    start_time: "2035-03-22T18:30:00.000Z",
    on_sale_at: "2035-01-01T09:00:00.000Z",
    max_seats_per_booking: 6,
    hold_seconds: 90,
    confirm_by: "service",
  });
});

it("begins at the same hour a week later, though the clocks have changed", () => {
  const form = formOf(show, 7);
  expect(form.starts).toBe("2035-03-29T19:30");
  expect(readForm(form).values.start_time).toBe("2035-03-29T17:30:00.000Z");
  expect(form.onSale).toBe("");
});

it("says which field is at fault", () => {
  const { errors } = readForm({ ...emptyForm(), ends: "2030-01-01T00:00", maxSeats: "0", holdSeconds: "x" });
  expect(Object.keys(errors).sort()).toEqual(["holdSeconds", "maxSeats", "name", "starts"]);
  const late = readForm({ ...formOf(show), ends: "2035-03-22T19:00" });
  expect(late.errors).toEqual({ ends: "It ends before it begins." });
});
