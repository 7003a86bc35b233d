/** Times as the box office types them: on the clock of the show's place. */

/** What a clock in a zone shows at an instant, as `<input type="datetime-local">` takes it. */
export function clockIn(zone: string, instant: number | string): string {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(new Date(instant));
  const part = (type: string) => parts.find((found) => found.type === type)?.value ?? "00";
  return `${part("year")}-${part("month")}-${part("day")}T${part("hour")}:${part("minute")}`;
}

/** The instant at which a clock in a zone shows a time; null for no time. In the hour that comes twice, the first. */
export function instantIn(zone: string, clock: string): string | null {
  const plain = Date.parse(`${clock}Z`);
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(clock) || Number.isNaN(plain)) return null;
  const offset = (instant: number) => Date.parse(`${clockIn(zone, instant)}Z`) - instant;
  // The offset before the change gives the first of two; where it leads elsewhere (an hour is skipped), the one after.
  const early = plain - offset(plain - 86_400_000);
  const instant = clockIn(zone, early) === clock ? early : plain - offset(plain + 86_400_000);
  return new Date(instant).toISOString();
}

export const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export function zones(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
}
