import { describe, expect, it } from "vitest";
import { fromParams, queryOf, toParams } from "./filters";

const NOW = new Date("2035-03-10T12:00:00");
const asked = (address: string) => queryOf(fromParams(new URLSearchParams(address)), NOW);
const begins = (day: string) => new Date(`${day}T00:00:00`).toISOString();

describe("what the list is asked for", () => {
  it("is nothing where nothing was chosen, or nothing that makes sense", () => {
    expect(asked("")).toEqual({});
    expect(asked("kind=opera&from=soon&until=2035&price=cheap&free=yes&q=%20")).toEqual({});
  });

  it("takes whole days, the last one with its evening", () => {
    expect(asked("from=2035-03-14&until=2035-03-16")).toEqual({
      starts_after: begins("2035-03-14"),
      starts_before: begins("2035-03-17"),
    });
  });

  it("is one day where first and last are the same, or the wrong way round", () => {
    const day = { starts_after: begins("2035-03-31"), starts_before: begins("2035-04-01") };
    expect(asked("from=2035-03-31&until=2035-03-31")).toEqual(day);
    expect(asked("from=2035-03-31&until=2035-03-02")).toEqual(day);
  });

  it("begins now where the first day is today or gone", () => {
    expect(asked("from=2035-03-10&until=2035-03-10")).toEqual({ starts_before: begins("2035-03-11") });
  });

  it("asks the server for prices and seats, so that no page of the list hides what fits", () => {
    expect(asked("price=25&free=1&kind=trip&q=Graz")).toEqual({
      q: "Graz",
      kind: "trip",
      price_cents_max: 2_500,
      seats_left: true,
    });
  });

  it("stands in the address, and is read from it again", () => {
    const address = "q=Graz&kind=trip&from=2035-03-14&until=2035-03-16&price=25&free=1";
    expect(toParams(fromParams(new URLSearchParams(address))).toString()).toBe(address);
  });
});
