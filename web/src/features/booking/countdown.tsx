import { useEffect, useRef, useState } from "react";
import { serverClock } from "@/shared/api/server-clock";
import { useAnnounce } from "@/shared/ui/announcer";

/** Calm until so little is left. */
const HURRY_SECONDS = 20;
const SPOKEN_AT = [60, 20, 10] as const;
const TICK_MS = 250;

interface CountdownProps {
  /** When the hold ends, and how long it was; times of the server. */
  until: string;
  total: number;
  /** Called once at the end; what is true then, only the server says. */
  onEnd(): void;
}

/** The time that is left of a hold, by the server's clock: a ring, minutes and seconds. */
export function Countdown({ until, total, onEnd }: CountdownProps) {
  const announce = useAnnounce();
  const [left, setLeft] = useState(() => serverClock.until(until));
  const end = useRef(onEnd);
  end.current = onEnd;
  useEffect(() => {
    let over = false;
    let spoken = Math.ceil(serverClock.until(until) / 1000);
    const tick = () => {
      const now = serverClock.until(until);
      setLeft(now);
      const seconds = Math.ceil(now / 1000);
      const mark = SPOKEN_AT.find((at) => seconds <= at && spoken > at);
      if (mark) announce(`${mark} seconds left to confirm your seats.`, mark <= HURRY_SECONDS);
      spoken = seconds;
      if (now <= 0 && !over) {
        over = true;
        end.current();
      }
    };
    tick();
    const timer = setInterval(tick, TICK_MS);
    return () => clearInterval(timer);
  }, [until, announce]);

  // Where the clocks differ a little, no more than there ever was.
  const seconds = Math.min(Math.ceil(total), Math.ceil(left / 1000));
  const hurry = seconds <= HURRY_SECONDS;
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const part = Math.min(1, left / (total * 1000));
  return (
    <div
      role="timer"
      aria-label={`${Math.floor(seconds / 60)} minutes ${seconds % 60} seconds left`}
      className={`relative size-24 shrink-0 ${hurry ? "text-accent" : "text-ink"}`}
    >
      <svg viewBox="0 0 96 96" className="size-full -rotate-90" aria-hidden="true">
        <circle cx="48" cy="48" r="43" fill="none" stroke="var(--line)" strokeWidth="4" />
        <circle
          cx="48"
          cy="48"
          r="43"
          fill="none"
          stroke="currentColor"
          strokeWidth="4"
          strokeLinecap="round"
          pathLength="1"
          strokeDasharray="1"
          strokeDashoffset={1 - part}
          className="transition-[stroke-dashoffset] duration-250 ease-linear"
        />
      </svg>
      <span className="tabular title absolute inset-0 flex items-center justify-center text-xl">{clock}</span>
    </div>
  );
}
