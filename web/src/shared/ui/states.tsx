import type { ReactNode, Ref } from "react";
import { say } from "@/shared/api/problems";
import { Button } from "@/shared/ui/button";

interface EmptyStateProps {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  level?: 1 | 2 | 3;
  heading?: Ref<HTMLHeadingElement>;
}

/** Nothing to show, said kindly, with something to do about it. */
export function EmptyState({ title, children, action, level = 2, heading }: EmptyStateProps) {
  const Heading = `h${level}` as const;
  return (
    <div className="mx-auto flex max-w-xl flex-col items-center gap-4 px-4 py-16 text-center">
      <EmptyRow />
      <Heading ref={heading} tabIndex={-1} className="text-xl">
        {title}
      </Heading>
      {children && <p className="measure text-soft">{children}</p>}
      {action && <div className="mt-2 flex flex-wrap justify-center gap-3">{action}</div>}
    </div>
  );
}

/** A row of seats, nobody in it. */
function EmptyRow() {
  return (
    <svg width="132" height="30" viewBox="0 0 132 30" aria-hidden="true" className="text-edge">
      {[0, 1, 2, 3, 4].map((seat) => (
        <path
          key={seat}
          d={`M${seat * 26 + 5} 25v-13a6 6 0 0 1 6-6h6a6 6 0 0 1 6 6v13z`}
          fill={seat === 2 ? "var(--accent)" : "none"}
          stroke={seat === 2 ? "var(--accent)" : "currentColor"}
          strokeWidth="1.5"
          strokeDasharray={seat === 2 ? undefined : "3 3"}
        />
      ))}
    </svg>
  );
}

/** What went wrong, in words, and a way to try again. */
export function ErrorState({
  error,
  onRetry,
  level = 2,
}: {
  error: unknown;
  onRetry?(): void;
  level?: 1 | 2;
}) {
  const { title, hint } = say(error);
  return (
    <div role="alert">
      <EmptyState
        level={level}
        title={title}
        action={
          onRetry && (
            <Button tone="accent" onClick={onRetry}>
              Try again
            </Button>
          )
        }
      >
        {hint}
      </EmptyState>
    </div>
  );
}

/** Where something will be. One label stands for a whole group of them: `<Loading label="…">`. */
export function Skeleton({ className = "" }: { className?: string }) {
  return <div aria-hidden="true" className={`rounded-sm bg-line/60 ${className}`} />;
}

export function Loading({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div role="status" aria-busy="true">
      <span className="sr-only">{label}</span>
      {children}
    </div>
  );
}
