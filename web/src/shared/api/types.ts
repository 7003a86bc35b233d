/** The API's shapes by their names. schema.d.ts is made from the server's OpenAPI: `make web/schema`. */
import type { components } from "@/shared/api/schema";

type Schemas = components["schemas"];

export type Show = Schemas["Show"];
export type Layout = Schemas["Layout"];
export type Booking = Schemas["Booking"];
export type BookingStatus = Schemas["BookingStatus"];
export type Category = Schemas["Category"];
export type Role = Schemas["Role"];
