import { money } from "@/shared/ui/format";
import type { Hall } from "./hall";
import { categoryColor } from "./palette";

interface LegendProps {
  hall: Hall;
  currency: string;
  /** The category that is looked for; others stand back. */
  category: number | null;
  onCategory(category: number | null): void;
}

/** What the colours and shapes mean. Pressing a category lets the others stand back. */
export function Legend({ hall, currency, category, onCategory }: LegendProps) {
  const hasAccessible = hall.accessible.includes(1);
  return (
    <div className="flex flex-col gap-2 sm:gap-3">
      <fieldset className="-mx-4 flex min-w-0 gap-2 overflow-x-auto px-4 sm:mx-0 sm:flex-wrap sm:px-0">
        <legend className="sr-only">Price categories</legend>
        {hall.categories.map((of, index) => (
          <button
            key={of.name}
            type="button"
            aria-pressed={category === index}
            onClick={() => onCategory(category === index ? null : index)}
            className="inline-flex min-h-9 shrink-0 items-center gap-2 rounded-full border border-edge bg-raised px-3 text-sm hover:border-ink aria-pressed:border-ink aria-pressed:bg-ink aria-pressed:text-paper"
          >
            <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
              <rect
                x="1"
                y="1"
                width="12"
                height="12"
                rx="3"
                fill={categoryColor(of, index)}
                stroke="currentColor"
                strokeOpacity="0.45"
              />
            </svg>
            <span>{of.name}</span>
            <span className="tabular opacity-80">
              {of.price_cents > 0 ? money(of.price_cents, currency) : "no charge"}
            </span>
          </button>
        ))}
      </fieldset>
      <ul className="flex flex-wrap gap-x-3 gap-y-0.5 text-xs text-soft sm:gap-x-4 sm:gap-y-1">
        <Sign name="chosen">
          <rect x="3" y="3" width="12" height="12" rx="3" className="fill-none stroke-ink" strokeWidth="2" />
          <path d="M6 9l2.3 2.300L12.3 6.7" className="fill-none stroke-ink" strokeWidth="1.8" />
        </Sign>
        <Sign name="yours">
          <rect x="2" y="2" width="14" height="14" rx="4" className="fill-ink" />
          <path d="M5.5 9l2.5 2.500L12.5 6.5" className="fill-none stroke-paper" strokeWidth="2" />
        </Sign>
        <Sign name="held">
          <rect
            x="3"
            y="3"
            width="12"
            height="12"
            rx="3"
            fill="none"
            stroke="var(--seat-held)"
            strokeWidth="1.5"
            strokeDasharray="3 2.2"
          />
        </Sign>
        <Sign name="sold">
          <circle cx="9" cy="9" r="3" fill="var(--seat-gone)" />
        </Sign>
        <Sign name="not for sale">
          <path d="M5.5 5.500l7 7m0-7l-7 7" stroke="var(--seat-gone)" strokeWidth="2" />
        </Sign>
        {hasAccessible && (
          <Sign name="wheelchair place">
            <g
              className="fill-none stroke-ink"
              strokeWidth="1.5"
              strokeLinecap="round"
              strokeLinejoin="round"
            >
              <circle cx="8.4" cy="3.4" r="1.3" className="fill-ink" stroke="none" />
              <path d="M8.4 6v4h3.200l1.6 3.600M8.4 7.800h2.8" />
              <path d="M5.5 9.200a3.4 3.4 0 1 0 5.2 4" />
            </g>
          </Sign>
        )}
      </ul>
    </div>
  );
}

function Sign({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <li className="inline-flex items-center gap-1 sm:gap-1.5">
      <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
        {children}
      </svg>
      {name}
    </li>
  );
}
