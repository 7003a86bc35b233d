import { describe, expect, test } from "vitest";
import type { Layout } from "@/shared/api/types";
import { buildHall, neighbour, PITCH, SEAT, seatAt, seatsIn } from "./hall";
import { freeNearby } from "./nearby";
import { CHOSEN, PLAIN } from "./paint";
import { contrast, parseColor, seatColor } from "./palette";
import { FREE, HELD, SeatStatuses } from "./statuses";
import { describeSeat, nameSeats } from "./words";

const row = (label: string, count: number, category = "Stalls", gap = -1) => ({
  label,
  seats: Array.from({ length: count }, (_, seat) => ({
    label: `${label}-${seat + 1}`,
    category,
    accessible: label === "C" && seat === 0,
    gap_after: seat === gap,
  })),
});
const categories = [
  { name: "Stalls", price_cents: 9800, color: null },
  { name: "Balcony", price_cents: 4550, color: "#F0E442" },
];
const LAYOUT: Layout = {
  sections: [
    { name: "Stalls", rows: [row("A", 10), row("B", 12, "Stalls", 5), row("C", 12)] },
    { name: "Balcony", rows: [row("K", 8, "Balcony")] },
  ],
  categories,
};
const HUGE: Layout = {
  sections: Array.from({ length: 20 }, (_, section) => ({
    name: `Block ${section}`,
    rows: Array.from({ length: 25 }, (_, index) => row(`${section}/${index}`, 40)),
  })),
  categories,
};
const NUMBERED: Layout = {
  sections: [{ name: "", rows: Array.from({ length: 2000 }, (_, index) => row(`${index + 1}`, 10)) }],
  categories,
};

describe("a hall", () => {
  for (const [name, layout] of Object.entries({ small: LAYOUT, huge: HUGE, numbered: NUMBERED })) {
    test(`${name}: every seat has a place of its own, in the layout's order, and can be pointed at`, () => {
      const hall = buildHall(layout, "show");
      const labels = layout.sections.flatMap((section) =>
        section.rows.flatMap((of) => of.seats.map((seat) => seat.label)),
      );
      expect(hall.labels).toEqual(labels);
      const step = Math.max(1, Math.floor(labels.length / 500));
      for (let seat = 0; seat < labels.length; seat += step) {
        expect(seatAt(hall, hall.x[seat] ?? 0, hall.y[seat] ?? 0)).toBe(seat);
      }
      for (let seat = 1; seat < labels.length; seat++) {
        const apart = Math.hypot(
          (hall.x[seat] ?? 0) - (hall.x[seat - 1] ?? 0),
          (hall.y[seat] ?? 0) - (hall.y[seat - 1] ?? 0),
        );
        expect(apart).toBeGreaterThan(SEAT);
      }
      const { minX, maxX, minY, maxY } = hall.bounds;
      expect((maxY - minY) / (maxX - minX)).toBeLessThan(2.5); // no file of 500 rows
      expect(seatsIn(hall, hall.bounds)).toHaveLength(labels.length);
    });
  }

  test("an aisle is wider than the space between neighbours", () => {
    const hall = buildHall(LAYOUT, "trip");
    const at = (label: string) => hall.x[hall.positions.get(label) ?? 0] ?? 0;
    expect(at("B-6") - at("B-5")).toBeCloseTo(PITCH);
    expect(at("B-7") - at("B-6")).toBeGreaterThan(PITCH * 1.5);
  });

  test("arrow keys go along a row, and to the rows before and behind", () => {
    const hall = buildHall(LAYOUT, "show");
    const seat = (label: string) => hall.positions.get(label) ?? -1;
    expect(neighbour(hall, seat("A-5"), "right")).toBe(seat("A-6"));
    expect(neighbour(hall, seat("A-1"), "left")).toBe(seat("A-1"));
    expect(hall.labels[neighbour(hall, seat("A-5"), "down")]).toMatch(/^B-/);
    expect(hall.labels[neighbour(hall, seat("C-6"), "down")]).toMatch(/^K-/);
    expect(neighbour(hall, seat("A-5"), "up")).toBe(seat("A-5"));
  });
});

describe("statuses", () => {
  test("only what changed is told, and a gap in the versions is noticed", () => {
    const statuses = new SeatStatuses(4);
    const told: number[][] = [];
    statuses.subscribe((changes) => told.push(changes.map(({ seat }) => seat)));
    statuses.replace(7, "AARB");
    expect(statuses.available).toBe(2);
    expect(statuses.apply(7, 8, [[0, "R"]])).toBe(true);
    expect(statuses.at(0)).toBe(HELD);
    expect(statuses.apply(9, 10, [[1, "R"]])).toBe(false);
    expect(statuses.at(1)).toBe(FREE);
    expect(told).toEqual([[0, 1, 2, 3], [0]]);
  });
});

describe("seats next to a lost one", () => {
  const hall = buildHall(LAYOUT, "show");
  const seat = (label: string) => hall.positions.get(label) ?? -1;
  const letters = (taken: string[]) =>
    hall.labels.map((label) => (taken.includes(label) ? "B" : "A")).join("");

  test("are in the same row where it has them, and as many as were lost", () => {
    const statuses = new SeatStatuses(hall.labels.length);
    statuses.replace(1, letters(["B-4", "B-5"]));
    const found = freeNearby(hall, statuses, [seat("B-4"), seat("B-5")], new Set());
    expect(found).toHaveLength(2);
    expect(found.every((of) => hall.labels[of]?.startsWith("B-") && statuses.isFree(of))).toBe(true);
  });

  test("are in another part of the hall where all around is sold", () => {
    const statuses = new SeatStatuses(hall.labels.length);
    statuses.replace(1, letters(hall.labels.filter((label) => !/^K-[3-5]/.test(label))));
    expect(freeNearby(hall, statuses, [seat("A-1"), seat("A-2")], new Set())).toEqual([
      seat("K-3"),
      seat("K-4"),
    ]);
  });

  test("are none that one has chosen already, and none at all where all is sold", () => {
    const statuses = new SeatStatuses(hall.labels.length);
    statuses.replace(1, letters(hall.labels.filter((label) => label !== "A-2")));
    expect(freeNearby(hall, statuses, [seat("A-1")], new Set([seat("A-2")]))).toEqual([]);
    expect(freeNearby(hall, statuses, [seat("A-1")], new Set())).toEqual([seat("A-2")]);
  });
});

test("seats are named as people name them", () => {
  const hall = buildHall(LAYOUT, "show");
  const seats = ["A-2", "A-1", "C-1"].map((label) => hall.positions.get(label) ?? -1);
  expect(nameSeats(hall, seats)).toBe("Row A, seats 1 and 2; row C, seat 1");
  expect(nameSeats(buildHall(LAYOUT, "trip"), seats)).toBe("Seats A-1, A-2 and C-1");
  expect(describeSeat(hall, seats[2] ?? 0, FREE, PLAIN, "EUR")).toBe(
    "Row C, seat 1, Stalls, Stalls, €98, wheelchair place, free",
  );
  expect(describeSeat(hall, seats[0] ?? 0, HELD, CHOSEN, "EUR")).toMatch(/chosen$/);
});

test("every category can be told from the paper and read on, whatever its colour", () => {
  for (const paper of ["#faf7f2", "#141210"].map(parseColor)) {
    const ink = parseColor(contrast(paper, [255, 255, 255]) < 2 ? "#1c1a17" : "#f1ece4");
    for (const color of ["#F0E442", "#56B4E9", "#000000", "#ffffff", "#0072B2"]) {
      const { fill, edge, text } = seatColor(color, paper, ink);
      expect(contrast(parseColor(edge), paper)).toBeGreaterThanOrEqual(3);
      expect(contrast(parseColor(text), parseColor(fill))).toBeGreaterThanOrEqual(4.5);
    }
  }
});
