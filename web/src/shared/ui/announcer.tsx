import { createContext, type ReactNode, use, useCallback, useRef, useState } from "react";

/** Says a sentence to those who can't see what changed. `urgent` interrupts. */
export type Announce = (sentence: string, urgent?: boolean) => void;

const AnnouncerContext = createContext<Announce>(() => {});

/** Two live regions that are there from the start: one that is made only when it is needed is often not heard. */
export function Announcer({ children }: { children: ReactNode }) {
  const [polite, setPolite] = useState("");
  const [urgent, setUrgent] = useState("");
  const turn = useRef(0);
  const announce = useCallback<Announce>((sentence, isUrgent = false) => {
    turn.current += 1;
    // The same sentence twice is two announcements: an invisible mark makes it a change.
    const said = turn.current % 2 ? sentence : `${sentence}\u00a0`;
    (isUrgent ? setUrgent : setPolite)(said);
  }, []);
  return (
    <AnnouncerContext value={announce}>
      {children}
      <div className="sr-only" role="status" aria-live="polite">
        {polite}
      </div>
      <div className="sr-only" role="alert" aria-live="assertive">
        {urgent}
      </div>
    </AnnouncerContext>
  );
}

export function useAnnounce(): Announce {
  return use(AnnouncerContext);
}
