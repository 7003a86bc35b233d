/**
 * One try to get seats, that ends in one answer whatever becomes of the network.
 *
 * It has a key, made when the visitor pressed the button. The key is kept, in this tab, until the server has said what
 * became of it; each time no answer comes, the same request is sent again with the same key, and the server knows it
 * again. So a lost answer can't become a second booking.
 */
import { api, unwrap } from "@/shared/api/client";
import { ApiError, isPassing } from "@/shared/api/problems";
import type { components } from "@/shared/api/schema";
import { serverClock } from "@/shared/api/server-clock";
import { type Booking, isQueued } from "@/shared/api/types";

export type Wish = components["schemas"]["NewBooking"];

export interface Attempt {
  key: string;
  wish: Wish;
}

const WAIT_MS = [400, 800, 1_600, 3_000, 5_000] as const; // ever longer, then every five seconds
/** Whoever was cut off for longer finds out under "My bookings"; the key stays, should they try again. */
const TRIES_MAX = 60;

const slot = (showId: number) => `rowlock.attempt.${showId}`;

export function begin(wish: Wish): Attempt {
  const attempt = { key: crypto.randomUUID?.() ?? randomKey(), wish };
  sessionStorage.setItem(slot(wish.show_id), JSON.stringify(attempt));
  return attempt;
}

/** `randomUUID` is there on https and on this machine only; a server in one's own network may have neither. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** A try whose answer was never heard, as when the page was loaded anew in the middle of it. */
export function unfinished(showId: number): Attempt | null {
  try {
    return JSON.parse(sessionStorage.getItem(slot(showId)) ?? "null") as Attempt | null;
  } catch {
    return null;
  }
}

export function forget(showId: number): void {
  sessionStorage.removeItem(slot(showId));
}

/** Sends the wish until the server has answered it. Throws the refusal; the key is done with then. */
export async function finish(attempt: Attempt, onWaiting: (waiting: boolean) => void): Promise<Booking> {
  const { wish, key } = attempt;
  try {
    const booking = await untilAnswered(async () => {
      const sent = performance.now();
      const { data, response } = await answered(
        api.POST("/api/bookings", { params: { header: { "Idempotency-Key": key } }, body: wish }),
      );
      if (isQueued(data)) throw ApiError.undecided(); // the same key was queued before: its turn will come
      // A new booking tells the database's own time, to the microsecond; a replayed one is of an unknown age.
      if (!response.headers.has("Idempotency-Replayed")) {
        serverClock.hear(Date.parse(data.created_at), 1, sent, performance.now());
      }
      return data;
    }, onWaiting);
    forget(wish.show_id);
    return booking;
  } catch (error) {
    if (!isPassing(error)) forget(wish.show_id);
    throw error;
  }
}

async function answered<T>(asking: Promise<{ data?: T; error?: unknown; response: Response }>) {
  let response: Response | undefined;
  const data = await unwrap(
    asking.then((answer) => {
      response = answer.response;
      return answer;
    }),
  );
  if (!response) throw ApiError.noAnswer(undefined);
  return { data, response };
}

/** Asks again and again while nobody answers, or everybody is busy. For requests that may be sent twice only. */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  onWaiting: (waiting: boolean) => void = () => {},
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      const answer = await ask();
      onWaiting(false);
      return answer;
    } catch (error) {
      if (!isPassing(error) || tries >= TRIES_MAX) {
        onWaiting(false);
        throw error;
      }
      onWaiting(true);
      const told = error instanceof ApiError ? (error.problem?.retry_after ?? 0) * 1000 : 0;
      await pause(Math.max(told, WAIT_MS[Math.min(tries, WAIT_MS.length) - 1] ?? 0));
    }
  }
}

/** A while, or until the network says that it is back. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done);
  });
}
