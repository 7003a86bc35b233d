import { describe, expect, it } from "vitest";
import {
  cents,
  compile,
  type HallDraft,
  newCategory,
  newSection,
  preset,
  rowAfter,
  rowLabels,
  seatsByRow,
  spellOut,
} from "./draft";

const stalls = newCategory("Stalls", "68");
const balcony = newCategory("Balcony", "42.50");
const hall = (...sections: HallDraft["sections"]): HallDraft => ({ categories: [stalls, balcony], sections });

describe("a draft of a hall", () => {
  it("counts the seats of plain rows, so that a big hall is a small request", () => {
    const { layout, seats, errors } = compile(
      hall(newSection({ name: "Stalls", rows: "2", seats: "20" })),
      "EUR",
    );
    expect(layout.sections).toEqual([
      {
        name: "Stalls",
        rows: [
          { label: "A", seats: 20 },
          { label: "B", seats: 20 },
        ],
      },
    ]);
    expect([seats, errors.fields]).toEqual([40, {}]);
  });

  it("spells out rows with aisles and wheelchair places", () => {
    const draft = hall(newSection({ name: "S", rows: "2", seats: "3", aisles: "1", accessible: "b-3" }));
    expect(compile(draft, "EUR").layout.sections[0]?.rows).toEqual([
      { label: "A", seats: [{ gap_after: true }, {}, {}] },
      { label: "B", seats: [{ gap_after: true }, {}, { accessible: true }] },
    ]);
  });

  it("names the category of all but the first, and prices it in minor units", () => {
    const section = newSection({ name: "S", rows: "1", seats: "2", category: balcony.id });
    const { layout, categories } = compile(hall(section), "EUR");
    expect(layout.sections[0]?.rows[0]).toEqual({ label: "A", seats: 2, category: "Balcony" });
    expect(categories.map(({ name, price_cents }) => [name, price_cents])).toEqual([
      ["Stalls", 6800],
      ["Balcony", 4250],
    ]);
  });

  it("widens row by row, and counts what that makes", () => {
    const { layout, seats } = compile(
      hall(newSection({ name: "S", rows: "4", seats: "10", widening: "2" })),
      "EUR",
    );
    expect(layout.sections[0]?.rows.map((row) => row.seats)).toEqual([10, 12, 14, 16]);
    expect(seats).toBe(52);
  });

  it("says which row two sections share, for no two seats may have one name", () => {
    const [first, second] = [newSection({ name: "S", rows: "3" }), newSection({ name: "T", firstRow: "C" })];
    const { errors, layout } = compile(hall(first, second), "EUR");
    expect(errors.fields[`${second.id}.firstRow`]).toContain("Row C is in S too");
    expect(layout.sections).toHaveLength(1);
  });

  it.each([
    [{ name: "" }, "name"],
    [{ rows: "0" }, "rows"],
    [{ rows: "two" }, "rows"],
    [{ seats: "1.5" }, "seats"],
    [{ seats: "99999", rows: "2" }, "seats"],
    [{ firstRow: "?!" }, "firstRow"],
    [{ aisles: "4 and 5" }, "aisles"],
    [{ aisles: "16" }, "aisles"],
    [{ accessible: "Q-1" }, "accessible"],
    [{ accessible: "A-17" }, "accessible"],
    [{ accessible: "first row" }, "accessible"],
    [{ widening: "-1" }, "widening"],
  ])("names the field at fault: %o", (given, field) => {
    const section = newSection({ name: "S", ...given });
    expect(Object.keys(compile(hall(section), "EUR").errors.fields)).toEqual([`${section.id}.${field}`]);
  });

  it("names prices that are none", () => {
    const free = newCategory("Stalls", "dear");
    const { errors } = compile({ categories: [stalls, free], sections: [newSection({ name: "S" })] }, "EUR");
    expect(Object.keys(errors.fields)).toEqual([`${free.id}.name`, `${free.id}.price`]);
  });

  it.each(["theatre", "cinema", "coach"] as const)("begins with a %s that is right", (kind) => {
    const compiled = compile(preset(kind), "EUR");
    expect(compiled.errors).toEqual({ fields: {}, whole: undefined });
    const seats = spellOut(compiled).sections.flatMap(({ rows }) => rows.flatMap((row) => row.seats));
    expect(seats).toHaveLength(compiled.seats);
    expect(new Set(seats.map(({ label }) => label)).size).toBe(compiled.seats);
  });
});

describe("what is typed", () => {
  it("counts rows by letters and by numbers", () => {
    expect(rowLabels("Y", 4)).toEqual(["Y", "Z", "AA", "AB"]);
    expect(rowLabels("9", 3)).toEqual(["9", "10", "11"]);
    expect(rowLabels("Box", 1)).toEqual(["BOX"]);
    expect(rowLabels("Box 1", 2)).toBeNull();
    expect(rowAfter(newSection({ firstRow: "A", rows: "3" }))).toBe("D");
    expect(rowAfter(undefined)).toBe("A");
  });

  it("reads prices in the currency's digits", () => {
    expect([cents("89"), cents("12,5"), cents("0.05"), cents(".5"), cents("1.234"), cents("")]).toEqual([
      8900,
      1250,
      5,
      null,
      null,
      null,
    ]);
    expect([cents("1500", 0), cents("15.0", 0)]).toEqual([1500, null]);
  });

  it("reads seats and ranges of them", () => {
    expect([...(seatsByRow("A-1, a-3…5") ?? [])]).toEqual([["A", new Set([1, 3, 4, 5])]]);
    expect(seatsByRow("A-5...3")).toBeNull();
  });
});
