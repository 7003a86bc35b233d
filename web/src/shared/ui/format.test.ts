import { expect, test } from "vitest";
import { fromParams, startsAfter, toParams } from "@/features/shows/filters";
import { date, list, money, plural } from "./format";

test("money is whole where it can be, and has its currency's own places", () => {
  expect(money(9800, "EUR")).toBe("€98");
  expect(money(1250, "EUR")).toBe("€12.50");
  expect(money(100_000, "EUR")).toBe("€1,000");
  expect(money(500, "JPY")).toMatch(/500$/);
});

test("times are those of the show's place, not of the visitor's", () => {
  expect(date("2030-01-01T19:30:00Z", "time", "Europe/Vienna")).toBe("20:30");
  expect(date("2030-01-01T19:30:00Z", "time", "Asia/Tokyo")).toBe("04:30");
  expect(date("2030-01-01T19:30:00Z", "day", "Asia/Tokyo")).toContain("2 January");
});

test("a short day or month names its year where that isn't this one", () => {
  const now = new Date();
  expect(date(now, "dayShort", "UTC")).not.toContain(String(now.getUTCFullYear()));
  expect(date(now, "month", "UTC")).not.toContain(String(now.getUTCFullYear()));
  expect(date("2035-03-01T19:30:00Z", "dayShort", "UTC")).toBe("Thu, 1 Mar 2035");
  expect(date("2035-03-01T19:30:00Z", "month", "UTC")).toBe("Mar 2035");
  expect(date("2034-12-31T19:30:00Z", "month", "Asia/Tokyo")).toBe("Jan 2035");
});

test("counts and lists read like sentences", () => {
  expect(plural(1, "seat")).toBe("1 seat");
  expect(plural(20_000, "seat")).toBe("20,000 seats");
  expect(list(["12", "13", "14"])).toBe("12, 13 and 14");
});

test("filters survive the address; nonsense in it is no filter", () => {
  const filters = fromParams(new URLSearchParams("q=mahler&kind=show&from=2031-05-01&price=50&free=1"));
  expect(fromParams(toParams(filters))).toEqual(filters);
  expect(startsAfter(filters, new Date("2030-01-01"))).toMatch(/^2031-/);
  expect(startsAfter(filters, new Date("2032-01-01"))).toBeUndefined();
  expect([...toParams(fromParams(new URLSearchParams("kind=x&from=soon&price=-1")))]).toEqual([]);
});
