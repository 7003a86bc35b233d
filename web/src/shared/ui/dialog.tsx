import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { Button } from "@/shared/ui/button";

interface DialogProps {
  open: boolean;
  title: string;
  /** For fields side by side. */
  wide?: boolean;
  onClose(): void;
  children: ReactNode;
}

/** The browser's own modal dialog: it keeps the focus, closes by Escape, and gives the focus back. */
export function Dialog({ open, title, wide = false, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      className={`m-auto rounded-lg border border-line bg-raised p-0 text-ink shadow-float ${
        wide ? "w-[min(38rem,calc(100vw-2rem))]" : "w-[min(30rem,calc(100vw-2rem))]"
      }`}
    >
      {open && (
        <div className="flex flex-col gap-5 p-6">
          <header className="flex items-start justify-between gap-4">
            <h2 id={id} className="text-xl">
              {title}
            </h2>
            <Button size="small" tone="quiet" aria-label="Close" onClick={() => dialog.current?.close()}>
              <X size={18} aria-hidden />
            </Button>
          </header>
          {children}
        </div>
      )}
    </dialog>
  );
}
