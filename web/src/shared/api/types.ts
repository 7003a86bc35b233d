/** The API's shapes by their names. schema.d.ts is made from the server's OpenAPI: `make web/schema`. */
import type { components } from "@/shared/api/schema";

type Schemas = components["schemas"];

export type Show = Schemas["Show"];
export type Layout = Schemas["Layout"];
export type Booking = Schemas["Booking"];
/** A booking that waits to be decided; it has no row yet, and only what was asked for. */
export type QueuedBooking = Omit<Schemas["QueuedBooking"], "expires_at" | "settled_at">; // both null, always
export type BookingStatus = Schemas["BookingStatus"];
export type Category = Schemas["Category"];
export type Role = Schemas["Role"];

export function isQueued(booking: Booking | QueuedBooking): booking is QueuedBooking {
  return booking.reason === "queued";
}
