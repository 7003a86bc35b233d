import { expect, it } from "vitest";
import { pillSize, shortNames } from "./over-seats";

it("says as much of a section as there is room for, and never hides it", () => {
  expect(pillSize(200, 120)).toBe("all");
  expect(pillSize(80, 120)).toBe("name");
  expect(pillSize(200, 40)).toBe("name");
  expect(pillSize(40, 40)).toBe("bar");
  expect(pillSize(12, 40)).toBeNull();
});

it("shortens names by what tells none apart", () => {
  expect(shortNames(["Block 1", "Block 12"])).toEqual(["1", "12"]);
  expect(shortNames(["Stalls left", "Stalls right", "Gallery"])).toEqual([
    "Stalls left",
    "Stalls right",
    "Gallery",
  ]);
  expect(shortNames(["Upper deck", "Upper deck"])).toEqual(["deck", "deck"]);
  expect(shortNames(["Block", "Block 2"])).toEqual(["Block", "Block 2"]);
  expect(shortNames(["Great Hall"])).toEqual(["Great Hall"]);
});
