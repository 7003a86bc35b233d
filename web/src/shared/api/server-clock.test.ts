import { expect, test } from "vitest";
import { ServerClock } from "./server-clock";

const HOUR = 3_600_000;

test("a visitor whose clock is an hour off still sees the time that is left", () => {
  let monotonic = 5_000;
  const clock = new ServerClock(() => monotonic);
  const server = Date.now() + HOUR;
  clock.hear(server, 1, 4_990, 5_010);
  expect(Math.abs(clock.now() - server)).toBeLessThan(15);
  monotonic += 30_000;
  expect(Math.abs(clock.until(server + 120_000) - 90_000)).toBeLessThan(15);
});

test("coarse answers narrow it down together, and never contradict an exact one", () => {
  let monotonic = 0;
  const clock = new ServerClock(() => monotonic);
  for (let answer = 0; answer < 20; answer++) {
    monotonic = answer * 1_130;
    const exact = 1_000_000_000_400 + monotonic;
    clock.hear(Math.floor(exact / 1000) * 1000, 1_000, monotonic - 5, monotonic + 5);
  }
  expect(Math.abs(clock.now() - (1_000_000_000_400 + monotonic))).toBeLessThan(150);
});

test("when the server's clock is set, the new time is believed", () => {
  const clock = new ServerClock(() => 0);
  clock.hear(1_000_000_000_000, 1, 0, 10);
  clock.hear(1_000_000_500_000, 1, 0, 10);
  expect(Math.abs(clock.now() - 1_000_000_500_000)).toBeLessThan(20);
});

test("nothing is left after the end, and less than nothing never", () => {
  const clock = new ServerClock(() => 0);
  clock.hear(1_000_000_000_000, 1, 0, 0);
  expect(clock.until(999_999_000_000)).toBe(0);
});
