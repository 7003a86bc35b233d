/** One tile of a hall, drawn from nothing. Pure but for the canvas: the same in a worker and on the page. */
import { type Box, type Hall, overlaps, PITCH } from "./hall";
import {
  type Canvas,
  type Painter,
  PLAIN,
  paintFront,
  paintRowLabels,
  paintSeats,
  paintSectionName,
} from "./paint";
import type { Palette } from "./palette";

/** A hall without the index of its labels, which drawing doesn't need. */
export type DrawnHall = Omit<Hall, "positions">;

export interface TilePlace {
  world: Box;
  /** Screen pixels of a world unit. */
  scale: number;
  /** Canvas pixels of a screen pixel. */
  density: number;
  /** Screen pixels of the tile's side. */
  side: number;
}

/** What the seats look like, at one moment. */
export interface TileLooks {
  palette: Palette;
  /** A letter a seat. */
  statuses: Uint8Array<ArrayBuffer>;
  /** Chosen or theirs, a number a seat; null where none is. */
  marks: Uint8Array<ArrayBuffer> | null;
  /** Where given, other categories stand back. */
  category: number | null;
}

/** Returns how many seats it drew. */
export function drawTile(
  canvas: Canvas,
  hall: DrawnHall,
  front: string,
  place: TilePlace,
  { palette, statuses, marks, category }: TileLooks,
): number {
  const { world } = place;
  const look = {
    status: (seat: number) => statuses[seat] ?? 0,
    mark: (seat: number) => marks?.[seat] ?? PLAIN,
    faded: (seat: number) => category !== null && hall.category[seat] !== category,
  };
  const painter: Painter = { hall, palette, look, scale: place.scale };
  const scale = place.scale * place.density;
  canvas.setTransform(scale, 0, 0, scale, -world.minX * scale, -world.minY * scale);
  paintFront(canvas, painter, front);
  const around = {
    minX: world.minX - PITCH * 2,
    minY: world.minY - PITCH * 2,
    maxX: world.maxX + PITCH * 2,
    maxY: world.maxY + PITCH * 2,
  };
  let drawn = 0;
  for (const row of hall.rows) {
    if (!overlaps(row, around)) continue;
    paintRowLabels(canvas, painter, row);
    if (hall.sections[row.section]?.first === row.first) paintSectionName(canvas, painter, row.section);
    const end = row.first + row.count;
    let from = row.first;
    while (from < end && (hall.x[from] ?? 0) < world.minX - PITCH) from += 1;
    let to = from;
    while (to < end && (hall.x[to] ?? 0) <= world.maxX + PITCH) to += 1;
    paintSeats(canvas, painter, from, to);
    drawn += to - from;
  }
  return drawn;
}

/** Every sign that is written in a hall, once: what a font must have before it is drawn. */
export function lettering(hall: Hall, front: string): { serif: string; sans: string } {
  const signs = (texts: Iterable<string>) => [...new Set([...texts].join(""))].join("");
  return {
    serif: signs([front, ...hall.sections.map((section) => section.name)]),
    sans: signs(["Driver Door …", ...hall.rows.map((row) => row.label), ...new Set(hall.numbers)]),
  };
}
