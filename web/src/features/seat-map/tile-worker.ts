/** Draws tiles, in a thread of its own. It knows halls by number; what their seats look like comes with each tile. */
import { type DrawnHall, drawTile, type TileLooks, type TilePlace } from "./draw-tile";
import type { FontFaceRule } from "./font-faces";
import { SANS, SERIF } from "./paint";

export type ToWorker =
  | { kind: "faces"; faces: FontFaceRule[] }
  | { kind: "hall"; number: number; hall: DrawnHall; front: string; texts: { serif: string; sans: string } }
  | { kind: "tile"; tile: number; number: number; place: TilePlace; looks: TileLooks }
  | { kind: "gone"; number: number };

export type FromWorker =
  | { kind: "tile"; tile: number; image: ImageBitmap; seats: number }
  /** A hall's letters look different now. */
  | { kind: "fonts"; number: number };

/** The part of a worker's scope that is needed: TypeScript's own types of it can't stand beside a page's. */
interface Scope {
  fonts: FontFaceSet;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
}
const scope = self as unknown as Scope;

/** Nobody looks at an empty hall for longer than this because a font is slow: it is drawn, and drawn again. */
const FONT_MS_MAX = 400;

interface Known {
  hall: DrawnHall;
  front: string;
  ready: Promise<unknown>;
}
const halls = new Map<number, Known>();

function readyToWrite(number: number, { serif, sans }: { serif: string; sans: string }): Promise<unknown> {
  let late = false;
  const loaded = Promise.all([
    scope.fonts.load(`520 15px ${SERIF}`, serif),
    scope.fonts.load(`600 9px ${SANS}`, sans),
  ]).then(
    () => late && halls.has(number) && scope.postMessage({ kind: "fonts", number }),
    () => undefined, // a font that can't be had: the next best is drawn with
  );
  const waited = new Promise((resolve) => setTimeout(resolve, FONT_MS_MAX)).then(() => {
    late = true;
  });
  return Promise.race([loaded, waited]);
}

async function draw({ tile, number, place, looks }: Extract<ToWorker, { kind: "tile" }>): Promise<void> {
  const known = halls.get(number);
  if (!known) return;
  await known.ready;
  const canvas = new OffscreenCanvas(place.side * place.density, place.side * place.density);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser can't draw in a worker");
  const seats = drawTile(context, known.hall, known.front, place, looks);
  const image = canvas.transferToImageBitmap();
  scope.postMessage({ kind: "tile", tile, image, seats }, [image]);
}

scope.onmessage = ({ data }) => {
  if (data.kind === "faces") {
    for (const { family, source, weight, style, range } of data.faces) {
      scope.fonts.add(new FontFace(family, source, { weight, style, unicodeRange: range }));
    }
  } else if (data.kind === "hall") {
    const { number, hall, front, texts } = data;
    halls.set(number, { hall, front, ready: readyToWrite(number, texts) });
  } else if (data.kind === "gone") {
    halls.delete(data.number);
  } else {
    // What goes wrong is to be heard of by the page, which then draws for itself.
    draw(data).catch((error) =>
      setTimeout(() => {
        throw error;
      }),
    );
  }
};
