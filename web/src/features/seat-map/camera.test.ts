import { expect, test } from "vitest";
import { fitTo } from "./camera";

const HALL = { minX: -400, minY: -100, maxX: 400, maxY: 600 };

test("a wide window shows the hall in its middle", () => {
  const { scale, x, y } = fitTo(HALL, { width: 1000, height: 800 });
  expect(x).toBeCloseTo(500);
  expect(y + 250 * scale).toBeCloseTo(400);
});

test("a narrow one leaves the room of the buttons free", () => {
  const { scale, x, y } = fitTo(HALL, { width: 360, height: 320 });
  expect(y + HALL.minY * scale).toBeGreaterThan(59.99);
  expect(x + HALL.maxX * scale).toBeLessThan(360 - 52 + 0.01);
});
