import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { serverClock } from "@/shared/api/server-clock";
import { Announcer } from "@/shared/ui/announcer";
import { Countdown } from "./countdown";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("never shows more than the hold was long", () => {
  vi.spyOn(serverClock, "until").mockReturnValue(120_400);
  render(
    <Announcer>
      <Countdown until="2030-01-01T00:02:00Z" total={120} onEnd={vi.fn()} />
    </Announcer>,
  );
  expect(screen.getByRole("timer")).toHaveTextContent("2:00");
});

test("counts down by the server's clock, says when little is left, and ends once", () => {
  let left = 62_000;
  vi.spyOn(serverClock, "until").mockImplementation(() => Math.max(0, left));
  const onEnd = vi.fn();
  render(
    <Announcer>
      <Countdown until="2030-01-01T00:02:00Z" total={120} onEnd={onEnd} />
    </Announcer>,
  );
  const pass = (seconds: number) =>
    act(() => {
      left -= seconds * 1000;
      vi.advanceTimersByTime(1000);
    });
  expect(screen.getByRole("timer")).toHaveTextContent("1:02");
  pass(3);
  expect(screen.getByRole("timer")).toHaveTextContent("0:59");
  expect(screen.getByRole("status")).toHaveTextContent("60 seconds left");
  pass(40);
  expect(screen.getByRole("alert")).toHaveTextContent("20 seconds left");
  expect(onEnd).not.toHaveBeenCalled();
  pass(30);
  pass(1);
  expect(screen.getByRole("timer")).toHaveTextContent("0:00");
  expect(onEnd).toHaveBeenCalledOnce();
});
