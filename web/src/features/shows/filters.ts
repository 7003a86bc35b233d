/** The list's filters, in the address and out of it. */
import type { Show } from "@/shared/api/types";

export interface Filters {
  q: string;
  kind: "" | "show" | "trip";
  /** A day, as the date field has it: 2030-01-31. */
  from: string;
  /** In whole units of the show's currency; empty for any. */
  priceMax: string;
  /** Only what has seats left. */
  free: boolean;
}

export function fromParams(params: URLSearchParams): Filters {
  const kind = params.get("kind");
  return {
    q: params.get("q") ?? "",
    kind: kind === "show" || kind === "trip" ? kind : "",
    from: /^\d{4}-\d{2}-\d{2}$/.test(params.get("from") ?? "") ? (params.get("from") ?? "") : "",
    priceMax: /^\d{1,7}$/.test(params.get("price") ?? "") ? (params.get("price") ?? "") : "",
    free: params.get("free") === "1",
  };
}

export function toParams({ q, kind, from, priceMax, free }: Filters): URLSearchParams {
  const params = new URLSearchParams();
  if (q) params.set("q", q);
  if (kind) params.set("kind", kind);
  if (from) params.set("from", from);
  if (priceMax) params.set("price", priceMax);
  if (free) params.set("free", "1");
  return params;
}

/** The instant at which that day begins, here; nothing for today and days gone, where the server begins with now. */
export function startsAfter({ from }: Filters, now = new Date()): string | undefined {
  if (!from) return undefined;
  const day = new Date(`${from}T00:00:00`);
  return Number.isNaN(day.getTime()) || day <= now ? undefined : day.toISOString();
}

/** The lowest price of a show, in minor units. */
export const priceFrom = (show: Show): number =>
  show.categories.length > 0 ? Math.min(...show.categories.map((category) => category.price_cents)) : 0;

export const isSoldOut = (show: Show): boolean => show.available_seats === 0;

/** What the server isn't asked for. */
export function wanted(show: Show, { priceMax, free }: Filters): boolean {
  if (free && (isSoldOut(show) || show.status === "cancelled")) return false;
  return priceMax === "" || priceFrom(show) <= Number(priceMax) * 100;
}
