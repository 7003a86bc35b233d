import { expect, it } from "vitest";
import { pillSize } from "./over-seats";

it("says as much of a section as there is room for, and never hides it", () => {
  expect(pillSize(200, 120)).toBe("all");
  expect(pillSize(80, 120)).toBe("name");
  expect(pillSize(200, 40)).toBe("name");
  expect(pillSize(40, 40)).toBe("bar");
  expect(pillSize(12, 40)).toBeNull();
});
