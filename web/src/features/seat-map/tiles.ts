/**
 * The drawn hall, in tiles that are drawn once.
 *
 * A layer is the hall at one scale, cut into tiles: canvases in a container. Panning and zooming only set the container's
 * transform, which costs the main thread next to nothing however many seats there are. When the scale has settled, a new
 * layer is drawn at exactly that scale and replaces the old one once all that is seen of it is there. Drawing is done
 * in slices, a few hundred seats a frame, nearest the middle first. A seat that changes is redrawn alone.
 */
import type { Camera, Size } from "./camera";
import { visible } from "./camera";
import { type Box, type Hall, overlaps, PITCH, SEAT } from "./hall";
import {
  NUMBERS_FROM_PX,
  type Painter,
  paintFront,
  paintRowLabels,
  paintSeats,
  paintSectionName,
  SHAPES_FROM_PX,
} from "./paint";

const TILE = 256;
/** Layers beyond these scales of the camera are drawn anew even while one is still zooming: they'd be too blurred. */
const STRETCHED_MAX = 2.2;
/** Tiles kept of a layer: some three screens of a large window, 50 MB at most on an ordinary one. */
const TILES_MAX = 200;
/** What is drawn in a frame: so much time, and so many seats, since what is drawn here is painted a little later. */
const DRAWING_MS = 2.5;
/** How many seats go by between two looks at the clock. */
const SLICE = 60;
const SEATS_A_FRAME = { specks: 1_500, shapes: 300, numbers: 150 };
/** A seat's ring reaches a little beyond its square. */
const REACH = PITCH / 2 - 0.5;

interface Tile {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  world: Box;
  rows: number[];
  /** How far it is drawn: the row, and the seat in it. */
  row: number;
  seat: number;
  begun: boolean;
  done: boolean;
  used: number;
}

interface Layer {
  scale: number;
  element: HTMLDivElement;
  tiles: Map<string, Tile>;
}

export interface TilesOptions {
  hall: Hall;
  front: string;
  painter(scale: number): Painter;
}

export class Tiles {
  private current: Layer | null = null;
  private previous: Layer | null = null;
  private clock = 0;
  /** Seats drawn since the start: what tests look at. */
  drawn = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly options: TilesOptions,
  ) {}

  /** Move what is drawn to where the camera looks. Cheap: two transforms at most. */
  move(camera: Camera): void {
    for (const layer of [this.previous, this.current]) {
      if (!layer) continue;
      const grown = camera.scale / layer.scale;
      const still = Math.abs(grown - 1) < 1e-6;
      const x = still ? Math.round(camera.x) : camera.x;
      const y = still ? Math.round(camera.y) : camera.y;
      layer.element.style.transform = `translate(${x}px, ${y}px) scale(${still ? 1 : grown})`;
    }
  }

  /** Whether the scale is not the one that is drawn, so that it should be drawn anew when it has settled. */
  isStretched(camera: Camera): boolean {
    return !this.current || Math.abs(camera.scale / this.current.scale - 1) > 0.001;
  }

  isTooStretched(camera: Camera): boolean {
    if (!this.current) return true;
    const grown = camera.scale / this.current.scale;
    return grown > STRETCHED_MAX || grown < 1 / STRETCHED_MAX;
  }

  /** Begin a layer at the camera's scale. What was there stays under it until it is drawn. */
  redraw(camera: Camera): void {
    if (this.current && [...this.current.tiles.values()].some((tile) => tile.done)) {
      this.previous?.element.remove();
      this.previous = this.current;
    } else {
      this.current?.element.remove();
    }
    const element = document.createElement("div");
    element.className = "absolute top-0 left-0 origin-top-left will-change-transform";
    this.host.append(element);
    this.current = { scale: camera.scale, element, tiles: new Map() };
    this.move(camera);
  }

  /** Draw one frame's share of what is seen. Returns whether there is more to do. */
  work(camera: Camera, size: Size): boolean {
    const layer = this.current;
    if (!layer) return false;
    this.clock += 1;
    const seatPx = SEAT * layer.scale;
    let left =
      seatPx < SHAPES_FROM_PX
        ? SEATS_A_FRAME.specks
        : seatPx < NUMBERS_FROM_PX
          ? SEATS_A_FRAME.shapes
          : SEATS_A_FRAME.numbers;
    const until = performance.now() + DRAWING_MS;
    for (const tile of this.wanted(layer, camera, size)) {
      if (tile.done) continue;
      while (!tile.done) {
        left -= this.draw(tile, layer, Math.min(left, SLICE));
        if (!tile.done && (left <= 0 || performance.now() > until)) return true;
      }
      // Shown when it is whole, and one a frame: each time the browser is shown a canvas, it copies all of it.
      layer.element.append(tile.canvas);
      return true;
    }
    this.previous?.element.remove();
    this.previous = null;
    this.forget(layer);
    return false;
  }

  /** Seats changed: draw them again, wherever they are drawn already. */
  touch(seats: Iterable<number>): void {
    for (const layer of [this.previous, this.current]) {
      if (!layer) continue;
      const painter = this.options.painter(layer.scale);
      for (const seat of seats) this.redrawSeat(layer, painter, seat);
    }
  }

  destroy(): void {
    this.previous?.element.remove();
    this.current?.element.remove();
    this.previous = this.current = null;
  }

  /** The tiles that are seen, made where they are missing, nearest the middle first. */
  private wanted(layer: Layer, camera: Camera, size: Size): Tile[] {
    const seen = visible(camera, size);
    const { bounds } = this.options.hall;
    const side = TILE / layer.scale;
    const from = (low: number) => Math.floor(low / side);
    const found: { tile: Tile; distance: number }[] = [];
    const middleX = (seen.minX + seen.maxX) / 2;
    const middleY = (seen.minY + seen.maxY) / 2;
    for (
      let row = from(Math.max(seen.minY, bounds.minY));
      row <= from(Math.min(seen.maxY, bounds.maxY));
      row++
    ) {
      for (
        let column = from(Math.max(seen.minX, bounds.minX));
        column <= from(Math.min(seen.maxX, bounds.maxX));
        column++
      ) {
        const key = `${column},${row}`;
        let tile = layer.tiles.get(key);
        if (!tile) {
          tile = this.make(layer, column, row, side);
          layer.tiles.set(key, tile);
        }
        tile.used = this.clock;
        const dx = (column + 0.5) * side - middleX;
        const dy = (row + 0.5) * side - middleY;
        found.push({ tile, distance: dx * dx + dy * dy });
      }
    }
    return found.sort((a, b) => a.distance - b.distance).map(({ tile }) => tile);
  }

  private make(layer: Layer, column: number, row: number, side: number): Tile {
    const canvas = document.createElement("canvas");
    const density = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = canvas.height = TILE * density;
    canvas.className = "absolute";
    canvas.style.cssText = `width:${TILE}px;height:${TILE}px;left:${column * TILE}px;top:${row * TILE}px`;
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser can't draw on a canvas");
    const world = {
      minX: column * side,
      minY: row * side,
      maxX: (column + 1) * side,
      maxY: (row + 1) * side,
    };
    const scale = layer.scale * density;
    context.setTransform(scale, 0, 0, scale, -world.minX * scale, -world.minY * scale);
    const around = {
      minX: world.minX - PITCH * 2,
      minY: world.minY - PITCH * 2,
      maxX: world.maxX + PITCH * 2,
      maxY: world.maxY + PITCH * 2,
    };
    const rows = this.options.hall.rows.flatMap((candidate, index) =>
      overlaps(candidate, around) ? [index] : [],
    );
    return { canvas, context, world, rows, row: 0, seat: 0, begun: false, done: false, used: this.clock };
  }

  /** Go on drawing a tile, so many seats at most. Returns how many it was. */
  private draw(tile: Tile, layer: Layer, most: number): number {
    const { hall, front } = this.options;
    const painter = this.options.painter(layer.scale);
    let drawn = 0;
    if (!tile.begun) {
      tile.begun = true;
      paintFront(tile.context, painter, front);
      drawn += 10;
    }
    while (tile.row < tile.rows.length && drawn < most) {
      const row = hall.rows[tile.rows[tile.row] ?? 0];
      if (!row) break;
      if (tile.seat === 0) {
        paintRowLabels(tile.context, painter, row);
        const section = hall.sections[row.section];
        if (section && section.first === row.first) paintSectionName(tile.context, painter, row.section);
        drawn += 2;
      }
      const begin = row.first + tile.seat;
      const end = Math.min(row.first + row.count, begin + Math.max(1, most - drawn));
      let from = begin;
      while (from < end && (hall.x[from] ?? 0) < tile.world.minX - PITCH) from += 1;
      let to = from;
      while (to < end && (hall.x[to] ?? 0) <= tile.world.maxX + PITCH) to += 1;
      paintSeats(tile.context, painter, from, to);
      drawn += to - from + 1;
      this.drawn += to - from;
      if (end === row.first + row.count) {
        tile.row += 1;
        tile.seat = 0;
      } else {
        tile.seat = end - row.first;
      }
    }
    tile.done = tile.row >= tile.rows.length;
    return drawn;
  }

  private redrawSeat(layer: Layer, painter: Painter, seat: number): void {
    const { hall } = this.options;
    const x = hall.x[seat] ?? 0;
    const y = hall.y[seat] ?? 0;
    const box = { minX: x - REACH, minY: y - REACH, maxX: x + REACH, maxY: y + REACH };
    for (const tile of layer.tiles.values()) {
      if (!tile.begun || !overlaps(tile.world, box)) continue;
      const { context } = tile;
      context.save();
      context.resetTransform();
      // To whole pixels: a half-cleared edge would leave a seam.
      const density = tile.canvas.width / TILE;
      const toPixel = (value: number, origin: number) => (value - origin) * layer.scale * density;
      const left = Math.floor(toPixel(box.minX, tile.world.minX));
      const top = Math.floor(toPixel(box.minY, tile.world.minY));
      const width = Math.ceil(toPixel(box.maxX, tile.world.minX)) - left;
      const height = Math.ceil(toPixel(box.maxY, tile.world.minY)) - top;
      context.clearRect(left, top, width, height);
      if (!hall.arc) {
        context.globalAlpha = 1; // a coach's body lies under its seats
        context.fillStyle = painter.palette.raised;
        context.fillRect(left, top, width, height);
      }
      context.restore();
      paintSeats(tile.context, painter, seat, seat + 1);
      this.drawn += 1;
    }
  }

  private forget(layer: Layer): void {
    if (layer.tiles.size <= TILES_MAX) return;
    const oldest = [...layer.tiles].sort(([, a], [, b]) => a.used - b.used);
    for (const [key, tile] of oldest.slice(0, layer.tiles.size - TILES_MAX)) {
      tile.canvas.remove();
      layer.tiles.delete(key);
    }
  }
}
