/**
 * Tiles of a hall are drawn by a worker of the page's, one for all its maps, so that the thread that people's fingers
 * wait for only has to show them. Where a browser has no such worker, or it fails, they are drawn here, one a task.
 */
import { drawTile, lettering, type TileLooks, type TilePlace } from "./draw-tile";
import { fontFaces } from "./font-faces";
import type { Hall } from "./hall";
import type { FromWorker, ToWorker } from "./tile-worker";

/** A tile as it was drawn: to be put where it belongs, once. */
export interface Drawn {
  image: ImageBitmap | HTMLCanvasElement;
  seats: number;
}

interface Asked {
  drawing: Drawing;
  place: TilePlace;
  looks: TileLooks;
  answer(drawn: Drawn): void;
}

/** The drawing of one hall, for as long as its map is there. */
export class Drawing {
  private static next = 0;
  readonly number = ++Drawing.next;

  constructor(
    readonly hall: Hall,
    readonly front: string,
    private readonly looks: () => TileLooks,
    /** Letters look different now: their font has come. */
    readonly onFonts: () => void,
  ) {
    drawers.set(this.number, this);
    const { positions: _, ...sent } = hall;
    post({ kind: "hall", number: this.number, hall: sent, front, texts: lettering(hall, front) });
  }

  /** A part of the hall, as its seats are at this moment. */
  draw(place: TilePlace): Promise<Drawn> {
    return new Promise((answer) => ask({ drawing: this, place, looks: this.looks(), answer }));
  }

  end(): void {
    drawers.delete(this.number);
    for (const [tile, { drawing }] of asked) if (drawing === this) asked.delete(tile);
    post({ kind: "gone", number: this.number });
  }
}

const drawers = new Map<number, Drawing>();
const asked = new Map<number, Asked>();
let tiles = 0;
let worker: Worker | null | undefined;

/** The worker, begun when it is first needed. Null where there can be none. */
function begun(): Worker | null {
  if (worker !== undefined) return worker;
  if (!("Worker" in window) || !("OffscreenCanvas" in window)) {
    worker = null;
    return worker;
  }
  worker = new Worker(new URL("./tile-worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind === "fonts") {
      drawers.get(data.number)?.onFonts();
    } else {
      asked.get(data.tile)?.answer({ image: data.image, seats: data.seats });
      asked.delete(data.tile);
    }
  };
  worker.onerror = () => {
    worker?.terminate();
    worker = null;
    for (const one of asked.values()) drawHere(one);
    asked.clear();
  };
  worker.postMessage({ kind: "faces", faces: fontFaces() } satisfies ToWorker);
  return worker;
}

function post(message: ToWorker): void {
  begun()?.postMessage(message);
}

function ask(one: Asked): void {
  if (!begun()) {
    drawHere(one);
    return;
  }
  const tile = ++tiles;
  asked.set(tile, one);
  post({ kind: "tile", tile, number: one.drawing.number, place: one.place, looks: one.looks });
}

function drawHere({ drawing, place, looks, answer }: Asked): void {
  setTimeout(() => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = place.side * place.density;
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser can't draw on a canvas");
    answer({ image: canvas, seats: drawTile(context, drawing.hall, drawing.front, place, looks) });
  });
}
