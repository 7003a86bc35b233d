/** A hall as somebody types it in, and the layout that the server takes. Pure: the preview is made of it at each key press. */
import type { components } from "@/shared/api/schema";
import type { Layout } from "@/shared/api/types";

export type NewLayout = components["schemas"]["NewLayout"];
export type NewCategory = components["schemas"]["Category"];
type NewRow = NewLayout["sections"][number]["rows"][number];

/** As domain/layout_spec.py has them. */
export const SEATS_MAX = 100_000;
const NAME_CHARS_MAX = 64;
const PRICE_CENTS_MAX = 1_000_000_000;

export interface CategoryDraft {
  id: string;
  name: string;
  /** As typed: "89", "12.50". */
  price: string;
  color: string;
}

export interface SectionDraft {
  id: string;
  name: string;
  /** The label of the row in front: "A" goes on to B, Z to AA; "1" to 2. */
  firstRow: string;
  rows: string;
  /** Seats of the row in front. */
  seats: string;
  /** How many seats each row has more than the one before it. */
  widening: string;
  category: string;
  /** Aisles, by the number of the seat they follow: "6, 18". */
  aisles: string;
  /** Wheelchair places, as "A-1, A-2" or "A-1…4". */
  accessible: string;
}

export interface HallDraft {
  categories: CategoryDraft[];
  sections: SectionDraft[];
}

export interface DraftErrors {
  /** By `${id}.${field}`. */
  fields: Record<string, string>;
  /** What is wrong with the whole. */
  whole: string | undefined;
}

export interface Compiled {
  layout: NewLayout;
  categories: NewCategory[];
  seats: number;
  errors: DraftErrors;
}

const WHOLE_NUMBER = /^\d{1,6}$/;

/** A whole number within bounds; null for anything else. */
export function wholeNumber(text: string, least: number, most: number): number | null {
  const trimmed = text.trim();
  if (!WHOLE_NUMBER.test(trimmed)) return null;
  const number = Number(trimmed);
  return number >= least && number <= most ? number : null;
}

/** "89" is 8900, "12.5" and "12,50" are 1250 of a currency with two digits; null for what is no price. */
export function cents(price: string, digits = 2): number | null {
  const found = /^(\d{1,9})(?:[.,](\d*))?$/.exec(price.trim());
  if (!found) return null;
  const fraction = found[2] ?? "";
  if (fraction.length > digits) return null;
  const value = Number(found[1]) * 10 ** digits + Number(fraction.padEnd(digits, "0") || 0);
  return value <= PRICE_CENTS_MAX ? value : null;
}

export function currencyDigits(currency: string): number {
  try {
    return (
      new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ??
      2
    );
  } catch {
    return 2;
  }
}

/** The labels of rows from a first one on; null where that can't be counted on from. */
export function rowLabels(first: string, rows: number): string[] | null {
  const label = first.trim();
  if (/^\d{1,6}$/.test(label)) return Array.from({ length: rows }, (_, row) => String(Number(label) + row));
  if (!/^[A-Z]{1,3}$/i.test(label)) return rows === 1 && label !== "" ? [label] : null;
  const upper = label.toUpperCase();
  const begin = [...upper].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0);
  return Array.from({ length: rows }, (_, row) => lettersOf(begin + row));
}

function lettersOf(number: number): string {
  let left = number;
  let letters = "";
  while (left > 0) {
    const digit = (left - 1) % 26;
    letters = String.fromCharCode(65 + digit) + letters;
    left = (left - 1 - digit) / 26;
  }
  return letters;
}

/** The row after a section's last: what a new section begins with, for a row's label is unique in a hall. */
export function rowAfter(section: SectionDraft | undefined): string {
  const rows = section && wholeNumber(section.rows, 1, SEATS_MAX);
  return (rows && rowLabels(section.firstRow, rows + 1)?.at(-1)) || "A";
}

/** "6, 18" as numbers; null where there is anything else. */
export function seatNumbers(text: string): number[] | null {
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  const numbers = parts.map((part) => wholeNumber(part, 1, SEATS_MAX));
  return numbers.every((number) => number !== null) ? numbers : null;
}

/** "A-1, C-4…6" as the seats of each row; null where there is anything else. */
export function seatsByRow(text: string): Map<string, Set<number>> | null {
  const found = new Map<string, Set<number>>();
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const match = /^(.+)-(\d{1,6})(?:(?:…|\.\.\.?|–)(\d{1,6}))?$/.exec(part);
    if (!match?.[1]) return null;
    const from = Number(match[2]);
    const to = Number(match[3] ?? match[2]);
    if (from < 1 || to < from || to - from > 1_000) return null;
    const row = /^[a-z]{1,3}$/.test(match[1]) ? match[1].toUpperCase() : match[1];
    const seats = found.get(row) ?? new Set();
    for (let seat = from; seat <= to; seat++) seats.add(seat);
    found.set(row, seats);
  }
  return found;
}

/** The layout of a draft. Where something is wrong it says so, and leaves that part out, so that a preview goes on. */
export function compile(draft: HallDraft, currency: string): Compiled {
  const fields: Record<string, string> = {};
  const categories = compileCategories(draft.categories, currency, fields);
  const layout: NewLayout = { sections: [] };
  const rowOwner = new Map<string, string>();
  let seats = 0;
  for (const section of draft.sections) {
    const say = (field: keyof SectionDraft, message: string) => {
      fields[`${section.id}.${field}`] ??= message;
    };
    const name = section.name.trim();
    if (!isName(name)) say("name", `Give it a name of 1 to ${NAME_CHARS_MAX} characters.`);
    else if (layout.sections.some((other) => other.name === name))
      say("name", "Another section has this name.");
    const rows = wholeNumber(section.rows, 1, 2_000);
    if (rows === null) say("rows", "A whole number of rows, 1 to 2,000.");
    const wide = wholeNumber(section.seats, 1, SEATS_MAX);
    if (wide === null) say("seats", "A whole number of seats, 1 or more.");
    const widening = wholeNumber(section.widening || "0", 0, 1_000);
    if (widening === null) say("widening", "A whole number of seats.");
    const labels = rows === null ? null : rowLabels(section.firstRow, rows);
    if (rows !== null && !labels) say("firstRow", "A letter such as A, or a number such as 1.");
    const aisles = seatNumbers(section.aisles);
    if (!aisles) say("aisles", "Numbers of seats, such as 6, 18.");
    const accessible = seatsByRow(section.accessible);
    if (!accessible) say("accessible", "Seats such as A-1, A-2 or A-1…4.");
    const category = categories.find(({ id }) => id === section.category) ?? categories[0];
    const twice = labels?.find((label) => rowOwner.has(label));
    if (twice !== undefined)
      say("firstRow", `Row ${twice} is in ${rowOwner.get(twice)} too: seats need names of their own.`);
    if (!rows || !wide || widening === null || !labels || twice !== undefined || !isName(name)) continue;
    const asked = (rows * (2 * wide + widening * (rows - 1))) / 2;
    if (seats + asked > SEATS_MAX) {
      say("seats", `That makes more than ${SEATS_MAX.toLocaleString("en")} seats.`);
      continue;
    }
    for (const [row, chosen] of accessible ?? []) {
      const index = labels.indexOf(row);
      const most = wide + widening * Math.max(index, 0);
      if (index < 0) say("accessible", `There is no row ${row} in this section.`);
      else if (Math.max(...chosen) > most) say("accessible", `Row ${row} has ${most} seats only.`);
    }
    if (aisles?.some((seat) => seat >= wide + widening * (rows - 1)))
      say("aisles", "An aisle lies between seats: it can't follow a row's last.");
    const isFirst = category === categories[0];
    layout.sections.push({
      name,
      rows: labels.map((label, index) =>
        compileRow(
          label,
          wide + widening * index,
          isFirst ? undefined : category?.name,
          aisles ?? [],
          accessible?.get(label) ?? new Set(),
        ),
      ),
    });
    for (const label of labels) rowOwner.set(label, name);
    seats += asked;
  }
  const whole = draft.sections.length === 0 ? "A hall needs a section." : undefined;
  return {
    layout,
    categories: categories.map(({ id: _, ...category }) => category),
    seats,
    errors: { fields, whole },
  };
}

const isName = (text: string) => text.length >= 1 && text.length <= NAME_CHARS_MAX;

function compileCategories(drafts: CategoryDraft[], currency: string, fields: Record<string, string>) {
  const digits = currencyDigits(currency);
  const categories: (NewCategory & { id: string })[] = [];
  for (const { id, name, price, color } of drafts) {
    const trimmed = name.trim();
    if (!isName(trimmed)) fields[`${id}.name`] = `Give it a name of 1 to ${NAME_CHARS_MAX} characters.`;
    else if (categories.some((other) => other.name === trimmed))
      fields[`${id}.name`] = "Another price has this name.";
    const price_cents = cents(price, digits);
    if (price_cents === null)
      fields[`${id}.price`] = digits ? "A price such as 89 or 12.50." : "A whole price.";
    categories.push({ id, name: trimmed, price_cents: price_cents ?? 0, color });
  }
  return categories;
}

/** Counted where nothing is special about its seats, so that a hall of thousands stays a few lines. */
function compileRow(
  label: string,
  seats: number,
  category: string | undefined,
  aisles: readonly number[],
  accessible: ReadonlySet<number>,
): NewRow {
  const own = category === undefined ? {} : { category };
  const gaps = new Set(aisles.filter((seat) => seat < seats));
  if (gaps.size === 0 && accessible.size === 0) return { label, seats, ...own };
  return {
    label,
    seats: Array.from({ length: seats }, (_, index) => ({
      ...(accessible.has(index + 1) ? { accessible: true } : {}),
      ...(gaps.has(index + 1) ? { gap_after: true } : {}),
    })),
    ...own,
  };
}

/** The layout as the server would give it back, for the preview. */
export function spellOut({ layout, categories }: Pick<Compiled, "layout" | "categories">): Layout {
  const first = categories[0]?.name ?? "Standard";
  return {
    categories: categories.length ? categories : [{ name: "Standard", price_cents: 0, color: null }],
    sections: layout.sections.map(({ name, rows }) => ({
      name,
      rows: rows.map(({ label, seats, category }) => ({
        label,
        seats: (typeof seats === "number" ? Array.from({ length: seats }, () => ({})) : seats).map(
          (seat: { accessible?: boolean; gap_after?: boolean }, index) => ({
            label: `${label}-${index + 1}`,
            category: category ?? first,
            accessible: seat.accessible ?? false,
            gap_after: seat.gap_after ?? false,
          }),
        ),
      })),
    })),
  };
}

/** Numbered seats in rows of ten, as the server makes them of a count. */
export function numberedLayout(total: number): Layout {
  return {
    categories: [{ name: "Standard", price_cents: 0, color: null }],
    sections: [
      {
        name: "Main",
        rows: Array.from({ length: Math.ceil(total / 10) }, (_, row) => ({
          label: String(row + 1),
          seats: Array.from({ length: Math.min(10, total - row * 10) }, (_, seat) => ({
            label: String(row * 10 + seat + 1),
            category: "Standard",
            accessible: false,
            gap_after: false,
          })),
        })),
      },
    ],
  };
}

let made = 0;
const id = (kind: string) => {
  made += 1;
  return `${kind}${made}`;
};

export const newCategory = (name = "", price = "", color = "#0072b2"): CategoryDraft => ({
  id: id("category"),
  name,
  price,
  color,
});

export const newSection = (given: Partial<SectionDraft> = {}): SectionDraft => ({
  id: id("section"),
  name: "",
  firstRow: "A",
  rows: "8",
  seats: "16",
  widening: "0",
  category: "",
  aisles: "",
  accessible: "",
  ...given,
});

export type Preset = "theatre" | "cinema" | "coach";

/** Somewhere to begin. */
export function preset(kind: Preset): HallDraft {
  if (kind === "theatre") {
    const [stalls, balcony] = [
      newCategory("Stalls", "68", "#0072b2"),
      newCategory("Balcony", "42", "#d55e00"),
    ];
    return {
      categories: [stalls, balcony],
      sections: [
        newSection({
          name: "Stalls",
          rows: "12",
          seats: "24",
          category: stalls.id,
          aisles: "6, 18",
        }),
        newSection({ name: "Balcony", firstRow: "M", rows: "4", seats: "28", category: balcony.id }),
      ],
    };
  }
  if (kind === "cinema") {
    const [seat, lounge] = [newCategory("Seat", "11.50", "#009e73"), newCategory("Lounge", "16", "#cc79a7")];
    return {
      categories: [seat, lounge],
      sections: [
        newSection({
          name: "Screen 1",
          rows: "9",
          seats: "14",
          category: seat.id,
          aisles: "3, 11",
          accessible: "A-1, A-2",
        }),
        newSection({ name: "Lounge", firstRow: "J", rows: "1", seats: "10", category: lounge.id }),
      ],
    };
  }
  const seat = newCategory("Seat", "24", "#0072b2");
  return {
    categories: [seat],
    sections: [
      newSection({ name: "Coach", firstRow: "1", rows: "12", seats: "4", aisles: "2", category: seat.id }),
    ],
  };
}
