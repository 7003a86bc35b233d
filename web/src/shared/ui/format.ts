/** Money, times and lists as people read them: in the page's language, the show's currency and its time zone. */

const LOCALE = "en-GB"; // the page's words are English; its numbers and dates go with them

const cached = <T>(make: (key: string) => T) => {
  const known = new Map<string, T>();
  return (key: string): T => {
    let found = known.get(key);
    if (found === undefined) {
      found = make(key);
      known.set(key, found);
    }
    return found;
  };
};

const moneyFormat = cached((currency) => {
  try {
    return new Intl.NumberFormat(LOCALE, { style: "currency", currency });
  } catch {
    return new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2 });
  }
});

/** Minor units of a currency: 9800 EUR is €98, 1250 is €12.50; yen have no minor unit. */
export function money(cents: number, currency: string): string {
  const format = moneyFormat(currency);
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  const text = format.format(cents / 10 ** digits);
  return digits > 0 && cents % 10 ** digits === 0 ? text.replace(/[.,]0+(?=\D*$)/, "") : text;
}

const ZONED: Record<string, Intl.DateTimeFormatOptions> = {
  day: { weekday: "long", day: "numeric", month: "long", year: "numeric" },
  dayShort: { weekday: "short", day: "numeric", month: "short" },
  dayShortOfYear: { weekday: "short", day: "numeric", month: "short", year: "numeric" },
  dayNumber: { day: "numeric" },
  month: { month: "short" },
  monthOfYear: { month: "short", year: "numeric" },
  year: { year: "numeric" },
  weekday: { weekday: "short" },
  time: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  zone: { timeZoneName: "short" },
  stamp: {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  },
};

const zonedFormat = cached((key) => {
  const [style = "", zone = ""] = key.split("|");
  const options = ZONED[style] ?? {};
  try {
    return new Intl.DateTimeFormat(LOCALE, zone ? { ...options, timeZone: zone } : options);
  } catch {
    return new Intl.DateTimeFormat(LOCALE, options); // a zone that this browser doesn't know
  }
});

export type DateStyle =
  | "day"
  | "dayShort"
  | "dayNumber"
  | "month"
  | "weekday"
  | "time"
  | "clock"
  | "zone"
  | "stamp";

const WITH_YEAR: Partial<Record<DateStyle, string>> = { dayShort: "dayShortOfYear", month: "monthOfYear" };

/**
 * An instant in a show's time zone; in the visitor's own where the show names none. The short styles name the year
 * where it isn't this one.
 */
export function date(instant: string | number | Date, style: DateStyle, zone?: string | null): string {
  const format = (of: string, when: Date) => zonedFormat(`${of}|${zone ?? ""}`).format(when);
  const when = new Date(instant);
  const withYear = WITH_YEAR[style];
  const elsewhen = withYear && format("year", when) !== format("year", new Date());
  return format(elsewhen ? withYear : style, when);
}

const listFormat = new Intl.ListFormat(LOCALE, { type: "conjunction" });

/** "12", "12 and 13", "12, 13 and 14". */
export function list(words: readonly string[]): string {
  return listFormat.format(words);
}

const countFormat = new Intl.NumberFormat(LOCALE);

/** 20000 is "20,000". */
export function count(number: number): string {
  return countFormat.format(number);
}

/** "1 seat", "2 seats". */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}
