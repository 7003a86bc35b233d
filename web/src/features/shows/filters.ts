/** The list's filters, in the address and out of it. */
import type { Show } from "@/shared/api/types";

export interface Filters {
  q: string;
  kind: "" | "show" | "trip";
  /** A day, as the date field has it: 2030-01-31. */
  from: string;
  /** The last day, in the same way; never before the first. */
  until: string;
  /** In whole units of the show's currency; empty for any. */
  priceMax: string;
  /** Only what has seats left. */
  free: boolean;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;

export function fromParams(params: URLSearchParams): Filters {
  const kind = params.get("kind");
  const day = (name: string) => (DAY.test(params.get(name) ?? "") ? (params.get(name) ?? "") : "");
  return {
    q: params.get("q") ?? "",
    kind: kind === "show" || kind === "trip" ? kind : "",
    from: day("from"),
    until: day("until"),
    priceMax: /^\d{1,7}$/.test(params.get("price") ?? "") ? (params.get("price") ?? "") : "",
    free: params.get("free") === "1",
  };
}

export function toParams({ q, kind, from, until, priceMax, free }: Filters): URLSearchParams {
  const params = new URLSearchParams();
  if (q) params.set("q", q);
  if (kind) params.set("kind", kind);
  if (from) params.set("from", from);
  if (until) params.set("until", until);
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

/** The instant at which the last day is over, here. A last day before the first is taken for the first: one day. */
export function startsBefore({ from, until }: Filters): string | undefined {
  if (!until) return undefined;
  const day = new Date(`${from > until ? from : until}T00:00:00`);
  day.setDate(day.getDate() + 1);
  return Number.isNaN(day.getTime()) ? undefined : day.toISOString();
}

/** What the server is asked for, but for the page of it. */
export function queryOf(filters: Filters, now = new Date()) {
  const q = filters.q.trim();
  const after = startsAfter(filters, now);
  const before = startsBefore(filters);
  return {
    ...(q && { q }),
    ...(filters.kind && { kind: filters.kind }),
    ...(after && { starts_after: after }),
    ...(before && { starts_before: before }),
    ...(filters.priceMax && { price_cents_max: Number(filters.priceMax) * 100 }),
    ...(filters.free && { seats_left: true }),
  };
}

/** The lowest price of a show, in minor units. */
export const priceFrom = (show: Show): number =>
  show.categories.length > 0 ? Math.min(...show.categories.map((category) => category.price_cents)) : 0;

export const isSoldOut = (show: Show): boolean => show.available_seats === 0;
