/** What a show is, apart from its seats: the same fields for a new one and for one that is changed. */
import { useMemo } from "react";
import { ApiError, say } from "@/shared/api/problems";
import type { Show } from "@/shared/api/types";
import { Field, Select } from "@/shared/ui/field";
import { wholeNumber } from "./draft";
import { clockIn, instantIn, ownZone, zones } from "./times";

export interface ShowForm {
  name: string;
  venue: string;
  origin: string;
  destination: string;
  starts: string;
  ends: string;
  zone: string;
  onSale: string;
  maxSeats: string;
  holdSeconds: string;
  byService: boolean;
}

export type FormErrors = Partial<Record<keyof ShowForm, string>>;

export const emptyForm = (): ShowForm => ({
  name: "",
  venue: "",
  origin: "",
  destination: "",
  starts: "",
  ends: "",
  zone: ownZone(),
  onSale: "",
  maxSeats: "10",
  holdSeconds: "",
  byService: false,
});

/** A show's fields as they are typed; times on the clock of its own place. */
export function formOf(show: Show, laterDays = 0): ShowForm {
  const zone = show.time_zone ?? ownZone();
  // By the clock, so that a show a week later begins at the same hour, whatever the clocks did in between.
  const clock = (instant: string | null) => {
    if (!instant) return "";
    const shown = new Date(`${clockIn(zone, instant)}Z`);
    shown.setUTCDate(shown.getUTCDate() + laterDays);
    return shown.toISOString().slice(0, 16);
  };
  return {
    name: show.name,
    venue: show.venue ?? "",
    origin: show.origin ?? "",
    destination: show.destination ?? "",
    starts: clock(show.start_time),
    ends: clock(show.end_time),
    zone,
    onSale: laterDays ? "" : clock(show.on_sale_at),
    maxSeats: String(show.max_seats_per_booking),
    holdSeconds: String(show.hold_seconds),
    byService: show.confirm_by === "service",
  };
}

/** The fields as the server takes them, or what is wrong with them. */
export function readForm(form: ShowForm) {
  const errors: FormErrors = {};
  if (!form.name.trim()) errors.name = "Give it a name.";
  const start_time = instantIn(form.zone, form.starts);
  if (!start_time) errors.starts = "Say on which day and at what time it begins.";
  const end_time = form.ends ? instantIn(form.zone, form.ends) : null;
  if (start_time && end_time && end_time <= start_time) errors.ends = "It ends before it begins.";
  const max_seats_per_booking = wholeNumber(form.maxSeats, 1, 500);
  if (!max_seats_per_booking) errors.maxSeats = "1 to 500 seats.";
  const hold_seconds = form.holdSeconds.trim() ? wholeNumber(form.holdSeconds, 1, 86_400) : null;
  if (form.holdSeconds.trim() && !hold_seconds) errors.holdSeconds = "1 to 86,400 seconds.";
  const values = {
    name: form.name.trim(),
    venue: form.venue.trim() || null,
    start_time: start_time ?? "",
    end_time,
    time_zone: form.zone,
    on_sale_at: form.onSale ? instantIn(form.zone, form.onSale) : null,
    max_seats_per_booking: max_seats_per_booking ?? 10,
    hold_seconds, // null: as the server is set up
    confirm_by: form.byService ? ("service" as const) : ("owner" as const),
  };
  return { values, errors };
}

const FIELD_OF: Record<string, keyof ShowForm> = {
  name: "name",
  venue: "venue",
  origin: "origin",
  destination: "destination",
  start_time: "starts",
  end_time: "ends",
  time_zone: "zone",
  on_sale_at: "onSale",
  max_seats_per_booking: "maxSeats",
  hold_seconds: "holdSeconds",
};

/** A refusal of the server's: at the fields it names, and the rest in a sentence. */
export function refusalOf(error: unknown): { fields: FormErrors; rest: string | undefined } {
  if (!error) return { fields: {}, rest: undefined };
  const fields: FormErrors = {};
  const named = error instanceof ApiError ? (error.problem?.errors ?? []) : [];
  for (const { field, message } of named) {
    const of = FIELD_OF[field];
    if (of) fields[of] = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  }
  const { title, hint } = say(error);
  const all = named.length > 0 && named.every(({ field }) => FIELD_OF[field]);
  return { fields, rest: all ? undefined : `${title}. ${hint}` };
}

interface ShowFieldsProps {
  form: ShowForm;
  errors: FormErrors;
  kind: "show" | "trip";
  /** Where a trip leads is part of its being made. */
  fixedPlaces?: boolean;
  onChange(change: Partial<ShowForm>): void;
}

export function ShowFields({ form, errors, kind, fixedPlaces = false, onChange }: ShowFieldsProps) {
  const known = useMemo(zones, []);
  const field = (name: Exclude<keyof ShowForm, "byService">) => ({
    name,
    value: form[name],
    error: errors[name],
    onChange: (event: { target: { value: string } }) => onChange({ [name]: event.target.value }),
  });
  return (
    <div className="grid gap-x-4 gap-y-5 sm:grid-cols-2">
      <div className="sm:col-span-2">
        <Field label="Name" autoComplete="off" maxLength={200} required {...field("name")} />
      </div>
      {kind === "trip" && !fixedPlaces && (
        <>
          <Field label="From" autoComplete="off" maxLength={200} {...field("origin")} />
          <Field label="To" autoComplete="off" maxLength={200} {...field("destination")} />
        </>
      )}
      <div className="sm:col-span-2">
        <Field
          label={kind === "trip" ? "Where it leaves" : "Place"}
          autoComplete="off"
          maxLength={200}
          {...field("venue")}
        />
      </div>
      <Field
        label={kind === "trip" ? "Leaves" : "Begins"}
        type="datetime-local"
        required
        {...field("starts")}
      />
      <Field
        label={kind === "trip" ? "Arrives" : "Ends"}
        type="datetime-local"
        hint="Optional"
        {...field("ends")}
      />
      <Select label="Time zone of the place" {...field("zone")}>
        {!known.includes(form.zone) && <option>{form.zone}</option>}
        {known.map((zone) => (
          <option key={zone}>{zone}</option>
        ))}
      </Select>
      <Field label="Sale begins" type="datetime-local" hint="Left empty: at once" {...field("onSale")} />
      <Field label="Most seats in one booking" inputMode="numeric" {...field("maxSeats")} />
      <Field
        label="Seconds that a hold lasts"
        inputMode="numeric"
        hint="Left empty: as the server is set up"
        {...field("holdSeconds")}
      />
      <label className="flex items-start gap-3 text-sm sm:col-span-2">
        <input
          type="checkbox"
          className="mt-0.5 size-5 accent-(--accent)"
          checked={form.byService}
          onChange={(event) => onChange({ byService: event.target.checked })}
        />
        <span>
          A payment comes first
          <span className="block text-soft">
            Customers hold seats; a service confirms them when they are paid for.
          </span>
        </span>
      </label>
    </div>
  );
}
