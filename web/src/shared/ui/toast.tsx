import { X } from "lucide-react";
import { AnimatePresence } from "motion/react";
import * as m from "motion/react-m";
import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useAnnounce } from "@/shared/ui/announcer";
import { Button } from "@/shared/ui/button";

export interface Toast {
  text: string;
  /** Something to do about it: "Undo", "Take 15 and 16". It stays until it is used or closed. */
  action?: { label: string; onPress(): void };
  urgent?: boolean;
  /** Belongs to the page that made it: it goes with that page, and a newer offer takes its place. */
  offer?: boolean;
}

type Shown = Toast & { id: number };

const SECONDS = 7;
const AT_ONCE_MAX = 3; // more than that is a wall

interface Notices {
  show(toast: Toast): void;
  dropOffers(): void;
}

const ToastContext = createContext<Notices>({ show() {}, dropOffers() {} });

/** Short notices that float above the page; each is also announced. */
export function Toasts({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Shown[]>([]);
  const next = useRef(0);
  const announce = useAnnounce();
  const close = useCallback((id: number) => setShown((all) => all.filter((toast) => toast.id !== id)), []);
  const show = useCallback(
    (toast: Toast) => {
      next.current += 1;
      const id = next.current;
      setShown((all) => {
        const stay = toast.offer ? all.filter(({ offer }) => !offer) : all;
        return [...stay, { ...toast, id }].slice(-AT_ONCE_MAX);
      });
      announce(toast.text, toast.urgent);
    },
    [announce],
  );
  const dropOffers = useCallback(() => setShown((all) => all.filter(({ offer }) => !offer)), []);
  const notices = useMemo(() => ({ show, dropOffers }), [show, dropOffers]);
  return (
    <ToastContext value={notices}>
      {children}
      <section
        aria-label="Notices"
        className="pointer-events-none fixed inset-x-0 top-16 z-50 flex flex-col items-center gap-2 px-4"
      >
        <AnimatePresence initial={false}>
          {shown.map((toast) => (
            <ToastCard key={toast.id} toast={toast} onClose={close} />
          ))}
        </AnimatePresence>
      </section>
    </ToastContext>
  );
}

function ToastCard({ toast, onClose }: { toast: Shown; onClose(id: number): void }) {
  const { id, action } = toast;
  const stays = action !== undefined;
  useEffect(() => {
    if (stays) return;
    const timer = setTimeout(() => onClose(id), SECONDS * 1000);
    return () => clearTimeout(timer);
  }, [id, stays, onClose]);
  return (
    <m.div
      initial={{ opacity: 0, y: -12 }}
      animate={{ opacity: 1, y: 0 }}
      exit={{ opacity: 0, y: -8 }}
      transition={{ duration: 0.15 }}
      className="pointer-events-auto flex max-w-xl items-center gap-3 rounded-md border border-line bg-raised py-2 pr-2 pl-4 text-sm shadow-float"
    >
      <p className="py-1">{toast.text}</p>
      {action && (
        <Button
          size="small"
          tone="accent"
          onClick={() => {
            onClose(id);
            action.onPress();
          }}
        >
          {action.label}
        </Button>
      )}
      <Button size="small" tone="quiet" aria-label="Close this notice" onClick={() => onClose(id)}>
        <X size={16} aria-hidden />
      </Button>
    </m.div>
  );
}

export function useToast(): (toast: Toast) => void {
  return use(ToastContext).show;
}

/** Takes back this page's offers when the page is left. */
export function useOffersOfPage(): void {
  const { dropOffers } = use(ToastContext);
  useEffect(() => dropOffers, [dropOffers]);
}
