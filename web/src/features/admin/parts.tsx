/** Small parts that several of the box office's pages share. */
import { type ReactNode, useState } from "react";
import type { Show } from "@/shared/api/types";
import { useAnnounce } from "@/shared/ui/announcer";
import { Button, type Tone } from "@/shared/ui/button";
import { Dialog } from "@/shared/ui/dialog";
import { count, date } from "@/shared/ui/format";

/** A number, or an id, that a press copies. */
export function Copyable({ value, label, children }: { value: string; label: string; children?: ReactNode }) {
  const announce = useAnnounce();
  const [copied, setCopied] = useState(false);
  return (
    <button
      type="button"
      title={copied ? "Copied" : `Copy ${label}`}
      aria-label={`${label}: ${typeof children === "string" ? children : value}. Copy`}
      className="tabular rounded-sm text-left decoration-dotted underline-offset-4 hover:underline"
      onClick={() =>
        void navigator.clipboard.writeText(value).then(
          () => {
            setCopied(true);
            announce(`${label} copied`);
          },
          () => announce("This browser does not let the page copy", true),
        )
      }
    >
      {children ?? value}
    </button>
  );
}

/** A figure with what it is below it. */
export function Figure({ label, value, copy }: { label: string; value: string; copy?: string }) {
  return (
    <div className="flex flex-col gap-0.5">
      <dt className="eyebrow order-2">{label}</dt>
      <dd className="title tabular text-xl">
        <Copyable value={copy ?? value} label={label}>
          {value}
        </Copyable>
      </dd>
    </div>
  );
}

/** How full a show is: sold, held and off sale, one after the other. */
export function Fill({ show, className = "" }: { show: Show; className?: string }) {
  const { total_seats: total, booked_seats: booked, reserved_seats: held, blocked_seats: blocked } = show;
  const said = `${count(booked)} sold, ${count(held)} held, ${count(blocked)} off sale, of ${count(total)}`;
  const part = (seats: number, from: number, kind: string) =>
    seats > 0 && (
      <rect
        x={(from / total) * 100}
        width={(seats / total) * 100}
        height="8"
        className={`transition-[width,x] duration-200 ${kind}`}
      />
    );
  return (
    <svg
      viewBox="0 0 100 8"
      preserveAspectRatio="none"
      role="img"
      aria-label={said}
      className={`h-2 w-full rounded-full bg-line ${className}`}
    >
      <title>{said}</title>
      {part(booked, 0, "fill-accent")}
      {part(held, booked, "fill-warn")}
      {part(blocked, booked + held, "fill-edge")}
    </svg>
  );
}

/** Room for a table whose head stays: it scrolls by itself where it is longer than the window. */
export function TableRoom({ children }: { children: ReactNode }) {
  return <div className="[&>section]:max-h-[80dvh]">{children}</div>;
}

export function StatusTag({ show }: { show: Show }) {
  const [word, look] =
    show.status === "cancelled"
      ? ["Cancelled", "text-soft line-through decoration-1"]
      : show.available_seats === 0
        ? ["Sold out", "text-accent"]
        : show.on_sale_at && Date.parse(show.on_sale_at) > Date.now()
          ? [`On sale ${date(show.on_sale_at, "stamp", show.time_zone)}`, "text-warn"]
          : ["On sale", "text-good"];
  return <span className={`text-sm font-[560] ${look}`}>{word}</span>;
}

export function Key({ children }: { children: string }) {
  return (
    <span
      aria-hidden="true"
      className="ml-1 hidden min-w-5 rounded-sm border border-current px-1 text-center font-sans text-xs opacity-70 sm:inline-block"
    >
      {children}
    </span>
  );
}

interface ConfirmProps {
  open: boolean;
  title: string;
  /** What it will do, in a sentence. */
  children: ReactNode;
  /** The button that does it, and the one that doesn't. */
  act: string;
  keep?: string;
  tone?: Tone;
  busy: boolean;
  error?: string | undefined;
  onAct(): void;
  onClose(): void;
}

/** Says what an act will do, and does it only then. */
export function Confirm({
  open,
  title,
  children,
  act,
  keep = "Keep it",
  tone = "accent",
  busy,
  error,
  onAct,
  onClose,
}: ConfirmProps) {
  return (
    <Dialog open={open} title={title} onClose={onClose}>
      <div className="measure flex flex-col gap-2">{children}</div>
      {error && (
        <p role="alert" className="text-sm font-[560] text-accent">
          {error}
        </p>
      )}
      <div className="flex flex-wrap justify-end gap-3">
        <Button tone="plain" onClick={onClose}>
          {keep}
        </Button>
        <Button tone={tone} busy={busy} onClick={onAct}>
          {act}
        </Button>
      </div>
    </Dialog>
  );
}
