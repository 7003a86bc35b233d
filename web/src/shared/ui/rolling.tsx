import { AnimatePresence } from "motion/react";
import * as m from "motion/react-m";

/** A number or amount whose changed figures roll to their new values. Read out as one text. */
export function Rolling({ text, className = "" }: { text: string; className?: string }) {
  const figures = [...text];
  return (
    <span className={`tabular relative inline-flex overflow-hidden ${className}`}>
      <span className="sr-only">{text}</span>
      {figures.map((figure, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a place is what stays; counted from the right, so that 98 to 196 rolls each place by itself.
        <span key={figures.length - index} aria-hidden="true" className="relative inline-flex">
          <AnimatePresence initial={false}>
            <m.span
              key={figure}
              initial={{ y: "60%", opacity: 0 }}
              animate={{ y: 0, opacity: 1 }}
              exit={{ y: "-60%", opacity: 0, position: "absolute" }}
              transition={{ duration: 0.18 }}
              className="inline-block whitespace-pre"
            >
              {figure}
            </m.span>
          </AnimatePresence>
        </span>
      ))}
    </span>
  );
}
