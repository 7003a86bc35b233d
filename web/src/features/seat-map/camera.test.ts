import { expect, test } from "vitest";
import { fitTo } from "./camera";

const HALL = { minX: -400, minY: -100, maxX: 400, maxY: 600 };

test("a wide window shows the hall in its middle", () => {
  const { scale, x, y } = fitTo(HALL, { width: 1400, height: 800 });
  expect(x).toBeCloseTo(700);
  expect(y + 250 * scale).toBeCloseTo(400);
});

test("a narrow one leaves the room of the buttons free", () => {
  const { scale, x, y } = fitTo(HALL, { width: 360, height: 320 });
  expect(y + HALL.minY * scale).toBeGreaterThan(59.99);
  expect(x + HALL.maxX * scale).toBeLessThan(360 - 52 + 0.01);
});

test("so does a wide one that the hall fills from side to side", () => {
  const wide = { minX: -1000, minY: -100, maxX: 1000, maxY: 900 };
  const { scale, x, y } = fitTo(wide, { width: 1000, height: 600 });
  expect(y + wide.minY * scale).toBeGreaterThan(59.99);
  expect(x + wide.maxX * scale).toBeLessThan(1000 - 52 + 0.01);
});
