import { expect, it } from "vitest";
import { clockIn, instantIn } from "./times";

it("reads a clock in the show's place, in summer and in winter", () => {
  expect(instantIn("Europe/Vienna", "2035-07-01T19:30")).toBe("2035-07-01T17:30:00.000Z");
  expect(instantIn("Europe/Vienna", "2035-01-01T19:30")).toBe("2035-01-01T18:30:00.000Z");
  expect(instantIn("America/New_York", "2035-07-01T19:30")).toBe("2035-07-01T23:30:00.000Z");
  expect(clockIn("Europe/Vienna", "2035-07-01T17:30:00Z")).toBe("2035-07-01T19:30");
});

it("takes the first of two, and goes on where an hour is skipped", () => {
  expect(instantIn("Europe/Vienna", "2026-10-25T02:30")).toBe("2026-10-25T00:30:00.000Z");
  expect(instantIn("Europe/Vienna", "2026-03-29T02:30")).toBe("2026-03-29T00:30:00.000Z");
});

it("knows what is no time", () => {
  for (const text of ["", "tomorrow", "2035-07-01", "2035-13-01T00:00"])
    expect(instantIn("UTC", text)).toBeNull();
});
