import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { api, unwrap } from "@/shared/api/client";
import type { Booking } from "@/shared/api/types";
import { type Attempt, begin, finish, forget, unfinished, untilAnswered, type Wish } from "./attempt";

/** Where a purchase stands. What is true of seats is the server's to say; this only follows it. */
export type Stage =
  | { at: "choosing" }
  | { at: "asking"; waiting: boolean }
  | { at: "held"; booking: Booking; doing: null | "confirming" | "releasing"; waiting: boolean }
  | { at: "over"; booking: Booking };

interface Purchase {
  stage: Stage;
  hold(wish: Wish): Promise<Booking>;
  confirm(): Promise<Booking>;
  release(): Promise<Booking>;
  /** Ask the server what has become of the hold. */
  check(): Promise<void>;
  /** Go on with a hold that was made before this page was opened. */
  resume(booking: Booking): void;
  again(): void;
}

const CHECK_MS = 700;

export function usePurchase(showId: number, onResumeFailed: (error: unknown) => void): Purchase {
  const queries = useQueryClient();
  const [stage, setStage] = useState<Stage>({ at: "choosing" });
  const now = useRef(stage);
  now.current = stage;
  const failed = useRef(onResumeFailed);
  failed.current = onResumeFailed;

  const learn = useCallback(
    (booking: Booking) => {
      queries.setQueryData(["booking", booking.id], booking);
      queries.invalidateQueries({ queryKey: ["bookings"] });
      queries.invalidateQueries({ queryKey: ["shows"] });
      setStage(
        booking.status === "PENDING"
          ? { at: "held", booking, doing: null, waiting: false }
          : { at: "over", booking },
      );
      return booking;
    },
    [queries],
  );

  const send = useCallback(
    async (attempt: Attempt) => {
      setStage({ at: "asking", waiting: false });
      try {
        return learn(await finish(attempt, (waiting) => setStage({ at: "asking", waiting })));
      } catch (error) {
        setStage({ at: "choosing" });
        queries.invalidateQueries({ queryKey: ["bookings"] });
        throw error;
      }
    },
    [learn, queries],
  );

  // The page was left, or loaded anew, while no answer had come: find out what became of it, with the same key.
  const begun = useRef(false);
  useEffect(() => {
    const attempt = unfinished(showId);
    if (!attempt || begun.current) return;
    begun.current = true;
    send(attempt).catch((error) => failed.current(error));
  }, [showId, send]);

  const act = useCallback(
    async (doing: "confirming" | "releasing") => {
      const before = now.current;
      if (before.at !== "held") throw new Error(`${doing} what isn't held`);
      const { booking } = before;
      const tell = (waiting: boolean) => setStage({ at: "held", booking, doing, waiting });
      tell(false);
      const path = { params: { path: { booking_id: booking.id } } };
      try {
        // Both may be asked twice: the second answer is the first's, or tells what is so already.
        return learn(
          await untilAnswered(
            () =>
              unwrap(
                doing === "confirming"
                  ? api.POST("/api/bookings/{booking_id}/confirm", path)
                  : api.POST("/api/bookings/{booking_id}/cancel", path),
              ),
            tell,
          ),
        );
      } catch (error) {
        setStage({ at: "held", booking, doing: null, waiting: false });
        throw error;
      }
    },
    [learn],
  );

  const check = useCallback(async () => {
    const before = now.current;
    if (before.at !== "held") return;
    for (;;) {
      const path = { params: { path: { booking_id: before.booking.id } } };
      const booking = await untilAnswered(() => unwrap(api.GET("/api/bookings/{booking_id}", path)));
      if (now.current.at !== "held" || now.current.booking.id !== booking.id) return;
      if (booking.status !== "PENDING") {
        learn(booking);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS)); // our clock was ahead of the server's
    }
  }, [learn]);

  return {
    stage,
    hold: useCallback((wish: Wish) => send(begin(wish)), [send]),
    confirm: useCallback(() => act("confirming"), [act]),
    release: useCallback(() => act("releasing"), [act]),
    check,
    resume: useCallback((booking: Booking) => {
      if (now.current.at === "choosing") setStage({ at: "held", booking, doing: null, waiting: false });
    }, []),
    again: useCallback(() => {
      forget(showId);
      setStage({ at: "choosing" });
    }, [showId]),
  };
}
