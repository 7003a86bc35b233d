/**
 * The drawn hall, in tiles that are drawn once.
 *
 * A layer is the hall at one scale, cut into tiles: canvases in a container. Panning and zooming only set the container's
 * transform, which costs the main thread next to nothing however many seats there are. When the scale has settled, a new
 * layer is drawn at exactly that scale and replaces the old one once all that is seen of it is there. Tiles are drawn
 * elsewhere (drawing.ts), nearest the middle first; here they are put in their place. A seat that changes is redrawn
 * here, alone.
 */
import type { Camera, Size } from "./camera";
import { visible } from "./camera";
import type { Drawing, Drawn } from "./drawing";
import { type Box, type Hall, overlaps, PITCH } from "./hall";
import { type Painter, paintSeats } from "./paint";

/** CSS pixels of a side. Each is a layer of the browser's, so fewer are better; each is copied whole when it is shown. */
const TILE = 256;
/** Layers beyond these scales of the camera are drawn anew even while one is still zooming: they'd be too blurred. */
const STRETCHED_MAX = 2.2;
/** Tiles kept of a layer: some three screens of a large window, 50 MB at most on an ordinary one. */
const TILES_MAX = 200;
/** Asked for at once: one that is drawn, and one that waits. More would be drawn for a view that has moved on. */
const ASKED_MAX = 2;
/** Shown in a frame: each time the browser is shown a canvas, it copies all of it. */
const SHOWN_A_FRAME = 2;
/** A seat's ring reaches a little beyond its square. */
const REACH = PITCH / 2 - 0.5;

interface Tile {
  key: string;
  world: Box;
  column: number;
  row: number;
  state: "missing" | "asked" | "drawn" | "shown";
  drawn: Drawn | undefined;
  /** There once it is shown. */
  canvas: HTMLCanvasElement | undefined;
  /** There once a seat was drawn again. */
  context: CanvasRenderingContext2D | undefined;
  /** Seats that have changed since it was asked for. */
  changed: Set<number>;
  used: number;
}

interface Layer {
  scale: number;
  density: number;
  element: HTMLDivElement;
  tiles: Map<string, Tile>;
}

export interface TilesOptions {
  hall: Hall;
  drawing: Drawing;
  painter(scale: number): Painter;
}

export class Tiles {
  private current: Layer | null = null;
  private previous: Layer | null = null;
  private clock = 0;
  private asked = 0;
  /** Seats drawn since the start: what tests look at. */
  drawn = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly options: TilesOptions,
    /** A tile has been drawn, and waits for a frame to be shown in. */
    private readonly onDrawn: () => void,
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
    if (this.current && [...this.current.tiles.values()].some((tile) => tile.state === "shown")) {
      this.previous?.element.remove();
      this.previous = this.current;
    } else {
      this.current?.element.remove();
    }
    const element = document.createElement("div");
    element.className = "absolute top-0 left-0 origin-top-left will-change-transform";
    this.host.append(element);
    const density = Math.min(window.devicePixelRatio || 1, 2);
    this.current = { scale: camera.scale, density, element, tiles: new Map() };
    this.move(camera);
  }

  /** One frame's share: ask for what is seen, show what has come. Returns whether another frame has work already. */
  work(camera: Camera, size: Size): boolean {
    const layer = this.current;
    if (!layer) return false;
    this.clock += 1;
    let missing = 0;
    let shown = 0;
    let waiting = false;
    for (const tile of this.wanted(layer, camera, size)) {
      if (tile.state === "drawn" && shown < SHOWN_A_FRAME) {
        this.show(tile, layer);
        shown += 1;
      }
      if (tile.state === "missing" && this.asked < ASKED_MAX) this.ask(tile, layer);
      if (tile.state === "drawn") waiting = true;
      if (tile.state !== "shown") missing += 1;
    }
    if (missing > 0) return waiting;
    this.previous?.element.remove();
    this.previous = null;
    this.forget(layer);
    return false;
  }

  /** Seats changed: draw them again, wherever they are drawn already. */
  touch(seats: ReadonlySet<number> | readonly number[]): void {
    for (const layer of [this.previous, this.current]) {
      if (!layer) continue;
      const painter = this.options.painter(layer.scale);
      for (const tile of layer.tiles.values()) {
        for (const seat of seats) this.redrawSeat(tile, layer, painter, seat);
      }
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
          tile = make(key, column, row, side);
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

  private ask(tile: Tile, layer: Layer): void {
    tile.state = "asked";
    this.asked += 1;
    const { scale, density } = layer;
    this.options.drawing.draw({ world: tile.world, scale, density, side: TILE }).then((drawn) => {
      this.asked -= 1;
      this.drawn += drawn.seats;
      tile.drawn = drawn;
      tile.state = "drawn";
      this.onDrawn();
    });
  }

  private show(tile: Tile, layer: Layer): void {
    if (!tile.drawn) return;
    const canvas = canvasOf(tile.drawn.image);
    canvas.className = "absolute";
    canvas.style.cssText = `width:${TILE}px;height:${TILE}px;left:${tile.column * TILE}px;top:${tile.row * TILE}px`;
    tile.canvas = canvas;
    tile.drawn = undefined;
    tile.state = "shown";
    layer.element.append(canvas);
    const painter = this.options.painter(layer.scale);
    for (const seat of tile.changed) this.redrawSeat(tile, layer, painter, seat);
    tile.changed.clear();
  }

  /** Draw a seat again in a tile, if it lies there; later, where the tile is still on its way. */
  private redrawSeat(tile: Tile, layer: Layer, painter: Painter, seat: number): void {
    const { hall } = this.options;
    const x = hall.x[seat] ?? 0;
    const y = hall.y[seat] ?? 0;
    const box = { minX: x - REACH, minY: y - REACH, maxX: x + REACH, maxY: y + REACH };
    if (tile.state === "missing" || !overlaps(tile.world, box)) return;
    if (!tile.canvas) {
      tile.changed.add(seat);
      return;
    }
    tile.context ??= toDrawOn(tile, layer);
    const { context } = tile;
    context.save();
    context.resetTransform();
    // To whole pixels: a half-cleared edge would leave a seam.
    const toPixel = (value: number, origin: number) => (value - origin) * layer.scale * layer.density;
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
    paintSeats(context, painter, seat, seat + 1);
    this.drawn += 1;
  }

  private forget(layer: Layer): void {
    if (layer.tiles.size <= TILES_MAX) return;
    const oldest = [...layer.tiles.values()].sort((a, b) => a.used - b.used);
    for (const tile of oldest.slice(0, layer.tiles.size - TILES_MAX)) {
      tile.canvas?.remove();
      layer.tiles.delete(tile.key);
    }
  }
}

/** A canvas that shows what was drawn, and costs nothing more until it is drawn on. */
function canvasOf(image: Drawn["image"]): HTMLCanvasElement {
  if (image instanceof HTMLCanvasElement) return image;
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("bitmaprenderer")?.transferFromImageBitmap(image);
  return canvas;
}

/** The same tile as a canvas to draw on. Without a GPU, each of these is copied whole at every frame of a pan. */
function toDrawOn(tile: Tile, layer: Layer): CanvasRenderingContext2D {
  const before = tile.canvas;
  if (!before) throw new Error("a tile that isn't shown");
  let context = before.getContext("2d"); // null where it only shows
  if (!context) {
    const canvas = before.cloneNode() as HTMLCanvasElement;
    context = canvas.getContext("2d");
    context?.drawImage(before, 0, 0);
    before.replaceWith(canvas);
    tile.canvas = canvas;
  }
  if (!context) throw new Error("this browser can't draw on a canvas");
  const scale = layer.scale * layer.density;
  context.setTransform(scale, 0, 0, scale, -tile.world.minX * scale, -tile.world.minY * scale);
  return context;
}

function make(key: string, column: number, row: number, side: number): Tile {
  const world = {
    minX: column * side,
    minY: row * side,
    maxX: (column + 1) * side,
    maxY: (row + 1) * side,
  };
  return {
    key,
    world,
    column,
    row,
    state: "missing",
    drawn: undefined,
    canvas: undefined,
    context: undefined,
    changed: new Set(),
    used: 0,
  };
}
