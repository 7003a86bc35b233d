import { useEffect, useState } from "react";
import type { components } from "@/shared/api/schema";
import type { SeatStatuses } from "./statuses";

type Snapshot = components["schemas"]["LiveSnapshot"];
type Delta = components["schemas"]["LiveDelta"];

export type Connection = "connecting" | "live" | "lost";

/** An EventSource comes back by itself from a broken connection, not from a refusal: then we ask again, ever later. */
const REOPEN_MS_FIRST = 1_000;
const REOPEN_MS_MAX = 15_000;

/** Follows a show's seats into `statuses`, for as long as the component is there. */
export function useLive(showId: number, statuses: SeatStatuses | null): Connection {
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => {
    if (!statuses) return;
    return follow(`/api/shows/${showId}/live`, statuses, setConnection);
  }, [showId, statuses]);
  return connection;
}

function follow(url: string, statuses: SeatStatuses, tell: (connection: Connection) => void): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = REOPEN_MS_FIRST;

  const reopen = (after: number) => {
    source?.close();
    clearTimeout(timer);
    timer = setTimeout(open, after);
  };
  const heard = () => {
    wait = REOPEN_MS_FIRST;
    tell("live");
  };
  function open() {
    source = new EventSource(url);
    source.addEventListener("snapshot", (event) => {
      const { version, statuses: letters } = JSON.parse(event.data) as Snapshot;
      statuses.replace(version, letters);
      heard();
    });
    source.addEventListener("delta", (event) => {
      const { from_version, version, changes } = JSON.parse(event.data) as Delta;
      heard();
      if (!statuses.apply(from_version, version, changes as [number, string][])) reopen(0);
    });
    source.onopen = () => {
      if (statuses.known) heard();
    };
    source.onerror = () => {
      tell("lost");
      if (source?.readyState !== EventSource.CLOSED) return;
      reopen(wait);
      wait = Math.min(wait * 2, REOPEN_MS_MAX);
    };
  }

  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
