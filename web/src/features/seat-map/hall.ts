/**
 * Where each seat of a layout is drawn. A layout knows sections, rows and aisles, front to back and left to right; it
 * knows no coordinates. So a hall is drawn as one: rows on shallow arcs around the stage, each section behind the one
 * before it, side by side where a single file would be far deeper than wide. A coach is straight, its decks side by side.
 *
 * World units: a seat is SEAT wide, the next one begins PITCH further on. y grows away from the front.
 */
import type { Layout } from "@/shared/api/types";

export const SEAT = 18;
export const PITCH = 24;
const ROW_PITCH = 27;
const AISLE = 22;
const SECTION_GAP = 58; // room for a section's name
const BLOCK_GAP = 56; // between columns: two row labels and an aisle
const FRONT_GAP = 64; // between the stage and the first row

/** A section that is this much deeper than wide is folded into columns, as a numbered show of 20,000 is. */
const DEEP = 2.6;
const ROWS_UNFOLDED_MAX = 40;

export interface Box {
  minX: number;
  minY: number;
  maxX: number;
  maxY: number;
}

export interface HallRow extends Box {
  label: string;
  section: number;
  /** Position of its first seat in the layout; its seats follow each other. */
  first: number;
  count: number;
}

export interface HallSection extends Box {
  name: string;
  first: number;
  count: number;
  rows: number[];
}

export interface Hall {
  kind: "show" | "trip";
  /** The centre of each seat, by its position in the layout. */
  x: Float32Array;
  y: Float32Array;
  labels: string[];
  /** What is written on a seat: its label without its row. */
  numbers: string[];
  category: Uint8Array;
  accessible: Uint8Array;
  rowOf: Uint32Array;
  rows: HallRow[];
  sections: HallSection[];
  categories: Layout["categories"];
  /** Everything that is drawn, the front too. */
  bounds: Box;
  /** The middle of the arcs, far before the stage, and the radius of the front row. Null where rows are straight. */
  arc: { x: number; y: number; radius: number } | null;
  positions: ReadonlyMap<string, number>;
}

interface Block {
  section: number;
  rows: { label: string; seats: Layout["sections"][number]["rows"][number]["seats"]; width: number }[];
  width: number;
  depth: number;
}

const nothing = (): Box => ({ minX: Infinity, minY: Infinity, maxX: -Infinity, maxY: -Infinity });

function stretch(box: Box, x: number, y: number, by: number): void {
  box.minX = Math.min(box.minX, x - by);
  box.maxX = Math.max(box.maxX, x + by);
  box.minY = Math.min(box.minY, y - by);
  box.maxY = Math.max(box.maxY, y + by);
}

const widthOf = (row: { seats: { gap_after: boolean }[] }) =>
  row.seats.length * PITCH + row.seats.slice(0, -1).filter((seat) => seat.gap_after).length * AISLE;

/** The columns of one section: one, unless it is far deeper than wide. */
function fold(section: Layout["sections"][number], index: number): Block[] {
  const rows = section.rows.map((row) => ({ label: row.label, seats: row.seats, width: widthOf(row) }));
  const width = Math.max(...rows.map((row) => row.width));
  const depth = rows.length * ROW_PITCH;
  const deep = rows.length > ROWS_UNFOLDED_MAX && depth / width > DEEP;
  const columns = deep ? Math.max(2, Math.round(Math.sqrt((depth / (width + BLOCK_GAP)) * 1.2))) : 1;
  const perColumn = Math.ceil(rows.length / columns);
  const blocks: Block[] = [];
  for (let from = 0; from < rows.length; from += perColumn) {
    const part = rows.slice(from, from + perColumn);
    blocks.push({ section: index, rows: part, width, depth: part.length * ROW_PITCH });
  }
  return blocks;
}

/** Which blocks stand side by side. Columns of a folded section do; sections do where one file would be too deep. */
function tiers(layout: Layout, kind: Hall["kind"]): Block[][] {
  const folded = layout.sections.map(fold);
  if (kind === "trip") return [folded.flat()];
  const files = folded.map((blocks) => ({
    blocks,
    width: blocks.reduce((sum, block) => sum + block.width + BLOCK_GAP, 0),
    depth: Math.max(...blocks.map((block) => block.depth)) + SECTION_GAP,
  }));
  const depth = files.reduce((sum, file) => sum + file.depth, 0);
  const widest = Math.max(...files.map((file) => file.width));
  if (depth / widest < 1.5) return files.map((file) => file.blocks);
  const area = files.reduce((sum, file) => sum + file.depth * file.width, 0);
  const target = Math.max(widest, Math.sqrt(area * 1.5));
  const found: Block[][] = [];
  for (const alike of groups(layout, files)) {
    // As many to a tier as to the next: eight blocks are four and four, not five and three.
    const width = alike.reduce((sum, file) => sum + file.width, 0);
    const perTier = Math.ceil(alike.length / Math.ceil(width / (target * 1.08)));
    for (let from = 0; from < alike.length; from += perTier) {
      found.push(alike.slice(from, from + perTier).flatMap((file) => file.blocks));
    }
  }
  return found;
}

/** Sections that follow each other and begin with the same price: those are a tier of a house. */
function groups<T>(layout: Layout, files: readonly T[]): T[][] {
  const found: T[][] = [];
  let last: string | undefined;
  files.forEach((file, index) => {
    const price = layout.sections[index]?.rows[0]?.seats[0]?.category;
    if (index === 0 || price !== last) found.push([]);
    found.at(-1)?.push(file);
    last = price;
  });
  return found;
}

/** Place every seat of a layout. Pure, and fast enough to be done again at each key press in an editor. */
export function buildHall(layout: Layout, kind: Hall["kind"]): Hall {
  const total = layout.sections.reduce(
    (sum, section) => sum + section.rows.reduce((seats, row) => seats + row.seats.length, 0),
    0,
  );
  const hall: Hall = {
    kind,
    x: new Float32Array(total),
    y: new Float32Array(total),
    labels: new Array<string>(total),
    numbers: new Array<string>(total),
    category: new Uint8Array(total),
    accessible: new Uint8Array(total),
    rowOf: new Uint32Array(total),
    rows: [],
    sections: layout.sections.map(({ name }) => ({ name, first: 0, count: 0, rows: [], ...nothing() })),
    categories: layout.categories,
    bounds: nothing(),
    arc: null,
    positions: new Map(),
  };
  const placed = tiers(layout, kind);
  const tierWidth = (tier: Block[]) => tier.reduce((sum, block) => sum + block.width + BLOCK_GAP, -BLOCK_GAP);
  const width = Math.max(PITCH, ...placed.map(tierWidth));
  if (kind === "show") {
    const radius = width * 1.3 + 420;
    hall.arc = { x: 0, y: -radius, radius };
  }

  // Seats are counted in the layout's order, whatever stands beside what: blocks keep that order within the tiers.
  const categoryNo = new Map(layout.categories.map((category, number) => [category.name, number]));
  const positions = new Map<string, number>();
  let next = 0;
  let depth = FRONT_GAP;
  for (const tier of placed) {
    let left = -tierWidth(tier) / 2;
    for (const block of tier) {
      const section = hall.sections[block.section];
      if (!section) continue;
      if (section.count === 0) section.first = next;
      block.rows.forEach((row, index) => {
        const rowNo = hall.rows.length;
        const placedRow: HallRow = {
          label: row.label,
          section: block.section,
          first: next,
          count: row.seats.length,
          ...nothing(),
        };
        let along = kind === "trip" ? left : left + (block.width - row.width) / 2;
        for (const seat of row.seats) {
          const [x, y] = bend(hall, along + PITCH / 2, depth + index * ROW_PITCH + ROW_PITCH / 2);
          hall.x[next] = x;
          hall.y[next] = y;
          hall.labels[next] = seat.label;
          hall.numbers[next] = numberOf(seat.label, row.label);
          hall.category[next] = categoryNo.get(seat.category) ?? 0;
          hall.accessible[next] = seat.accessible ? 1 : 0;
          hall.rowOf[next] = rowNo;
          positions.set(seat.label, next);
          stretch(placedRow, x, y, PITCH / 2);
          along += PITCH + (seat.gap_after ? AISLE : 0);
          next += 1;
        }
        section.rows.push(rowNo);
        section.count += row.seats.length;
        stretch(section, placedRow.minX, placedRow.minY, 0);
        stretch(section, placedRow.maxX, placedRow.maxY, 0);
        hall.rows.push(placedRow);
      });
      left += block.width + BLOCK_GAP;
    }
    depth += Math.max(...tier.map((block) => block.depth)) + SECTION_GAP;
  }
  hall.positions = positions;
  for (const section of hall.sections) {
    stretch(hall.bounds, section.minX, section.minY, 0);
    stretch(hall.bounds, section.maxX, section.maxY, 0);
  }
  makeRoom(hall);
  return hall;
}

/** From a straight hall to one on arcs: distances along a row stay as they are. */
function bend(hall: Hall, along: number, depth: number): [number, number] {
  if (!hall.arc) return [along, depth];
  const radius = hall.arc.radius + depth;
  const angle = along / radius;
  return [hall.arc.x + Math.sin(angle) * radius, hall.arc.y + Math.cos(angle) * radius];
}

/** Room for what is drawn around the seats: row labels, section names, the stage, a coach's body. */
function makeRoom(hall: Hall): void {
  const { bounds } = hall;
  if (!Number.isFinite(bounds.minX)) Object.assign(bounds, { minX: 0, minY: 0, maxX: PITCH, maxY: PITCH });
  const sides = hall.kind === "trip" ? 44 : 40;
  bounds.minX -= sides;
  bounds.maxX += sides;
  bounds.minY = hall.kind === "trip" ? bounds.minY - 96 : Math.min(bounds.minY - 30, -34 - stageDepth(hall));
  bounds.maxY += hall.kind === "trip" ? 48 : 30;
}

/** How much larger the stage is than that of a small house; a stage of an arena would be a speck otherwise. */
export function stageSize(hall: Pick<Hall, "bounds">): number {
  return Math.max(1, Math.min(6, (hall.bounds.maxX - hall.bounds.minX) / 1_100));
}

const stageDepth = (hall: Hall) => 36 * (stageSize(hall) - 1) + 8;

/** "A-12" in row A is 12; "7" is 7; what doesn't begin with its row stays whole. */
function numberOf(label: string, row: string): string {
  if (label.startsWith(`${row}-`)) return label.slice(row.length + 1);
  const dash = label.lastIndexOf("-");
  return dash > 0 && dash < label.length - 1 ? label.slice(dash + 1) : label;
}

/** The seat at a place, or -1: the rows whose box holds the place, and in them the nearest seat. */
export function seatAt(hall: Hall, x: number, y: number, reach = PITCH / 2): number {
  let found = -1;
  let nearest = reach * reach;
  for (const row of hall.rows) {
    if (x < row.minX || x > row.maxX || y < row.minY || y > row.maxY) continue;
    for (let seat = row.first; seat < row.first + row.count; seat++) {
      const dx = (hall.x[seat] ?? 0) - x;
      const dy = (hall.y[seat] ?? 0) - y;
      const distance = dx * dx + dy * dy;
      if (distance < nearest) {
        nearest = distance;
        found = seat;
      }
    }
  }
  return found;
}

export const overlaps = (a: Box, b: Box): boolean =>
  a.minX <= b.maxX && a.maxX >= b.minX && a.minY <= b.maxY && a.maxY >= b.minY;

/** The seats whose centre lies in a box. */
export function seatsIn(hall: Hall, box: Box): number[] {
  const found: number[] = [];
  for (const row of hall.rows) {
    if (!overlaps(row, box)) continue;
    for (let seat = row.first; seat < row.first + row.count; seat++) {
      const x = hall.x[seat] ?? 0;
      const y = hall.y[seat] ?? 0;
      if (x >= box.minX && x <= box.maxX && y >= box.minY && y <= box.maxY) found.push(seat);
    }
  }
  return found;
}

/** Where an arrow key leads: along the row, or to the nearest seat of the nearest row before or behind. */
export function neighbour(hall: Hall, seat: number, direction: "left" | "right" | "up" | "down"): number {
  const row = hall.rows[hall.rowOf[seat] ?? 0];
  if (!row) return seat;
  const sideways = direction === "left" || direction === "right";
  if (sideways) {
    const next = seat + (direction === "left" ? -1 : 1);
    if (next >= row.first && next < row.first + row.count) return next;
  }
  const x = hall.x[seat] ?? 0;
  const y = hall.y[seat] ?? 0;
  let found = seat;
  let best = Infinity;
  for (const other of hall.rows) {
    if (other === row) continue;
    for (let candidate = other.first; candidate < other.first + other.count; candidate++) {
      const dx = (hall.x[candidate] ?? 0) - x;
      const dy = (hall.y[candidate] ?? 0) - y;
      const [ahead, aside] =
        direction === "up"
          ? [-dy, dx]
          : direction === "down"
            ? [dy, dx]
            : direction === "left"
              ? [-dx, dy]
              : [dx, dy];
      // Sideways only to what stands in line, as in the next block; up and down only to what lies clearly that way.
      if (ahead < PITCH / 3 || Math.abs(aside) > (sideways ? ROW_PITCH / 4 : Math.max(PITCH, ahead * 1.2)))
        continue;
      const distance = ahead * (sideways ? 1 : 3) + Math.abs(aside) * 2; // the next row before a straighter line
      if (distance < best) {
        best = distance;
        found = candidate;
      }
    }
  }
  return found;
}
